// What the daemon's settings give to a new container that asks for nothing else. Pure.
#pragma once
#include "model/container.h"

namespace panal {

struct ContainerDefaults {
  LogConfig log{"json-file", {}};
  std::map<std::string, Ulimit> ulimits;  // by name
  int64_t shm_size_bytes = 64 << 20;
  std::string runtime = "crun", ipc_mode = "private";
  std::string cgroupns_mode = "host", privileged_cgroupns_mode = "host";
  bool init = false, no_new_privileges = false;
  std::vector<std::string> dns_options, dns_search;
};

void apply_defaults(HostConfig& host, const ContainerDefaults& defaults);

}  // namespace panal
