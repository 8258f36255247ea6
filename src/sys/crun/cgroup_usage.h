// What the kernel's control groups count of a container.
#pragma once
#include <string>

#include "ports/runtime.h"

namespace panal {

/// Reads the group `cgroup` ("/panal/ID") below `root`: v1 hierarchies in folders of their names, or the
/// unified one. False: there is none.
bool read_cgroup(const std::string& root, const std::string& cgroup, Usage& into);
/// The unified hierarchy's line of a /proc/PID/cgroup: "/panal/ID"; "" when there is none.
std::string unified_group(const std::string& table);
/// How many processes a memory.events says were killed for want of memory.
uint64_t memory_kills(const std::string& path);

}  // namespace panal
