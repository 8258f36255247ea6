// A container's part in networks: at its start and end, and while it runs.
#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "network/address.h"
#include "network/endpoint_options.h"
#include "node/containers/containers.h"

namespace panal {

Result<> check_endpoint(Endpoint& e) {
  TRYV(read_endpoint_options(e.driver_opts));
  for (const auto& ip : e.ipam.link_local_ips) {
    const auto address = parse_ip(ip);
    if (!address || ip == "0.0.0.0" || ip == "::")
      return fail(Code::kInvalid, "invalid link-local IP address: " + ip.substr(0, 64));
  }
  if (e.mac_address.empty()) return {};
  const auto mac = normal_mac(e.mac_address);
  if (!mac) return fail(Code::kInvalid, "invalid MAC address " + e.mac_address.substr(0, 64));
  e.mac_address = *mac;
  return {};
}

Result<> check_endpoint_on(const Network& n, const Endpoint& e) {
  if (n.name != "bridge" && !n.pools.empty()) return {};
  if (!e.ipam.ipv4_address.empty() || !e.ipam.ipv6_address.empty())
    return fail(Code::kInvalid, "user specified IP address is supported on user defined networks only");
  if (!e.aliases.empty() && !n.pools.empty())
    return fail(Code::kInvalid,
                "network-scoped alias is supported only for containers in user defined networks");
  return {};
}

bool Containers::knows_names(const Container& c) {
  return std::ranges::any_of(c.networks, [](const auto& n) { return n.first != "bridge"; });
}

static std::vector<PortWish> wished_ports(const Container& c) {
  std::vector<PortWish> out;
  const auto parse = [](const std::string& text) {
    const size_t slash = text.find('/');
    PortWish w;
    w.port = static_cast<uint16_t>(parse_int(text.substr(0, slash)).value_or(0));
    w.protocol = slash == std::string::npos ? "tcp" : text.substr(slash + 1);
    return w;
  };
  for (const auto& [port, bindings] : c.host.port_bindings) {
    if (!bindings) continue;
    for (const auto& b : *bindings) {
      PortWish w = parse(port);
      w.host_ip = b.host_ip;
      if (const auto range = parse_port_range(b.host_port)) std::tie(w.first, w.last) = *range;
      out.push_back(w);
    }
  }
  if (c.host.publish_all_ports)
    for (const auto& [port, nothing] : c.config.exposed_ports)
      if (!c.host.port_bindings.contains(port)) out.push_back(parse(port));
  return out;
}

Task<Result<>> Containers::publish(Container& c, std::vector<PortWish> wishes) {
  const auto target = networks_.port_target(c);
  if (wishes.empty() || !target.any()) co_return Result<>{};
  CO_TRY(c.ports, networks_.reserve(c, target, wishes));
  CO_TRYV(co_await store(c));  // known before it is made: after a crash they are taken back
  co_return co_await networks_.kernel().publish(c.ports);
}

Task<Result<>> Containers::set_up_network(LivePtr live) {
  Container& c = live->c;
  if (network_mode(c) == "host" || joins_network(c)) co_return Result<>{};
  const std::string ns = networks_.namespace_path(c.id);
  CO_TRY(auto owner, namespace_owner(c));
  CO_TRYV(co_await networks_.kernel().create_namespace(ns, std::move(owner)));
  int index = 0;
  Networks::DefaultRoutes wanted{true, true};
  bool leads_out = false;  // over an overlay, which has no gateway
  for (const auto& name : networks_.gateway_order(c)) {
    Endpoint& e = c.networks[name];
    CO_TRYV(co_await networks_.connect(c, name, e, index++, wanted));
    auto n = networks_.find(name);
    if (!e.gateway.empty() || (n && (*n)->ingress)) wanted.four = false;
    if (!e.gateway6.empty()) wanted.six = false;
    leads_out |= n && (*n)->driver == "overlay" && !(*n)->internal;
  }
  if (leads_out && wanted.four && !c.networks.contains(kEgressBridge)) {
    CO_TRYV(co_await networks_.ensure_egress_bridge());
    Endpoint egress;
    CO_TRYV(co_await networks_.connect(c, kEgressBridge, egress, index++, wanted));
    c.networks[kEgressBridge] = std::move(egress);
  }
  CO_TRYV(co_await publish(c, wished_ports(c)));
  if (knows_names(c)) CO_TRYV(co_await networks_.serve_names(c));
  co_return Result<>{};
}

Task<void> Containers::tear_down_network(LivePtr live) {
  Container& c = live->c;
  if (network_mode(c) == "host" || joins_network(c)) co_return;
  co_await networks_.unpublish(std::exchange(c.ports, {}));
  int index = 0;
  for (auto& [name, e] : c.networks) (void)co_await networks_.disconnect(c, name, e, index++, true);
  if (!c.managed_by_swarm && c.host.network_mode != kEgressBridge) c.networks.erase(kEgressBridge);
  if (auto gone = co_await networks_.kernel().remove_namespace(networks_.namespace_path(c.id)); !gone)
    log::warn("msg=\"remove network namespace\" container={} error=\"{}\"", c.id, gone.error().message);
}

// After a network came or went: default routes and published ports follow, with their numbers.
Task<Result<>> Containers::settle_network(LivePtr live) {
  Container& c = live->c;
  CO_TRYV(co_await networks_.settle_routes(c));
  const auto target = networks_.port_target(c);
  const bool stays = std::ranges::all_of(
      c.ports, [&](const PublishedPort& p) { return p.to == target.four || p.to == target.six; });
  if (stays && !c.ports.empty()) co_return write_files(c);
  std::vector<PortWish> wish;
  for (const auto& p : c.ports) wish.push_back({p.host_ip, p.protocol, p.port, p.host_port, p.host_port});
  if (wish.empty()) wish = wished_ports(c);
  co_await networks_.unpublish(std::exchange(c.ports, {}));
  CO_TRYV(co_await publish(c, std::move(wish)));
  co_return write_files(c);
}

Task<Result<>> Containers::connect(LivePtr live, std::string network, Endpoint endpoint) {
  auto held = co_await live->mutex.lock(loop_);
  Container& c = live->c;
  CO_TRYV(check_endpoint(endpoint));
  const auto n = networks_.find(network);
  if (!n && !is_up(c.state.phase)) co_return std::unexpected(n.error());
  const std::string name = n ? (*n)->name : network,
                    driver = n ? (*n)->driver : "";  // one of the cluster's may not be known here yet
  if (c.networks.contains(name))
    co_return fail(Code::kForbidden, "endpoint with name " + c.name + " already exists in network " + name);
  if (network_mode(c) == "host" || joins_network(c))
    co_return fail(Code::kForbidden,
                   "container sharing network namespace with another container or host cannot be connected "
                   "to any other network");
  if (on_none(c) && !c.managed_by_swarm)
    co_return fail(Code::kForbidden,
                   "container cannot be connected to multiple networks with one of the networks in private "
                   "(none) mode");
  if (driver == "host" || driver == "null")
    co_return fail(Code::kForbidden, "container cannot be connected to network " + name);
  if (n) {
    CO_TRYV(check_endpoint_on(**n, endpoint));
    endpoint.network_id = (*n)->id;
  }
  if (!is_up(c.state.phase)) {
    c.networks[name] = std::move(endpoint);
    changed(live);
    co_return co_await store(c);
  }
  int index = 0;  // the first free interface number
  while (std::ranges::any_of(c.networks, [&](const auto& n) { return n.second.index == index; })) ++index;
  CO_TRYV(co_await networks_.connect(c, name, endpoint, index, {}));
  c.networks[name] = endpoint;
  const auto finish = [&]() -> Task<Result<>> {
    if (name != "bridge") CO_TRYV(co_await networks_.serve_names(c));
    CO_TRYV(co_await settle_network(live));
    refresh_linking(c);
    co_return Result<>{};
  };
  if (auto done = co_await finish(); !done) {
    c.networks.erase(name);
    (void)co_await networks_.disconnect(c, name, endpoint, index, false);
    co_return done;
  }
  changed(live);
  co_return co_await store(c);
}

Task<Result<>> Containers::disconnect(LivePtr live, std::string network, bool force) {
  auto held = co_await live->mutex.lock(loop_);
  Container& c = live->c;
  auto n = networks_.find(network);
  if (!n && !force) co_return std::unexpected(n.error());
  const std::string name = n ? (*n)->name : network;
  if (name == "none" && on_none(c) && !c.config.network_disabled && !c.managed_by_swarm) {
    c.left_none = true;
    if (is_up(c.state.phase))
      events_.publish("network", "disconnect", (*n)->id,
                      {{"container", c.id}, {"name", name}, {"type", (*n)->driver}});
    changed(live);
    co_return co_await store(c);
  }
  auto it = c.networks.find(name);
  if (it == c.networks.end())
    co_return fail(Code::kForbidden, "container " + c.id + " is not connected to network " + name);
  Endpoint gone = std::move(it->second);
  c.networks.erase(it);
  if (is_up(c.state.phase)) {
    (void)co_await networks_.disconnect(c, name, gone, gone.index, false);
    if (auto settled = co_await settle_network(live); !settled)
      log::warn("msg=\"after a disconnect\" container={} error=\"{}\"", c.id, settled.error().message);
  }
  changed(live);
  co_return co_await store(c);
}

}  // namespace panal
