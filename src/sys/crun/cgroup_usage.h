// What the kernel's control groups count of a container.
#pragma once
#include <string>

#include "ports/runtime.h"

namespace panal {

/// Reads the group `cgroup` ("/panal/ID") below `root`: v1 hierarchies in folders of their names, or the
/// unified one. False: there is none.
bool read_cgroup(const std::string& root, const std::string& cgroup, Usage& into);

}  // namespace panal
