// --security-opt, and seccomp: Docker's profile format (rules that depend on architecture, kernel and
// capabilities) translated into the OCI runtime's. Pure.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace panal {

struct SecurityOptions {
  bool no_new_privileges = false;
  std::string seccomp;   // "" the daemon's default, "builtin", "unconfined", or a profile's JSON
  std::string apparmor;  // "" the daemon's default, "unconfined", or a profile's name
};
/// Whether /sys/fs/cgroup may be written; without a word: as --privileged has it.
std::optional<bool> writable_cgroups(const std::vector<std::string>& options);
/// The last word on no-new-privileges among options that parse.
bool no_new_privileges(const std::vector<std::string>& options);
/// Refuses by name what is not there (SELinux labels) and profiles that cannot be read.
Result<SecurityOptions> parse_security_options(const std::vector<std::string>& options);

struct SeccompMachine {
  std::string architecture = "amd64";  // as Docker names it
  int kernel_major = 0, kernel_minor = 0;
};
enum class SeccompKind { kAsWritten, kDebian };
/// A profile in Docker's format -> text of the OCI configuration's "linux.seccomp" for a container with these
/// capabilities. kDebian: the file of Debian's containers-common is Podman's, which lets unprivileged
/// containers make namespaces, mount and use the kernel's keyrings; it is narrowed to what Docker documents
/// as its default.
Result<std::string> seccomp_config(const std::string& profile, SeccompKind kind,
                                   const std::vector<std::string>& capabilities,
                                   const SeccompMachine& machine);

/// The profile of containers that name none, read once; its translations are kept per capability set.
class SeccompDefault {
 public:
  /// `setting`: "builtin" (then `text` is Debian's file), "unconfined", or the path that `text` was read
  /// from.
  SeccompDefault(std::string setting, Result<std::string> builtin, Result<std::string> text,
                 SeccompMachine machine);
  SeccompDefault() : SeccompDefault("unconfined", std::string(), std::string(), {}) {}
  /// What is wrong with the profile that plain containers get; for a warning at start.
  Result<> check() const;
  /// Text for a container; empty: no filter.
  Result<std::string> config(const SecurityOptions& options, bool privileged,
                             const std::vector<std::string>& capabilities);

 private:
  std::string setting_;
  Result<std::string> builtin_, text_;
  SeccompMachine machine_;
  std::map<std::pair<bool, std::vector<std::string>>, std::string> translated_;
};

}  // namespace panal
