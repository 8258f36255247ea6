#include "node/networks/networks.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "model/image_json.h"

namespace panal {

const IpamPool* pool_of(const Network& n, bool six) {
  for (const auto& pool : n.pools)
    if (auto c = parse_subnet(pool.subnet); c && c->base.six == six) return &pool;
  return nullptr;
}

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
  // Those of the cluster, too: containers on them are adopted before a manager tells of them again.
  for (const char* kind : {"cluster-network", "network"}) {
    TRY(const auto rows, db_.all(kind));
    for (const auto& [id, json] : rows) {
      auto row = from_text<Network>(json);
      if (row)
        networks_[id] = std::move(*row);
      else  // must not take the others along
        log::error("msg=\"network not understood, left alone\" network={} error=\"{}\"", id,
                   row.error().message);
    }
  }
  return {};
}

static std::string gateway_cidr(const IpamPool& pool) {
  return pool.gateway + "/" + std::to_string(parse_subnet(pool.subnet)->prefix);
}

Task<Result<>> Networks::ensure_kernel(const Network& n) {
  if (n.driver != "bridge") co_return Result<>{};
  const BridgeOptions o = options_of(n);
  BridgePlan plan;
  plan.name = n.bridge, plan.mtu = o.mtu, plan.internal = n.internal;
  plan.masquerade4 = o.masquerade && !o.routed4, plan.masquerade6 = o.masquerade && !o.routed6;
  for (const bool six : {false, true})
    if (const IpamPool* pool = pool_of(n, six); pool && !(o.inhibit_ipv4 && !six))
      plan.gateways.push_back(gateway_cidr(*pool));
  co_return co_await kernel_.ensure_bridge(plan);
}

// ---- the predefined ones

static std::map<std::string, std::string> default_bridge_options(const NetworkDefaults& d,
                                                                 const std::string& name) {
  const auto text = [](bool b) { return std::string(b ? "true" : "false"); };
  return {{"com.docker.network.bridge.default_bridge", "true"},
          {"com.docker.network.bridge.enable_icc", text(d.icc)},
          {"com.docker.network.bridge.enable_ip_masquerade", text(d.masquerade)},
          {"com.docker.network.bridge.host_binding_ipv4", d.host_ip},
          {"com.docker.network.bridge.name", name},
          {"com.docker.network.driver.mtu", std::to_string(d.mtu)}};
}

// Its options follow the daemon's. Its subnet does, too, and gives way to a route that the host has
// meanwhile, as long as nobody uses it.
Task<Result<>> Networks::settle_default_bridge(Network& n, bool containers_run) {
  const NetworkDefaults& d = paths_.defaults;
  n.options = default_bridge_options(d, n.bridge);
  IpamPool wanted = n.pools.empty() ? IpamPool{} : n.pools[0];
  if (!d.bip.empty()) {
    const auto bip = parse_subnet(d.bip);
    if (!bip || bip->base.six)
      co_return fail(Code::kInvalid, "invalid bip: " + d.bip + ": it must be an IPv4 address with a prefix");
    wanted = {.subnet = subnet_text(*bip), .gateway = ip_text(bip->base)};
  }
  wanted.ip_range = d.fixed_cidr;
  const auto in_way = [&] {
    const auto subnet = parse_subnet(wanted.subnet);
    return d.bip.empty() && subnet && !kernel_.interface_exists(n.bridge) &&
           std::ranges::any_of(host_routes(), [&](const IpSubnet& r) { return r.overlaps(*subnet); });
  };
  if (!n.pools.empty() && in_way()) {
    log::warn("msg=\"the host routes to the default bridge's subnet: it takes another\" subnet={}",
              wanted.subnet);
    wanted = {};
  }
  const bool same = !n.pools.empty() && wanted.subnet == n.pools[0].subnet &&
                    wanted.gateway == n.pools[0].gateway && wanted.ip_range == n.pools[0].ip_range;
  if (same) co_return Result<>{};
  if (containers_run) {
    log::warn("msg=\"the default bridge keeps its subnet while containers run\" subnet={}",
              n.pools.at(0).subnet);
    co_return Result<>{};
  }
  const auto before = std::exchange(n.pools, {});
  networks_.erase(n.id);  // it does not stand in its own way
  CO_TRY(IpamPool pool, choose_subnet(wanted, false));
  n.pools = {std::move(pool)};
  if (!before.empty() && kernel_.interface_exists(n.bridge))
    CO_TRYV(co_await kernel_.remove_bridge(n.bridge));
  co_return Result<>{};
}

