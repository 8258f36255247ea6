#include "engine/apparmor.h"

#include <string_view>

#include "engine/security.h"

namespace panal {

std::string apparmor_profile_of(const HostConfig& host, const HostLimits& machine) {
  if (!machine.apparmor) return "";
  if (host.privileged) return "unconfined";
  const auto security = parse_security_options(host.security_opt);
  if (security && !security->apparmor.empty()) return security->apparmor;
  return machine.apparmor_default ? kDefaultAppArmorProfile : "";
}

// The language knows no "all below this folder but that": one pattern for each place where a path can part
// from what is kept. `also` joins the characters that may follow the folder.
static std::string denied_beside(std::string_view folder, std::string_view kept, std::string_view also,
                                 std::string_view what) {
  std::string out;
  for (size_t i = 0; i < kept.size(); ++i) {
    out += "  deny " + std::string(folder) + std::string(kept.substr(0, i)) + "[^" + kept[i];
    if (i == 0) out += also;
    out += "]** " + std::string(what) + ",\n";
  }
  return out;
}

std::string default_apparmor_profile(const std::string& daemon) {
  const std::string self = kDefaultAppArmorProfile;
  std::string out = "profile " + self + " flags=(attach_disconnected, mediate_deleted) {\n";
  out += "  capability,\n  file,\n  network,\n  umount,\n  unix,\n\n";
  // Who may reach in: each other, and the host's programs; nothing reaches out.
  out += "  signal (send, receive) peer=" + self + ",\n";
  out += "  signal (receive) peer={unconfined,crun,runc,conmon";
  if (!daemon.empty() && daemon != "unconfined") out += "," + daemon;
  out += "},\n";
  out += "  ptrace (trace, read, tracedby, readby) peer=" + self + ",\n";
  out += "  ptrace (tracedby, readby) peer=unconfined,\n\n";
  out += "  deny mount,\n";
  // In /proc a program writes to what belongs to processes, and to its own namespace's shared memory limits.
  out += denied_beside("/proc/", "sys/kernel/shm", "1-9", "wl");
  out += "  deny /proc/{kcore,sysrq-trigger} rwklx,\n";
  out += denied_beside("/sys/", "fs/cgroup/", "", "wklx");
  out += "  deny /sys/{firmware,kernel/security,devices/virtual/powercap}/** rwklx,\n";
  return out + "}\n";
}

}  // namespace panal
