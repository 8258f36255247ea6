// Limits of a container's CPU, memory and processes: what Docker refuses, with its words, and what an update
// may change. Pure.
#pragma once
#include <set>

#include "base/result.h"
#include "model/container.h"

namespace panal {

/// What the machine has to give; 0 or empty: not known, then not checked.
struct HostLimits {
  int cpus = 0;
  std::string cpuset_cpus, cpuset_mems;  // "0-3"
  bool blkio_weight = true, blkio_weight_device = true, cpu_realtime = true;
  bool apparmor = false;             // the kernel has it
  bool apparmor_default = false;     // and the daemon can load its own profile
  bool recursive_read_only = false;  // mounts can be made so with all below them (Linux 5.12)
};

/// Numbers of a kernel list: "0-2,7". nullopt: not such a list.
std::optional<std::set<int>> parse_cpu_list(const std::string& text);

Result<> check_resources(const HostConfig& host, const HostLimits& machine);
/// Drops what this kernel cannot do and Docker drops, too, with Docker's warnings.
std::vector<std::string> fit_resources(HostConfig& host, const HostLimits& machine, bool cgroup_v2);

/// What POST /containers/{id}/update asks for; zero and empty say "as it is".
struct UpdateWish {
  HostConfig limits;  // resources only
  RestartPolicy restart_policy;
};
/// The limits as they are after the update, checked: `host` with what the wish names replaced.
Result<HostConfig> updated_limits(HostConfig host, const UpdateWish& wish, const HostLimits& machine);

}  // namespace panal
