// The cgroup hierarchy that containers see. crun refuses the hybrid layout (v1 controllers beside a cgroup2
// mount at "unified"), so on such a machine the daemon gives itself a mount namespace without it. Pure v1 and
// pure v2 are left as they are.
#pragma once
#include <string>

#include "engine/resources.h"

namespace panal {

bool cgroup_is_v2();
/// What a container can be given here, by the root of the hierarchy.
HostLimits host_limits(int cpus);
/// Single-threaded: call before the loop exists. A daemon that starts again joins the mount namespace in
/// which its containers' monitors (below `containers_dir`) still live, so that it finds their mounts.
Result<> prepare_cgroup_view(const std::string& containers_dir);

}  // namespace panal
