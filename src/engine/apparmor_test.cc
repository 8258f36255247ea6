#include "engine/apparmor.h"

#include <doctest/doctest.h>
#include <fnmatch.h>

#include "base/text.h"
#include "engine/security.h"

namespace panal {

TEST_CASE("under which AppArmor profile a container runs") {
  HostConfig plain, named, free, privileged;
  named.security_opt = {"apparmor=mine"}, free.security_opt = {"apparmor:unconfined"};
  privileged.privileged = true, privileged.security_opt = {"apparmor=mine"};
  HostLimits none, kernel_only, full;
  kernel_only.apparmor = full.apparmor = full.apparmor_default = true;
  for (const auto* host : {&plain, &named, &free, &privileged}) CHECK(apparmor_profile_of(*host, none) == "");
  CHECK(apparmor_profile_of(plain, kernel_only) == "");
  CHECK(apparmor_profile_of(named, kernel_only) == "mine");
  CHECK(apparmor_profile_of(plain, full) == "docker-default");
  CHECK(apparmor_profile_of(named, full) == "mine");
  CHECK(apparmor_profile_of(free, full) == "unconfined");
  CHECK(apparmor_profile_of(privileged, full) == "unconfined");
}

// Whether a rule of the profile that begins with "deny" names this path and this kind of access.
static bool denied(const std::string& profile, const std::string& path, char access) {
  for (const auto& line : split(profile, '\n')) {
    const auto words = split(trim(line), ' ');
    if (words.size() != 3 || words[0] != "deny" || words[2].find(access) == std::string::npos) continue;
    const size_t open = words[1].find('{'), close = words[1].find('}');
    std::vector<std::string> patterns = {words[1]};
    if (open != std::string::npos) {
      patterns.clear();
      for (const auto& one : split(words[1].substr(open + 1, close - open - 1), ','))
        patterns.push_back(words[1].substr(0, open) + one + words[1].substr(close + 1));
    }
    for (const auto& pattern : patterns)
      if (::fnmatch(pattern.c_str(), path.c_str(), 0) == 0) return true;
  }
  return false;
}

TEST_CASE("what the default AppArmor profile keeps from a container") {
  const std::string profile = default_apparmor_profile("unconfined");
  for (const auto* path :
       {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches",
        "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/proc/acpi/wakeup", "/proc/mtrr",
        "/sys/kernel/uevent_helper", "/sys/fs/selinux/load", "/sys/fs/bpf/x", "/sys/firmware/efi",
        "/sys/power/state", "/sys/kernel/security/apparmor/.remove"})
    CHECK_MESSAGE(denied(profile, path, 'w'), std::string(path));
  for (const auto* path : {"/proc/kcore", "/sys/firmware/acpi/tables/X", "/sys/kernel/security/lsm",
                           "/sys/devices/virtual/powercap/intel-rapl/x"})
    CHECK_MESSAGE(denied(profile, path, 'r'), std::string(path));
  for (const auto* path : {"/proc/1/oom_score_adj", "/proc/97/attr/exec", "/proc/sys/kernel/shmmax",
                           "/sys/fs/cgroup/a/cgroup.procs", "/srv/x", "/dev/shm/x"})
    CHECK_MESSAGE(!denied(profile, path, 'w'), std::string(path));
  for (const auto* path : {"/proc/meminfo", "/proc/sys/kernel/hostname", "/sys/class/net/eth0"})
    CHECK_MESSAGE(!denied(profile, path, 'r'), std::string(path));
  CHECK(profile.find("panald") == std::string::npos);
  CHECK(default_apparmor_profile("panald").find("peer={unconfined,crun,runc,conmon,panald}") !=
        std::string::npos);
}

}  // namespace panal
