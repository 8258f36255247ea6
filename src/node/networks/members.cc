// Who is on which network: addresses, interfaces, default routes.
#include <algorithm>

#include "network/address.h"
#include "network/endpoint_options.h"
#include "node/networks/networks.h"

namespace panal {

BridgeOptions options_of(const Network& n) {
  auto read = n.driver == "bridge" ? read_bridge_options(n.options) : BridgeOptions{};
  return read ? *read : BridgeOptions{};
}

static EndpointOptions options_of(const Endpoint& e) {
  return read_endpoint_options(e.driver_opts).value_or(EndpointOptions{});
}

std::string interface_name(const Network& n, const Endpoint& e, int index) {
  if (const auto own = options_of(e).interface; !own.empty() && !n.ingress) return own;
  return options_of(n).interface_prefix + std::to_string(index);
}

std::set<IpAddress> Networks::taken(const Network& n) const {
  std::set<IpAddress> out;
  const auto note = [&](const std::string& text) {
    if (auto ip = parse_ip(text.substr(0, text.find('/')))) out.insert(*ip);
  };
  for (const auto& pool : n.pools) {
    if (const auto subnet = parse_subnet(pool.subnet); subnet && !subnet->base.six && subnet->prefix < 31)
      out.insert({subnet->first(), subnet->last()});  // the network itself, and all of it
    note(pool.gateway);
    for (const auto& [name, address] : pool.auxiliary) note(address);
  }
  for (const auto& [id, m] : members(n.id)) note(m.address_cidr), note(m.address6_cidr);
  return out;
}

Result<IpAddress> Networks::choose_address(const Network& n, bool six, const std::string& wanted) {
  const IpamPool* pool = pool_of(n, six);
  const auto subnet = pool ? parse_subnet(pool->subnet) : std::nullopt;
  const auto used = taken(n);
  if (!wanted.empty()) {
    const auto ip = parse_ip(wanted);
    if (!ip || ip->six != six)
      return fail(Code::kInvalid, std::string("invalid IPv") + (six ? "6" : "4") + " address: " + wanted);
    if (!subnet || !subnet->contains(*ip))
      return fail(Code::kInvalid, "invalid config for network " + n.name +
                                      ": no configured subnet contains IP address " + wanted);
    if (n.driver == "bridge" && used.contains(*ip)) return fail(Code::kForbidden, "Address already in use");
    return *ip;
  }
  // The lowest that is free, as in Docker: a container that is started again has the one it had.
  const auto ip = free_ip(*subnet, parse_subnet(pool->ip_range).value_or(*subnet), used, {});
  if (!ip)
    return fail(Code::kForbidden, std::string("no available IPv") + (six ? "6" : "4") +
                                      " addresses on this network's address pools: " + n.name + " (" + n.id +
                                      ")");
  return *ip;
}

static Networks::Member member_of(const Container& c, const Endpoint& e, const Network& n) {
  Networks::Member m{c.id, c.name, e.endpoint_id, e.mac_address, "", "", {}};
  if (!e.ip_address.empty()) m.address_cidr = e.ip_address + "/" + std::to_string(e.ip_prefix_len);
  if (!e.ip6_address.empty()) m.address6_cidr = e.ip6_address + "/" + std::to_string(e.ip6_prefix_len);
  if (n.name == "bridge") return m;  // the default bridge knows no names
  m.names = e.dns_names;
  return m;
}

Task<Result<>> Networks::ensure_egress_bridge() {
  auto held = co_await egress_.lock(loop_);  // the row is there before the bridge
  if (find(kEgressBridge)) co_return Result<>{};
  Network n;
  n.name = kEgressBridge;
  n.options = {{"com.docker.network.bridge.enable_icc", "false"},
               {"com.docker.network.bridge.name", kEgressBridge}};
  auto made = co_await create(n);
  if (!made && made.error().code != Code::kConflict) co_return std::unexpected(made.error());
  co_return Result<>{};
}

// A plain container on a network of the cluster has its place from the managers; theirs is also the network
// itself.
Task<Result<>> Networks::attach_if_cluster(const Container& c, const std::string& network_name, Endpoint& e,
                                           std::string& address) {
  e.attachment.clear();
  const auto known = find(network_name);
  if (c.managed_by_swarm || !attach_cluster || (known && (*known)->driver != "overlay")) co_return Result<>{};
  e.attachment = entropy_.swarm_id();
  auto place = co_await attach_cluster(c, network_name, e);
  if (!place) {
    e.attachment.clear();
    if (!known && place.error().code == Code::kNotFound) co_return std::unexpected(known.error());
    co_return std::unexpected(place.error());
  }
  address = place->address.substr(0, place->address.find('/'));
  co_return Result<>{};
}

Task<Result<>> Networks::connect(const Container& c, const std::string& network_name, Endpoint& e, int index,
                                 DefaultRoutes routes) {
  std::string wanted = e.ipam.ipv4_address;
  CO_TRYV(co_await attach_if_cluster(c, network_name, e, wanted));
  auto done = co_await plug_in(c, network_name, e, index, routes, wanted);
  if (!done && !e.attachment.empty()) detach_cluster(std::exchange(e.attachment, ""));
  co_return done;
}

Task<Result<>> Networks::plug_in(const Container& c, const std::string& network_name, Endpoint& e, int index,
                                 DefaultRoutes routes, const std::string& wanted) {
  CO_TRY(const Network* found, find(network_name));
  const Network n = *found;
  if (n.pools.empty()) co_return fail(Code::kForbidden, "container cannot be connected to network " + n.name);
  const IpamPool *four = pool_of(n, false), *six = pool_of(n, true);
  e.ip_address.clear(), e.gateway.clear(), e.ip_prefix_len = 0;
  e.ip6_address.clear(), e.gateway6.clear(), e.ip6_prefix_len = 0;
  Ip4 last_digits = 0;  // of its address, for the MAC
  if (four || !wanted.empty()) {
    CO_TRY(const IpAddress ip, choose_address(n, false, wanted));
    last_digits = static_cast<Ip4>(ip.value);
    e.ip_address = ip_text(ip), e.ip_prefix_len = parse_subnet(four->subnet)->prefix;
    if (n.driver == "bridge" && !n.internal) e.gateway = four->gateway;
  }
  if (six || !e.ipam.ipv6_address.empty()) {
    CO_TRY(const IpAddress ip6, choose_address(n, true, e.ipam.ipv6_address));
    if (!four) last_digits = static_cast<Ip4>(ip6.value);
    e.ip6_address = ip_text(ip6), e.ip6_prefix_len = parse_subnet(six->subnet)->prefix;
    if (!n.internal) e.gateway6 = six->gateway;
  }
  if (e.endpoint_id.empty()) e.endpoint_id = entropy_.hex_id();
  e.network_id = n.id;
  if (e.wanted_mac.empty() && !e.mac_address.empty()) e.wanted_mac = e.mac_address;
  e.mac_address = e.wanted_mac.empty() || n.driver == "overlay" ? mac_of(last_digits) : e.wanted_mac;
  e.index = index;
  e.dns_names.clear();
  for (const std::string& name : {c.name, c.id.substr(0, 12), c.hostname})
    if (!name.empty() && std::ranges::find(e.dns_names, name) == e.dns_names.end())
      e.dns_names.push_back(name);
  for (const auto& alias : e.aliases)
    if (std::ranges::find(e.dns_names, alias) == e.dns_names.end()) e.dns_names.push_back(alias);
  members_[n.id][c.id] = member_of(c, e, n);  // reserves the address before the first wait
  networks_of_[c.id].push_back(n.id);

  const std::string ns = namespace_path(c.id);
  const BridgeOptions options = options_of(n);
  Result<> done;
  if (n.ingress) {
    done = co_await kernel_.attach_mesh(ns, "t-" + host_end(c, index).substr(4), interface_name(n, e, index),
                                        e.ip_address);
  } else {
    AttachPlan plan;
    plan.ns_path = ns, plan.name = interface_name(n, e, index), plan.host_name = host_end(c, index),
    plan.mac = e.mac_address, plan.sysctls = options_of(e).sysctls;
    if (!e.ip_address.empty()) plan.addresses.push_back(e.ip_address + "/" + std::to_string(e.ip_prefix_len));
    if (!e.ip6_address.empty())
      plan.addresses.push_back(e.ip6_address + "/" + std::to_string(e.ip6_prefix_len));
    for (const auto& ip : e.ipam.link_local_ips)
      plan.addresses.push_back(ip + (ip.contains(':') ? "/64" : "/16"));
    if (routes.four && !e.gateway.empty()) plan.gateways.push_back(e.gateway);
    if (routes.six && !e.gateway6.empty()) plan.gateways.push_back(e.gateway6);
    plan.mtu = options.mtu, plan.isolated = !options.icc;
    if (n.driver == "overlay")
      plan.bridge = "br0", plan.bridge_ns = sandbox_path(n.id), plan.mtu = 1450;
    else
      plan.bridge = n.bridge;
    done = co_await kernel_.attach(plan);
  }
  if (!done) {
    members_[n.id].erase(c.id);
    std::erase(networks_of_[c.id], n.id);
    co_return std::unexpected(wrap("failed to set up container networking", done.error()));
  }
  events_.publish("network", "connect", n.id, {{"container", c.id}, {"name", n.name}, {"type", n.driver}});
  co_return Result<>{};
}

Task<Result<>> Networks::disconnect(const Container& c, const std::string& network_name, Endpoint& e,
                                    int index, bool namespace_gone) {
  auto found = find(network_name);
  const std::string id = found ? (*found)->id : e.network_id,
                    interface = interface_name(found ? **found : Network{}, e, index);
  const bool was_in = members_[id].erase(c.id) != 0;
  std::erase(networks_of_[c.id], id);
  if (networks_of_[c.id].empty()) networks_of_.erase(c.id), own_dns_.erase(c.id);
  Result<> done;
  if (!namespace_gone) done = co_await kernel_.detach(namespace_path(c.id), interface);
  e.ip_address.clear(), e.gateway.clear(), e.endpoint_id.clear(), e.ip_prefix_len = 0, e.mac_address.clear(),
                                                                  e.index = -1;
  e.ip6_address.clear(), e.gateway6.clear(), e.ip6_prefix_len = 0;
  if (!e.attachment.empty() && detach_cluster) detach_cluster(std::exchange(e.attachment, ""));
  if (auto still = find(network_name); still && was_in)
    events_.publish("network", "disconnect", id,
                    {{"container", c.id}, {"name", network_name}, {"type", (*still)->driver}});
  co_return done;
}

void Networks::renamed(Container& c, const std::string& old) {
  for (auto& [name, e] : c.networks) {
    std::ranges::replace(e.dns_names, old, c.name);
    const auto members = members_.find(e.network_id);
    if (members == members_.end()) continue;
    if (const auto m = members->second.find(c.id); m != members->second.end()) {
      m->second.container_name = c.name;
      std::ranges::replace(m->second.names, old, c.name);
    }
  }
}

void Networks::readopt(const Container& c, const std::string& network_name, const Endpoint& e) {
  auto found = find(network_name);
  if (!found || (e.ip_address.empty() && e.ip6_address.empty())) return;
  members_[(*found)->id][c.id] = member_of(c, e, **found);
  networks_of_[c.id].push_back((*found)->id);
}

Task<Result<bool>> Networks::restore(const Container& c, const std::string& network_name, Endpoint& e) {
  auto found = find(network_name);
  if (!found || (*found)->driver != "bridge" || e.index < 0 || kernel_.interface_exists(host_end(c, e.index)))
    co_return false;
  members_[(*found)->id].erase(c.id);  // which has its address
  std::erase(networks_of_[c.id], (*found)->id);
  Endpoint again = e;
  again.ipam = {e.ip_address, e.ip6_address};
  CO_TRYV(co_await plug_in(c, network_name, again, e.index, {}, e.ip_address));
  again.ipam = e.ipam;
  e = std::move(again);
  co_return true;
}

Task<void> Networks::unplug_others(const std::set<std::string>& ids, const std::set<std::string>& known) {
  std::set<std::string> starts;  // of our containers: another engine's interfaces are called alike
  for (const auto& id : ids) starts.insert("veth" + id.substr(0, 7));
  const auto ends = kernel_.interfaces("veth");
  if (!ends) co_return;
  for (const auto& name : *ends)
    if (name.size() > 11 && starts.contains(name.substr(0, 11)) && !known.contains(name))
      (void)co_await kernel_.remove_interface(name);
}

std::vector<std::string> Networks::gateway_order(const Container& c) const {
  std::vector<std::string> order;
  for (const auto& [name, e] : c.networks) order.push_back(name);
  std::ranges::stable_sort(order, {}, [&](const std::string& name) {
    auto n = find(name);
    const int rank = !n ? 3 : (*n)->ingress ? 0 : name == c.host.network_mode ? 1 : 2;
    return std::pair{rank == 0 ? std::numeric_limits<int>::min() : -c.networks.at(name).gateway_priority,
                     rank};
  });
  return order;
}

Task<Result<>> Networks::settle_routes(const Container& c) {
  DefaultRoutes have;
  for (const auto& name : gateway_order(c)) {
    auto n = find(name);
    const Endpoint& e = c.networks.at(name);
    if (!n || e.index < 0) continue;
    if ((*n)->ingress) have.four = true;  // the mesh leads out
    std::vector<std::string> gateways;
    if (!std::exchange(have.four, have.four || !e.gateway.empty()) && !e.gateway.empty())
      gateways.push_back(e.gateway);
    if (!std::exchange(have.six, have.six || !e.gateway6.empty()) && !e.gateway6.empty())
      gateways.push_back(e.gateway6);
    if (!gateways.empty())
      CO_TRYV(co_await kernel_.set_gateways(namespace_path(c.id), interface_name(**n, e, e.index),
                                            std::move(gateways)));
  }
  co_return Result<>{};
}

std::vector<std::string> Networks::host_gateways() const {
  std::vector<std::string> out;
  for (const auto& [id, n] : networks_)
    if (n.name == "bridge")
      for (const auto& pool : n.pools) out.push_back(pool.gateway);
  return out;
}

}  // namespace panal
