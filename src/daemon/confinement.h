// What containers are confined by that name no profile: reads the seccomp profile, and brings the AppArmor
// one into the kernel, through the parser that Debian's package apparmor has.
#pragma once
#include "engine/security.h"
#include "sys/loop/asio_loop.h"

namespace panal {

/// `setting`: --seccomp-profile. Fails when a file that was named cannot be used; that the built-in one is
/// missing is found out by check(), and by each container that needs it.
Result<SeccompDefault> read_seccomp_default(const std::string& setting, const std::string& architecture,
                                            const std::string& kernel_version);

/// The kernel has AppArmor and shows its profiles.
bool apparmor_enabled();
bool apparmor_parser_exists();
/// A profile of that name is in the kernel, or it is the default one and is brought there now. One that is
/// there stays as it is, be it Docker's own: it may be in use, and an administrator's word stands. Profiles
/// can vanish at any time, so this is asked before each start.
Task<Result<>> ready_apparmor(AsioLoop& loop, std::string profile);

}  // namespace panal
