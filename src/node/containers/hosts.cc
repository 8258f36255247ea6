// The files that tell a container of names: /etc/hosts, /etc/hostname, /etc/resolv.conf.
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "node/containers/containers.h"

namespace panal {

std::string Containers::hosts_text(const Container& c) const {
  std::string out = c.host.network_mode == "host" ? read_file("/etc/hosts", 1 << 20).value_or("") : "";
  if (out.empty())
    out =
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
        "ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-"
        "allrouters\n";
  std::string own =
      c.hostname + (c.config.domainname.empty() ? "" : "." + c.config.domainname + " " + c.hostname);
  if (const size_t dot = c.hostname.find('.'); dot != std::string::npos && c.config.domainname.empty())
    own += " " + c.hostname.substr(0, dot);
  for (const auto& [name, e] : c.networks)
    for (const auto& address : {e.ip_address, e.ip6_address})
      if (!address.empty()) out += address + "\t" + own + "\n";
  for (const auto& link : linked(c)) {
    std::string names = link.alias;
    for (const auto& name : {link.live->c.hostname, link.live->c.name})
      if (!name.empty() && name != link.alias) names += " " + name;
    out += link.address + "\t" + names + "\n";
  }
  for (const auto& extra : c.host.extra_hosts) {
    const size_t cut = extra.find_first_of("=:");
    if (cut == std::string::npos) continue;
    std::string ip = extra.substr(cut + 1);
    if (ip.starts_with('[') && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
    for (const auto& address : ip == "host-gateway" ? networks_.host_gateways() : std::vector{ip})
      out += address + "\t" + extra.substr(0, cut) + "\n";
  }
  return out;
}

Result<> Containers::write_files(const Container& c) {
  if (c.config.network_disabled) return {};
  const auto write = [&](const char* name, const std::string& text) -> Result<> {
    const std::string file = dir(c) + name;
    TRYV(write_file(file, text));
    if (c.state.root_uid && ::chown(file.c_str(), c.state.root_uid, c.state.root_gid) != 0)
      return fail(sys_error(errno, "chown", file));
    return {};
  };
  TRYV(write("/hosts", hosts_text(c)));
  TRYV(write("/hostname", c.hostname.empty() ? read_file("/proc/sys/kernel/hostname", 256).value_or("")
                                             : c.hostname + "\n"));
  return write("/resolv.conf", networks_.resolv_conf(c, knows_names(c)));
}

}  // namespace panal
