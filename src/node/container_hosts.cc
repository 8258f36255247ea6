// The files that tell a container of names: /etc/hosts, /etc/hostname, /etc/resolv.conf.
#include "base/fd.h"
#include "base/text.h"
#include "node/containers.h"

namespace panal {

std::string Containers::hosts_text(const Container& c) const {
  std::string out = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
  std::string gateway;
  for (const auto& [name, e] : c.networks) {
    if (!e.ip_address.empty()) out += e.ip_address + "\t" + c.hostname + (c.config.domainname.empty() ? "" : "." + c.config.domainname + " " + c.hostname) + "\n";
    if (!e.gateway.empty()) gateway = e.gateway;
  }
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
    if (ip == "host-gateway") ip = gateway;
    out += ip + "\t" + extra.substr(0, cut) + "\n";
  }
  return out;
}

std::string Containers::resolv_text(const Container& c) const {
  std::string out;
  const bool own_names = !c.networks.empty() && !(c.networks.size() == 1 && c.networks.begin()->first == "bridge");
  if (own_names) out += "nameserver 127.0.0.11\n";
  else
    for (const auto& server : !c.host.dns.empty() ? c.host.dns : networks_.dns_servers()) out += "nameserver " + server + "\n";
  if (!c.host.dns_search.empty()) out += "search " + panal::join(c.host.dns_search, " ") + "\n";
  std::vector<std::string> options = c.host.dns_options;
  if (own_names) options.push_back("ndots:0");
  if (!options.empty()) out += "options " + panal::join(options, " ") + "\n";
  return out;
}

Result<> Containers::write_files(const Container& c) {
  TRYV(write_file(dir(c) + "/hosts", hosts_text(c)));
  TRYV(write_file(dir(c) + "/hostname", c.hostname + "\n"));
  return write_file(dir(c) + "/resolv.conf", resolv_text(c));
}

}  // namespace panal
