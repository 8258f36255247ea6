// What the composition root tells the containers of this machine and its settings.
#pragma once
#include <functional>

#include "engine/apparmor.h"
#include "engine/defaults.h"
#include "engine/devices/device_requests.h"
#include "engine/resources.h"
#include "engine/security.h"
#include "model/id_map.h"
#include "ports/file_watch.h"
#include "ports/log_sink.h"

namespace panal {

struct LogParts {
  std::string hostname;  // as syslog entries name this machine
  WatchFile watch;
  OpenLogSink open_sink;
};

struct ContainerPaths {
  std::string data;  // containers/<id>: bundle, log, writable layer
  std::string execs;
  std::string init_path = "/usr/bin/tini-static";
  bool cgroup_v2 = false;
  HostLimits machine;
  SeccompDefault seccomp;
  ContainerDefaults defaults;
  LogParts log;
  std::function<Task<Result<>>(std::string profile)> ready_apparmor;  // it is there, or why not
  IdMap ids;                     // userns-remap; empty: containers' users are the host's
  std::string mapped_roots;      // where the runtime finds the roots of containers with mapped users
  std::string mapped_namespace;  // a user namespace with these ids
  DeviceDrivers device_drivers;
};

}  // namespace panal
