#include "daemon/seccomp_default.h"

#include "base/fd.h"
#include "base/text.h"

namespace panal {

static constexpr const char* kDebianProfile = "/usr/share/containers/seccomp.json";

Result<SeccompDefault> read_seccomp_default(const std::string& setting, const std::string& architecture,
                                            const std::string& kernel_version) {
  const auto numbers = split(kernel_version, '.');
  SeccompMachine machine;
  machine.architecture = architecture;
  machine.kernel_major = static_cast<int>(parse_int(numbers[0]).value_or(0));
  if (numbers.size() > 1) machine.kernel_minor = static_cast<int>(parse_int(numbers[1]).value_or(0));
  auto builtin = read_file(kDebianProfile, 4 << 20);
  if (!builtin)
    builtin = fail(Code::kInternal, "the default seccomp profile " +
                                        (builtin.error().code == Code::kNotFound
                                             ? std::string(kDebianProfile) + " is missing"
                                             : "cannot be read: " + builtin.error().message) +
                                        ": install the package golang-github-containers-common, or run this "
                                        "container with --security-opt seccomp=unconfined, "
                                        "or start the daemon with --seccomp-profile");
  if (setting == "builtin" || setting == "unconfined")
    return SeccompDefault(setting, std::move(builtin), std::string(), std::move(machine));
  TRY(std::string text, read_file(setting, 4 << 20));
  SeccompDefault out(setting, std::move(builtin), std::move(text), std::move(machine));
  if (auto good = out.check(); !good) return fail(wrap("seccomp profile " + setting, good.error()));
  return out;
}

}  // namespace panal
