// Names: what a container's resolver at 127.0.0.11 is answered, and the resolv.conf it gets.
#include <algorithm>

#include "base/text.h"
#include "network/dns.h"
#include "node/networks/networks.h"

namespace panal {

std::string Networks::resolv_conf(const Container& c, bool own_names) const {
  return container_resolv_conf(paths_.host_resolver(), paths_.defaults.resolv,
                               {c.host.dns, c.host.dns_search, c.host.dns_options}, own_names);
}

Task<Result<>> Networks::serve_names(const Container& c) {
  const std::string id = c.id;
  if (!c.host.dns.empty()) own_dns_[id] = c.host.dns;
  auto answer_fn = [this, id](std::string query, KernelNetwork::DnsVia via) {
    return reply(id, std::move(query), via);
  };
  return kernel_.serve_dns(namespace_path(id), answer_fn);
}

Task<std::string> Networks::reply(std::string container_id, std::string query, KernelNetwork::DnsVia via) {
  const size_t room = via == KernelNetwork::DnsVia::kUdp ? dns_udp_room(query) : 65535;
  co_return dns_cut(co_await answer(std::move(container_id), std::move(query), via), room);
}

static std::string without_prefix(const std::string& cidr) { return cidr.substr(0, cidr.find('/')); }

Task<std::string> Networks::answer(std::string container_id, std::string query, KernelNetwork::DnsVia via) {
  const auto question = parse_dns_query(query);
  if (!question) co_return dns_error(query, 1);
  const auto mine = networks_of_.find(container_id);
  bool leads_out = mine == networks_of_.end();
  if (!leads_out)
    for (const auto& id : mine->second) leads_out |= networks_.contains(id) && !networks_.at(id).internal;
  if (mine != networks_of_.end() && question->klass == 1) {
    const auto reverse = question->type == kDnsPtr ? reverse_name(question->name) : std::nullopt;
    if (const auto linked = linked_addresses(container_id, question->name); !linked.empty()) {
      std::vector<std::string> found;
      for (const auto& address : linked)
        if (!address.empty() && question->type == (address.contains(':') ? kDnsAaaa : kDnsA))
          found.push_back(address);
      co_return dns_answer(query, found);
    }
    for (const auto& network_id : mine->second) {
      const auto n = networks_.find(network_id);
      if (n == networks_.end()) continue;
      if (cluster_names && n->second.driver == "overlay" && !reverse)
        if (auto addresses = cluster_names(network_id, question->name))
          co_return dns_answer(query, question->type == kDnsA ? *addresses : std::vector<std::string>{});
      std::vector<std::string> found;
      bool known = false;
      for (const auto& [id, m] : members(network_id)) {
        const std::string four = without_prefix(m.address_cidr), six = without_prefix(m.address6_cidr);
        if (reverse && (four == *reverse || six == *reverse) && !m.names.empty())
          co_return dns_ptr_answer(query, m.names[0] + "." + n->second.name);
        if (std::ranges::none_of(m.names, [&](const std::string& name) {
              return lower(name) == question->name || lower(name + "." + n->second.name) == question->name;
            }))
          continue;
        known = true;
        if (question->type == kDnsA && !four.empty()) found.push_back(four);
        if (question->type == kDnsAaaa && !six.empty()) found.push_back(six);
      }
      if (known) co_return dns_answer(query, found);
    }
  }
  // Who is on internal networks only gets no way out through questions either.
  if (!leads_out) co_return dns_error(query, question->name.find('.') == std::string::npos ? 3 : 2);
  const auto own = own_dns_.find(container_id);
  const auto& daemon = paths_.defaults.resolv.servers;
  const auto servers = own != own_dns_.end() ? own->second
                       : !daemon.empty()     ? daemon
                                             : paths_.host_resolver().servers;
  auto reply = co_await kernel_.forward_dns(query, servers, via);
  if (reply) co_return *reply;
  // A name without a dot that nobody knows does not exist; for others the truth is that no server answered.
  co_return dns_error(query, question->name.find('.') == std::string::npos || servers.empty() ? 3 : 2);
}

}  // namespace panal