Task<Result<>> Networks::setup(bool containers_run) {
  CO_TRYV(co_await kernel_.setup());
  const auto predefined = [&](const char* name, const char* driver) -> Task<Result<>> {
    Network n;
    n.id = entropy_.hex_id(), n.name = name, n.driver = driver, n.created = loop_.wall_now();
    for (const auto& [id, known] : networks_)
      if (known.name == name) n = known;
    const std::string before = to_text(n);
    if (n.driver == "bridge") {
      n.bridge = paths_.bridge_name;
      CO_TRYV(co_await settle_default_bridge(n, containers_run));
    }
    if (!networks_.contains(n.id) || to_text(n) != before)
      CO_TRYV(co_await db_.put("network", n.id, to_text(n)));
    networks_[n.id] = n;
    co_return Result<>{};
  };
  CO_TRYV(co_await predefined("bridge", "bridge"));
  CO_TRYV(co_await predefined("host", "host"));
  CO_TRYV(co_await predefined("none", "null"));
  for (const auto& [id, n] : networks_) {
    auto made = co_await ensure_kernel(n);
    if (!made && n.name == "bridge") co_return made;
    if (!made)  // IPv6 has been switched off, say: the others work, and this one can be removed
      log::error("msg=\"network cannot be made\" network={} error=\"{}\"", n.name, made.error().message);
  }
  co_return Result<>{};
}

Result<const Network*> Networks::find(const std::string& name) const {
  const Network* by_prefix = nullptr;
  int matches = 0;
  if (const auto it = networks_.find(name); it != networks_.end()) return &it->second;
  for (const auto& [id, n] : networks_)
    if (n.name == name) return &n;
  for (const auto& [id, n] : networks_) {
    if (!name.empty() && id.starts_with(name)) by_prefix = &n, ++matches;
  }
  if (matches == 1) return by_prefix;
  if (matches > 1)
    return fail(Code::kInvalid, "network " + name + " is ambiguous (" + std::to_string(matches) +
                                    " matches found on ID prefix)");
  return fail(Code::kNotFound, "network " + name + " not found");
}

const std::map<std::string, Networks::Member>& Networks::members(const std::string& network_id) const {
  static const std::map<std::string, Member> kNone;
  auto it = members_.find(network_id);
  return it == members_.end() ? kNone : it->second;
}

// ---- subnets

std::vector<IpSubnet> Networks::subnets_in_use() const {
  std::vector<IpSubnet> out;
  for (const auto& [id, n] : networks_)
    for (const auto& pool : n.pools)
      if (auto c = parse_subnet(pool.subnet)) out.push_back(*c);
  return out;
}

std::vector<IpSubnet> Networks::host_routes() const {
  std::vector<IpSubnet> out;
  if (auto routes = kernel_.host_routes())
    for (const auto& r : *routes)
      if (auto c = parse_subnet(r)) out.push_back(*c);
  return out;
}

Result<IpamPool> Networks::choose_subnet(IpamPool pool, bool six) const {
  auto used = subnets_in_use();
  if (pool.subnet.empty()) {
    const auto routes = host_routes();  // as they are now: they come and go
    used.insert(used.end(), routes.begin(), routes.end());
    auto found = free_subnet(paths_.defaults.pools, six, used);
    for (int tries = 0; six && !found && tries < 16; ++tries) {  // a local prefix of random digits (RFC 4193)
      IpSubnet random{{true, 0xfd}, 64};
      for (const char c : entropy_.bytes(5))
        random.base.value = random.base.value << 8 | static_cast<uint8_t>(c);
      random.base.value <<= 80;
      if (std::ranges::none_of(used, [&](const IpSubnet& u) { return u.overlaps(random); })) found = random;
    }
    if (!found) return fail(Code::kInvalid, "all predefined address pools have been fully subnetted");
    pool.subnet = subnet_text(*found);
  } else {
    const auto c = parse_subnet(pool.subnet);
    if (!c)
      return fail(Code::kInvalid,
                  "invalid network config:\ninvalid subnet " + pool.subnet + ": invalid CIDR block notation");
    if (c->base != c->first())
      return fail(Code::kInvalid, "invalid network config:\ninvalid subnet " + pool.subnet +
                                      ": it should be " + subnet_text(*c));
    for (const auto& u : used)
      if (u.overlaps(*c))
        return fail(Code::kForbidden,
                    "invalid pool request: Pool overlaps with other one on this address space");
  }
  const IpSubnet subnet = *parse_subnet(pool.subnet);
  if (!pool.ip_range.empty()) {
    const auto range = parse_subnet(pool.ip_range);
    if (!range || !subnet.contains(*range))
      return fail(Code::kInvalid, "invalid network config:\ninvalid ip-range " + pool.ip_range +
                                      ": it must be inside " + pool.subnet);
  }
  std::set<IpAddress> reserved;
  if (!subnet.base.six && subnet.prefix < 31) reserved = {subnet.first(), subnet.last()};
  for (const auto& [name, address] : pool.auxiliary) {
    const auto ip = parse_ip(address);
    if (!ip || !subnet.contains(*ip))
      return fail(Code::kInvalid, "invalid network config:\ninvalid auxiliary address " + address +
                                      ": parent subnet is " + pool.subnet);
    reserved.insert(*ip);
  }
  if (pool.gateway.empty()) {
    const auto first = free_ip(subnet, subnet, reserved, {});
    if (!first) return fail(Code::kInvalid, "no address for a gateway in " + pool.subnet);
    pool.gateway = ip_text(*first);
  }
  const auto gateway = parse_ip(pool.gateway);
  if (!gateway || !subnet.contains(*gateway))
    return fail(Code::kInvalid, "invalid network config:\nno matching subnet for gateway " + pool.gateway);
  if (reserved.contains(*gateway))
    return fail(Code::kForbidden,
                "failed to allocate gateway (" + pool.gateway + "): Address already in use");
  return pool;
}

