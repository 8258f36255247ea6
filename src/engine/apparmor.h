// AppArmor: under which profile a container's programs run, and the profile that the daemon brings. Pure.
#pragma once
#include "engine/resources.h"

namespace panal {

/// Docker's name for the profile of containers that name none; people write it into --security-opt.
inline constexpr const char* kDefaultAppArmorProfile = "docker-default";

/// "": nothing is set, since the kernel has no AppArmor or the daemon cannot load its profile.
std::string apparmor_profile_of(const HostConfig& host, const HostLimits& machine);

/// The default profile in apparmor_parser's language. `daemon`: the profile that the daemon itself runs
/// under, whose signals must arrive.
std::string default_apparmor_profile(const std::string& daemon);

}  // namespace panal
