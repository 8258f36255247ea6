// Internal to sys/crun: what the daemon does itself with control groups, in the runtime's stead.
#pragma once
#include <string>

#include "base/result.h"

namespace panal {

/// Blocks for some 10 ms, so that whoever starts a container meanwhile does not.
void open_groups_for_change();

/// Takes a limit of the group `cgroup` ("/panal/ID") away altogether. `groups`: v1 hierarchies in folders of
/// their names, or the unified one.
Result<> lift_limits(const std::string& cgroup, bool pids, bool cpu_quota,
                     const std::string& groups = "/sys/fs/cgroup");

/// Whether the group `cgroup` is frozen, or is being frozen.
bool group_is_frozen(const std::string& cgroup, const std::string& groups = "/sys/fs/cgroup");

/// Removes the group `cgroup` from all hierarchies where nothing lives in it.
void remove_empty_groups(const std::string& cgroup, const std::string& groups = "/sys/fs/cgroup");

/// What `crun delete` does for a container whose processes have all ended. `state`: the folder that crun
/// keeps of it. False: something of it lives, or another runtime wrote that folder; then what is left is the
/// runtime's to remove.
bool remove_ended(const std::string& state, const std::string& groups = "/sys/fs/cgroup");

}  // namespace panal
