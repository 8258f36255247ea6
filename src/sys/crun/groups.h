// Internal to sys/crun: what the daemon does itself with control groups, in the runtime's stead.
#pragma once
#include <string>

namespace panal {

/// Blocks for some 10 ms, so that whoever starts a container meanwhile does not.
void open_groups_for_change();

/// What `crun delete` does for a container whose processes have all ended. `state`: the folder that crun
/// keeps of it. False: something of it lives, or another runtime wrote that folder; then what is left is the
/// runtime's to remove.
bool remove_ended(const std::string& state, const std::string& groups = "/sys/fs/cgroup");

}  // namespace panal
