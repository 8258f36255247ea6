#include "node/networks.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "model/image_json.h"
#include "network/dns.h"

namespace panal {

Task<Result<>> Networks::adopt_cluster_network(Network network) {
  const std::string id = network.id;
  const bool known = networks_.contains(id);
  networks_[id] = network;
  if (known) co_return Result<>{};
  co_return co_await db_.put("cluster-network", id, to_text(network));
}

Task<void> Networks::forget_cluster_network(std::string id) {
  networks_.erase(id), members_.erase(id);
  (void)co_await db_.erase("cluster-network", id);
}

Result<> Networks::load() {
  TRY(const auto cluster, db_.all("cluster-network"));  // containers on them are adopted before a manager tells of them again
  for (const auto& [id, json] : cluster) {
    TRY(networks_[id], from_text<Network>(json));
  }
  TRY(const auto rows, db_.all("network"));
  for (const auto& [id, json] : rows) {
    TRY(networks_[id], from_text<Network>(json));
  }
  return {};
}

Task<Result<>> Networks::ensure_kernel(const Network& n) {
  if (n.driver != "bridge") co_return Result<>{};
  BridgePlan plan;
  plan.name = n.bridge;
  const auto option = [&](const char* key) {
    auto it = n.options.find(key);
    return it == n.options.end() ? std::string() : it->second;
  };
  if (auto mtu = parse_int(option("com.docker.network.driver.mtu"))) plan.mtu = static_cast<int>(*mtu);
  plan.internal = n.internal;
  plan.masquerade = option("com.docker.network.bridge.enable_ip_masquerade") != "false";
  const auto subnet = parse_cidr(n.pools.at(0).subnet);
  plan.gateway_cidr = n.pools[0].gateway + "/" + std::to_string(subnet->prefix);
  co_return co_await kernel_.ensure_bridge(plan);
}

// The default bridge follows the settings at each start, as Docker's; its subnet stays unless they name another.
Task<Result<>> Networks::set_up_bridge() {
  const DefaultBridge& b = paths_.bridge;
  const auto known = std::ranges::find_if(networks_, [](const auto& n) { return n.second.name == "bridge"; });
  const bool fresh = known == networks_.end();
  Network n;
  if (!fresh) n = known->second;
  else n.id = entropy_.hex_id(), n.name = "bridge", n.driver = "bridge", n.bridge = b.name, n.created = loop_.wall_now();
  const std::string before = to_text(n);
  const auto text = [](bool on) { return on ? "true" : "false"; };
  n.options = {{"com.docker.network.bridge.default_bridge", "true"}, {"com.docker.network.bridge.enable_icc", text(b.icc)},
               {"com.docker.network.bridge.enable_ip_masquerade", text(b.masquerade)}, {"com.docker.network.bridge.host_binding_ipv4", b.host_ip},
               {"com.docker.network.bridge.name", n.bridge}, {"com.docker.network.driver.mtu", std::to_string(b.mtu)}};
  const auto address = parse_cidr(b.address_cidr);
  const bool moved = address && (n.pools.empty() || n.pools[0].subnet != cidr_text(*address) || n.pools[0].gateway != ip4_text(address->base));
  if (moved) n.pools = {{cidr_text(*address), ip4_text(address->base), ""}};
  if (n.pools.empty()) n.pools.emplace_back();
  n.pools[0].ip_range = b.range;
  if (moved && !fresh) CO_TRYV(co_await kernel_.remove_bridge(n.bridge));  // with its old address
  networks_.erase(n.id);  // it does not overlap with itself
  if (auto chosen = choose_subnet(n); !chosen) co_return fail(wrap("default bridge", chosen.error()));
  if (fresh || to_text(n) != before) CO_TRYV(co_await db_.put("network", n.id, to_text(n)));
  networks_[n.id] = n;
  co_return Result<>{};
}

Task<Result<>> Networks::setup() {
  CO_TRYV(co_await kernel_.setup());
  const auto predefined = [&](const char* name, const char* driver) -> Task<Result<>> {
    for (const auto& [id, n] : networks_)
      if (n.name == name) co_return Result<>{};
    Network n;
    n.id = entropy_.hex_id(), n.name = name, n.driver = driver, n.created = loop_.wall_now();
    CO_TRYV(co_await db_.put("network", n.id, to_text(n)));
    networks_[n.id] = n;
    co_return Result<>{};
  };
  CO_TRYV(co_await set_up_bridge());
  CO_TRYV(co_await predefined("host", "host"));
  CO_TRYV(co_await predefined("none", "null"));
  for (const auto& [id, n] : networks_) CO_TRYV(co_await ensure_kernel(n));
  co_return Result<>{};
}

Result<const Network*> Networks::find(const std::string& name) const {
  const Network* by_prefix = nullptr;
  int matches = 0;
  for (const auto& [id, n] : networks_) {
    if (id == name || n.name == name) return &n;
    if (!name.empty() && id.starts_with(name)) by_prefix = &n, ++matches;
  }
  if (matches == 1) return by_prefix;
  if (matches > 1) return fail(Code::kInvalid, "network " + name + " is ambiguous (" + std::to_string(matches) + " matches found on ID prefix)");
  return fail(Code::kNotFound, "network " + name + " not found");
}

const std::map<std::string, Networks::Member>& Networks::members(const std::string& network_id) const {
  static const std::map<std::string, Member> kNone;
  auto it = members_.find(network_id);
  return it == members_.end() ? kNone : it->second;
}

Result<> Networks::choose_subnet(Network& n) {
  std::vector<Cidr> used;
  for (const auto& [id, other] : networks_)
    for (const auto& pool : other.pools)
      if (auto c = parse_cidr(pool.subnet)) used.push_back(*c);
  if (n.pools.empty() || n.pools[0].subnet.empty()) {
    auto avoid = used;
    if (auto routes = kernel_.host_routes())
      for (const auto& r : *routes)
        if (auto c = parse_cidr(r)) avoid.push_back(*c);
    std::optional<Cidr> found;
    for (const auto& [pool, prefix] : paths_.pools)
      if ((found = free_subnet({pool}, prefix, avoid))) break;
    if (!found) return fail(Code::kInvalid, "all predefined address pools have been fully subnetted");
    if (n.pools.empty()) n.pools.emplace_back();
    n.pools[0].subnet = cidr_text(*found);
  } else {
    const auto c = parse_cidr(n.pools[0].subnet);
    if (!c) return fail(Code::kInvalid, "invalid subnet " + n.pools[0].subnet + " : it must be an IPv4 CIDR (IPv6 is not supported yet)");
    if (c->base != c->first()) return fail(Code::kInvalid, "invalid network config:\ninvalid subnet " + n.pools[0].subnet + ": it should be " + cidr_text(*c));
    for (const auto& u : used)
      if (u.overlaps(*c)) return fail(Code::kForbidden, "invalid pool request: Pool overlaps with other one on this address space");
  }
  const Cidr subnet = *parse_cidr(n.pools[0].subnet);
  if (!n.pools[0].ip_range.empty()) {
    const auto range = parse_cidr(n.pools[0].ip_range);
    if (!range || !subnet.contains(range->first()) || !subnet.contains(range->last())) return fail(Code::kInvalid, "invalid ip-range " + n.pools[0].ip_range + ": it must be inside " + n.pools[0].subnet);
  }
  if (n.pools[0].gateway.empty()) n.pools[0].gateway = ip4_text(subnet.first() + 1);
  const auto gateway = parse_ip4(n.pools[0].gateway);
  if (!gateway || !subnet.contains(*gateway)) return fail(Code::kInvalid, "no matching subnet for gateway " + n.pools[0].gateway);
  return {};
}

Task<Result<std::string>> Networks::create(Network n) {
  if (n.name.empty()) co_return fail(Code::kInvalid, "network name cannot be empty");
  for (const char* reserved : {"default", "container"})
    if (n.name == reserved) co_return fail(Code::kForbidden, "network name '" + n.name + "' is reserved");
  if (n.name == "bridge" || n.name == "host" || n.name == "none")
    co_return fail(Code::kForbidden, "operation is not permitted on predefined " + n.name + " network ");
  for (const auto& [id, other] : networks_)
    if (other.name == n.name) co_return fail(Code::kConflict, "network with name " + n.name + " already exists");
  if (n.driver.empty() || n.driver == "default") n.driver = "bridge";
  if (n.driver != "bridge") co_return fail(Code::kNotFound, "could not find plugin " + n.driver + " in v1 plugin registry: plugin not found");
  if (n.enable_ipv6) co_return fail(Code::kUnsupported, "EnableIPv6 is not supported yet");
  if (n.pools.size() > 1) co_return fail(Code::kUnsupported, "more than one subnet per network is not supported yet");
  for (const auto& [key, value] : n.options)
    if (key != "com.docker.network.bridge.name" && key != "com.docker.network.driver.mtu" && key != "com.docker.network.bridge.enable_icc" && key != "com.docker.network.bridge.enable_ip_masquerade")
      co_return fail(Code::kUnsupported, "network option " + key + " is not supported yet");
  CO_TRYV(choose_subnet(n));
  n.id = entropy_.hex_id(), n.created = loop_.wall_now();
  n.bridge = n.options.contains("com.docker.network.bridge.name") ? n.options["com.docker.network.bridge.name"] : "br-" + n.id.substr(0, 12);
  for (const auto& [id, other] : networks_)
    if (other.bridge == n.bridge) co_return fail(Code::kForbidden, "bridge " + n.bridge + " is used by network " + other.name);
  if (kernel_.interface_exists(n.bridge)) co_return fail(Code::kUnsupported, "interface " + n.bridge + " exists already: taking over a bridge that is not Panal's is not supported yet");
  if (n.bridge.find('/') != std::string::npos) co_return fail(Code::kInvalid, "invalid bridge name " + n.bridge);
  if (n.bridge.size() > 15) co_return fail(Code::kInvalid, "bridge name " + n.bridge + " is longer than 15 characters");
  CO_TRYV(co_await db_.put("network", n.id, to_text(n)));  // announced before it is made: a crash leaves a row that setup() completes
  networks_[n.id] = n;
  if (auto made = co_await ensure_kernel(n); !made) {
    networks_.erase(n.id);
    (void)co_await db_.erase("network", n.id);
    (void)co_await kernel_.remove_bridge(n.bridge);
    co_return std::unexpected(made.error());
  }
  events_.publish("network", "create", n.id, {{"name", n.name}, {"type", n.driver}});
  co_return n.id;
}

Task<Result<>> Networks::remove(const std::string& name) {
  CO_TRY(const Network* found, find(name));
  const Network n = *found;
  if (n.name == "bridge" || n.name == "host" || n.name == "none") co_return fail(Code::kForbidden, n.name + " is a pre-defined network and cannot be removed");
  if (auto& m = members_[n.id]; !m.empty())
    co_return fail(Code::kForbidden, "error while removing network: network " + n.name + " has active endpoints (name:\"" + m.begin()->second.container_name + "\" id:\"" + m.begin()->second.endpoint_id.substr(0, 12) + "\")");
  CO_TRYV(co_await db_.erase("network", n.id));
  networks_.erase(n.id);
  members_.erase(n.id);
  if (n.driver == "bridge") CO_TRYV(co_await kernel_.remove_bridge(n.bridge));
  events_.publish("network", "destroy", n.id, {{"name", n.name}, {"type", n.driver}});
  co_return Result<>{};
}

std::set<Ip4> Networks::taken(const std::string& network_id) const {
  std::set<Ip4> out;
  for (const auto& [id, m] : members(network_id))
    if (auto c = parse_cidr(m.address_cidr)) out.insert(c->base);
  return out;
}

static Networks::Member member_of(const Container& c, const Endpoint& e, const Network& n) {
  Networks::Member m{c.id, c.name, e.endpoint_id, e.mac_address, e.ip_address + "/" + std::to_string(e.ip_prefix_len), {}};
  if (n.name == "bridge") return m;  // the default bridge knows no names
  m.names = e.dns_names;
  return m;
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

Task<Result<>> Networks::connect(const Container& c, const std::string& network_name, Endpoint& e, int index, bool default_route) {
  CO_TRY(const Network* found, find(network_name));
  const Network n = *found;
  if (n.pools.empty()) co_return fail(Code::kForbidden, "container cannot be connected to network " + n.name);
  const Cidr subnet = *parse_cidr(n.pools[0].subnet);
  auto used = taken(n.id);
  if (auto gateway = parse_ip4(n.pools[0].gateway)) used.insert(*gateway);
  std::optional<Ip4> ip;
  if (!e.ipam.ipv4_address.empty()) {
    ip = parse_ip4(e.ipam.ipv4_address);
    if (!ip) co_return fail(Code::kInvalid, "invalid IPv4 address: " + e.ipam.ipv4_address);
    if (!subnet.contains(*ip)) co_return fail(Code::kInvalid, "invalid config for network " + n.name + ": no configured subnet contains IP address " + e.ipam.ipv4_address);
    if (n.driver == "bridge" && used.contains(*ip)) co_return fail(Code::kForbidden, "Address already in use");
  } else {
    Cidr range = subnet;
    if (auto r = parse_cidr(n.pools[0].ip_range)) range = *r;
    ip = free_address(range, used, last_address_[n.id]);
    if (!ip) co_return fail(Code::kForbidden, "no available IPv4 addresses on this network's address pools: " + n.name + " (" + n.id + ")");
    last_address_[n.id] = *ip;
  }
  if (e.endpoint_id.empty()) e.endpoint_id = entropy_.hex_id();
  e.network_id = n.id, e.ip_address = ip4_text(*ip), e.ip_prefix_len = subnet.prefix;
  e.gateway = n.driver == "bridge" && !n.internal ? n.pools[0].gateway : "";
  if (e.wanted_mac.empty() && !e.mac_address.empty()) e.wanted_mac = e.mac_address;
  e.mac_address = e.wanted_mac.empty() || n.driver == "overlay" ? mac_of(*ip) : e.wanted_mac;
  e.index = index;
  e.dns_names.clear();
  for (const std::string& name : {c.name, c.id.substr(0, 12), c.hostname})
    if (!name.empty() && std::ranges::find(e.dns_names, name) == e.dns_names.end()) e.dns_names.push_back(name);
  for (const auto& alias : e.aliases)
    if (std::ranges::find(e.dns_names, alias) == e.dns_names.end()) e.dns_names.push_back(alias);
  members_[n.id][c.id] = member_of(c, e, n);  // reserves the address before the first wait
  networks_of_[c.id].push_back(n.id);

  const std::string ns = namespace_path(c.id), suffix = c.id.substr(0, 7) + std::to_string(index);
  Result<> done;
  if (n.ingress) {
    done = co_await kernel_.attach_mesh(ns, "t-" + suffix, "eth" + std::to_string(index), e.ip_address);
  } else {
    AttachPlan plan;
    plan.ns_path = ns, plan.name = "eth" + std::to_string(index), plan.host_name = "veth" + suffix, plan.mac = e.mac_address;
    plan.address_cidr = e.ip_address + "/" + std::to_string(e.ip_prefix_len), plan.gateway = e.gateway;
    plan.default_route = default_route;
    const auto option = n.options.find("com.docker.network.driver.mtu");
    plan.mtu = option != n.options.end() ? static_cast<int>(parse_int(option->second).value_or(1500)) : 1500;
    if (auto icc = n.options.find("com.docker.network.bridge.enable_icc"); icc != n.options.end() && icc->second == "false") plan.isolated = true;
    if (n.driver == "overlay") plan.bridge = "br0", plan.bridge_ns = sandbox_path(n.id), plan.mtu = 1450;
    else plan.bridge = n.bridge;
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

Task<Result<>> Networks::disconnect(const Container& c, const std::string& network_name, Endpoint& e, int index, bool namespace_gone) {
  auto found = find(network_name);
  const std::string id = found ? (*found)->id : e.network_id;
  const bool was_in = members_[id].erase(c.id) != 0;
  std::erase(networks_of_[c.id], id);
  if (networks_of_[c.id].empty()) networks_of_.erase(c.id), own_dns_.erase(c.id);
  Result<> done;
  if (!namespace_gone) done = co_await kernel_.detach(namespace_path(c.id), "eth" + std::to_string(index));
  e.ip_address.clear(), e.gateway.clear(), e.endpoint_id.clear(), e.ip_prefix_len = 0, e.mac_address.clear(), e.index = -1;
  if (found && was_in) events_.publish("network", "disconnect", id, {{"container", c.id}, {"name", network_name}, {"type", (*found)->driver}});
  co_return done;
}

void Networks::readopt(const Container& c, const std::string& network_name, const Endpoint& e) {
  auto found = find(network_name);
  if (!found || e.ip_address.empty()) return;
  members_[(*found)->id][c.id] = member_of(c, e, **found);
  networks_of_[c.id].push_back((*found)->id);
}

static bool any_host(const std::string& ip) { return ip.empty() || ip == "0.0.0.0" || ip == "::"; }

Result<> Networks::take_port(PublishedPort& p, const std::string& address) {
  const auto reserved = [&] {
    for (const auto& [protocol, ip, port] : ports_)
      if (protocol == p.protocol && port == p.host_port && (any_host(ip) || any_host(p.host_ip) || ip == p.host_ip)) return true;
    return false;
  };
  const auto take = [&] {
    if (reserved() || !kernel_.hold_port(p)) return false;
    ports_.insert({p.protocol, p.host_ip, p.host_port});
    return true;
  };
  const uint16_t first = p.host_port, last = std::exchange(p.last_host_port, uint16_t{0});
  if (first == 0) {
    for (int tries = 0; tries < 256; ++tries) {
      p.host_port = static_cast<uint16_t>(32768 + entropy_.number() % 28232);
      if (take()) return {};
    }
    return fail(Code::kInternal, "all ports are allocated");
  }
  if (last > first) {
    for (int port = first; port <= last; ++port) {
      p.host_port = static_cast<uint16_t>(port);
      if (take()) return {};
    }
    return fail(Code::kInternal, "all ports are allocated");
  }
  const std::string at = p.host_ip + ":" + std::to_string(p.host_port);
  if (reserved()) return fail(Code::kInternal, "Bind for " + at + " failed: port is already allocated");
  if (auto held = kernel_.hold_port(p); !held)
    return fail(Code::kInternal, "failed to bind host port for " + at + ":" + address + ":" + std::to_string(p.port) + "/" + p.protocol + ": " + held.error().message);
  ports_.insert({p.protocol, p.host_ip, p.host_port});
  return {};
}

void Networks::give_back(const PublishedPort& p) {
  kernel_.release_port(p);
  ports_.erase({p.protocol, p.host_ip, p.host_port});
}

static PublishedPort mesh_port(const std::pair<std::string, uint16_t>& key) {
  PublishedPort p;
  p.protocol = key.first, p.host_ip = "0.0.0.0", p.host_port = key.second;
  return p;
}

void Networks::hold_mesh_ports(const std::set<std::pair<std::string, uint16_t>>& wanted) {
  std::erase_if(mesh_ports_, [&](const auto& held) {
    if (wanted.contains(held.first)) return false;
    if (held.second) give_back(mesh_port(held.first));
    return true;
  });
  for (const auto& key : wanted) {
    if (mesh_ports_.contains(key)) continue;
    PublishedPort p = mesh_port(key);
    auto taken = take_port(p, "the routing mesh");
    if (!taken) log::warn("msg=\"a port of the routing mesh is in use on this node\" port={}/{} error=\"{}\"", key.second, key.first, taken.error().message);
    mesh_ports_[key] = taken.has_value();
  }
}

Result<std::vector<PublishedPort>> Networks::reserve(const Container& c, const std::string& address, std::vector<PublishedPort> wish) {
  std::vector<PublishedPort> done;
  for (auto& p : wish) {
    if (auto taken = take_port(p, address); !taken) {
      for (const auto& other : done) give_back(other);
      return fail(wrap("failed to set up container networking: driver failed programming external connectivity on endpoint " + c.name + " (" + c.id.substr(0, 12) + ")", taken.error()));
    }
    done.push_back(p);
  }
  return done;
}

Task<void> Networks::unpublish(const std::string& address, const std::vector<PublishedPort>& ports) {
  if (ports.empty()) co_return;
  if (auto done = co_await kernel_.unpublish(address, ports); !done) log::warn("msg=\"unpublish\" error=\"{}\"", done.error().message);
  for (const auto& p : ports) give_back(p);
}

void Networks::readopt_ports(const std::vector<PublishedPort>& ports) {
  for (const auto& p : ports) {
    ports_.insert({p.protocol, p.host_ip, p.host_port});
    if (auto held = kernel_.hold_port(p); !held)
      log::warn("msg=\"a program of the host took a published port while no engine held it; its clients reach the container\" port={}:{}/{} error=\"{}\"", p.host_ip, p.host_port, p.protocol, held.error().message);
  }
}

Task<Result<>> Networks::serve_names(const Container& c) {
  const std::string id = c.id;
  if (!c.host.dns.empty()) own_dns_[id] = c.host.dns;
  auto answer_fn = [this, id](std::string query) { return answer(id, std::move(query)); };
  return kernel_.serve_dns(namespace_path(id), answer_fn);
}

Task<std::string> Networks::answer(std::string container_id, std::string query) {
  const auto question = parse_dns_query(query);
  if (!question) co_return dns_error(query, 1);
  const auto mine = networks_of_.find(container_id);
  if (mine != networks_of_.end() && question->klass == 1) {
    const auto reverse = question->type == kDnsPtr ? reverse_name(question->name) : std::nullopt;
    for (const auto& network_id : mine->second) {
      const auto n = networks_.find(network_id);
      if (n == networks_.end()) continue;
      if (cluster_names && n->second.driver == "overlay" && !reverse)
        if (auto addresses = cluster_names(network_id, question->name)) co_return dns_answer(query, question->type == kDnsA ? *addresses : std::vector<std::string>{});
      std::vector<std::string> found;
      bool known = false;
      for (const auto& [id, m] : members(network_id)) {
        const std::string address = m.address_cidr.substr(0, m.address_cidr.find('/'));
        if (reverse && address == *reverse && !m.names.empty()) co_return dns_ptr_answer(query, m.names[0] + "." + n->second.name);
        for (const auto& name : m.names)
          if (lower(name) == question->name || lower(name + "." + n->second.name) == question->name) {
            known = true;
            found.push_back(address);
            break;
          }
      }
      if (known) co_return dns_answer(query, question->type == kDnsA ? found : std::vector<std::string>{});
    }
  }
  const auto own = own_dns_.find(container_id);
  auto reply = co_await kernel_.forward_dns(query, own == own_dns_.end() ? paths_.dns_servers : own->second);
  if (reply) co_return *reply;
  // A name without a dot that nobody knows does not exist; for others the truth is that no server answered.
  co_return dns_error(query, question->name.find('.') == std::string::npos || paths_.dns_servers.empty() ? 3 : 2);
}

}  // namespace panal