Result<> Networks::choose_subnets(Network& n) const {
  std::vector<IpamPool> wishes[2];
  for (const auto& pool : n.pools) {
    const std::string& sign = pool.subnet.empty() ? pool.gateway : pool.subnet;
    wishes[sign.find(':') != std::string::npos].push_back(pool);
  }
  const bool enabled[2] = {n.enable_ipv4, n.enable_ipv6};
  if (!enabled[0] && !enabled[1]) return fail(Code::kInvalid, "IPv4 or IPv6 must be enabled");
  for (const bool six : {false, true})
    if (!enabled[six] && !wishes[six].empty())
      return fail(Code::kInvalid, "invalid network config:\nsubnet " + wishes[six][0].subnet + " is of IPv" +
                                      (six ? "6" : "4") + ", which is not enabled for this network (--ipv" +
                                      (six ? "6" : "4") + ")");
  n.pools.clear();
  for (const bool six : {false, true}) {
    if (!enabled[six]) continue;
    if (wishes[six].size() > 1)
      return fail(Code::kForbidden, "bridge driver doesn't support multiple subnets");
    TRY(IpamPool pool, choose_subnet(wishes[six].empty() ? IpamPool{} : wishes[six][0], six));
    n.pools.push_back(std::move(pool));
  }
  return {};
}

Task<Result<std::string>> Networks::create(Network n) {
  if (n.name.empty()) co_return fail(Code::kInvalid, "network name cannot be empty");
  for (const char* reserved : {"default", "container"})
    if (n.name == reserved) co_return fail(Code::kForbidden, "network name '" + n.name + "' is reserved");
  if (n.name == "bridge" || n.name == "host" || n.name == "none")
    co_return fail(Code::kForbidden, "operation is not permitted on predefined " + n.name + " network ");
  for (const auto& [id, other] : networks_)
    if (other.name == n.name)
      co_return fail(Code::kConflict, "network with name " + n.name + " already exists");
  if (n.driver.empty() || n.driver == "default") n.driver = "bridge";
  if (n.driver != "bridge")
    co_return fail(Code::kNotFound,
                   "could not find plugin " + n.driver + " in v1 plugin registry: plugin not found");
  if (n.enable_ipv6 && !kernel_.has_ipv6())
    co_return fail(Code::kInvalid, "IPv6 is not enabled on this host's kernel");
  CO_TRY(const BridgeOptions options, read_bridge_options(n.options));
  CO_TRYV(choose_subnets(n));
  n.id = entropy_.hex_id(), n.created = loop_.wall_now();
  n.bridge = options.name.empty() ? "br-" + n.id.substr(0, 12) : options.name;
  for (const auto& [id, other] : networks_)
    if (other.bridge == n.bridge)
      co_return fail(Code::kForbidden, "bridge " + n.bridge + " is used by network " + other.name);
  if (kernel_.interface_exists(n.bridge))
    co_return fail(Code::kUnsupported,
                   "interface " + n.bridge +
                       " exists already: taking over a bridge that is not Panal's is not supported yet");
  CO_TRYV(co_await db_.put(
      "network", n.id,
      to_text(n)));  // announced before it is made: a crash leaves a row that setup() completes
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
  if (n.name == "bridge" || n.name == "host" || n.name == "none")
    co_return fail(Code::kForbidden, n.name + " is a pre-defined network and cannot be removed");
  if (auto& m = members_[n.id]; !m.empty())
    co_return fail(Code::kForbidden, "error while removing network: network " + n.name +
                                         " has active endpoints (name:\"" + m.begin()->second.container_name +
                                         "\" id:\"" + m.begin()->second.endpoint_id.substr(0, 12) + "\")");
  // The row goes last: a crash leaves a network whose bridge setup() makes again, never a bridge without one.
  networks_.erase(n.id);
  Result<> gone;
  if (n.driver == "bridge") gone = co_await kernel_.remove_bridge(n.bridge);
  if (gone) gone = co_await db_.erase("network", n.id);
  if (!gone) {
    networks_[n.id] = n;
    (void)co_await ensure_kernel(n);
    co_return gone;
  }
  members_.erase(n.id);
  events_.publish("network", "destroy", n.id, {{"name", n.name}, {"type", n.driver}});
  co_return Result<>{};
}

}  // namespace panal
