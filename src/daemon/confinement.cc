#include "daemon/confinement.h"

#include "base/fd.h"
#include "base/text.h"
#include "engine/apparmor.h"
#include "sys/process/spawn.h"

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

static constexpr const char* kProfiles = "/sys/kernel/security/apparmor/profiles";
static constexpr const char* kParser = "/sbin/apparmor_parser";

bool apparmor_enabled() {
  return trim(read_file("/sys/module/apparmor/parameters/enabled", 16).value_or("")) == "Y" &&
         exists(kProfiles);
}

bool apparmor_parser_exists() { return exists(kParser); }

Task<Result<>> ready_apparmor(AsioLoop& loop, std::string profile) {
  if (profile == "unconfined") co_return Result<>{};
  const auto loaded = read_file(kProfiles);
  if (loaded && ("\n" + *loaded).find("\n" + profile + " (") != std::string::npos) co_return Result<>{};
  if (profile != kDefaultAppArmorProfile || !apparmor_parser_exists())
    co_return fail(Code::kInvalid, "AppArmor profile " + profile +
                                       " is not loaded: apparmor_parser can load it, /sys/kernel/security/"
                                       "apparmor/profiles names those that are");
  const std::string label = read_file("/proc/self/attr/current", 4096).value_or("unconfined");
  const std::string daemon(trim(label.substr(0, label.find(" ("))));  // "panald (enforce)"
  auto done = co_await run_program(loop, {kParser, "-Kr"}, default_apparmor_profile(daemon));
  if (done && done->status != 0) done = fail(Code::kInternal, std::string(trim(done->err)));
  if (!done)
    co_return fail(Code::kInternal, "AppArmor enabled on system but the " + profile +
                                        " profile could not be loaded: " + done.error().message);
  co_return Result<>{};
}

}  // namespace panal
