// Reads the seccomp profile that the daemon applies where a container names none.
#pragma once
#include "engine/security.h"

namespace panal {

/// `setting`: --seccomp-profile. Fails when a file that was named cannot be used; that the built-in one is
/// missing is found out by check(), and by each container that needs it.
Result<SeccompDefault> read_seccomp_default(const std::string& setting, const std::string& architecture,
                                            const std::string& kernel_version);

}  // namespace panal
