#include "swarm/allocator.h"

#include "network/address.h"

namespace panal {

bool uses_ingress(const ServiceSpec& spec) {
  return std::ranges::any_of(spec.ports, [](const PortConfig& p) { return p.mode == "ingress"; });
}

Result<> choose_overlay_subnet(const Store& store, ClusterNetwork& n) {
  std::vector<Cidr> taken;
  std::set<uint32_t> vnis;
  for (const auto& [id, other] : store.networks) {
    vnis.insert(other.vni);
    for (const auto& pool : other.network.pools)
      if (auto c = parse_cidr(pool.subnet)) taken.push_back(*c);
  }
  n.vni = kFirstVni;
  while (vnis.contains(n.vni)) ++n.vni;
  if (n.network.pools.empty() || n.network.pools[0].subnet.empty()) {
    std::vector<Cidr> pools;
    for (const auto& text : store.cluster.default_pool)
      if (auto c = parse_cidr(text)) pools.push_back(*c);
    const auto subnet = free_subnet(pools, store.cluster.subnet_size, taken);
    if (!subnet) return fail(Code::kInvalid, "no available network address pool");
    if (n.network.pools.empty()) n.network.pools.emplace_back();
    n.network.pools[0].subnet = cidr_text(*subnet);
  }
  const auto subnet = parse_cidr(n.network.pools[0].subnet);
  if (!subnet || subnet->prefix > 30)
    return fail(Code::kInvalid, "invalid CIDR address: " + n.network.pools[0].subnet);
  for (const auto& t : taken)
    if (t.overlaps(*subnet))
      return fail(Code::kForbidden,
                  "invalid pool request: Pool overlaps with other one on this address space");
  if (n.network.pools[0].gateway.empty()) n.network.pools[0].gateway = ip4_text(subnet->first() + 1);
  return {};
}

namespace {

/// The addresses in use on every network, and one way to take another.
class AddressBook {
 public:
  explicit AddressBook(Draft& draft) : draft_(draft) {
    for (const auto& [id, n] : draft.base.networks) {
      auto& used = used_[id];
      if (auto gateway = parse_ip4(n.network.pools.at(0).gateway)) used.insert(*gateway);
      const Cidr subnet = *parse_cidr(n.network.pools[0].subnet);
      if (n.network.ingress) used.insert(subnet.last() - 1);  // the mesh's dummy hop
    }
    draft.each_service([&](const Service& s) {
      for (const auto& v : s.vips) note(v.network_id, v.address);
    });
    draft.each_task([&](const ClusterTask& t) {
      if (terminal(t.status.state) || t.status.state == TaskState::kNew)
        return;  // what has ended, or only wishes, holds nothing
      for (const auto& n : t.networks) note(n.network_id, n.address);
    });
    for (const auto& [id, n] : draft.base.nodes)
      for (const auto& [network_id, net] : draft.base.networks)
        if (net.network.ingress && !n.mesh_address.empty()) note(network_id, n.mesh_address);
  }

  std::optional<std::string> take(const std::string& network_id) {
    const auto* n = draft_.network(network_id);
    if (!n) return std::nullopt;
    const Cidr subnet = *parse_cidr(n->network.pools.at(0).subnet);
    auto ip = free_address(subnet, used_[network_id], last_[network_id]);
    if (!ip) return std::nullopt;
    used_[network_id].insert(*ip), last_[network_id] = *ip;
    return ip4_text(*ip) + "/" + std::to_string(subnet.prefix);
  }
  std::optional<std::string> take_wished(const std::string& network_id, const std::string& wish) {
    const auto* n = draft_.network(network_id);
    const auto ip = parse_ip4(wish.substr(0, wish.find('/')));
    if (!n || !ip) return std::nullopt;
    const Cidr subnet = *parse_cidr(n->network.pools.at(0).subnet);
    if (!subnet.contains(*ip) || *ip == subnet.first() || *ip == subnet.last() ||
        !used_[network_id].insert(*ip).second)
      return std::nullopt;
    return ip4_text(*ip) + "/" + std::to_string(subnet.prefix);
  }

 private:
  void note(const std::string& network_id, const std::string& address) {
    if (auto c = parse_cidr(address.find('/') == std::string::npos ? address + "/32" : address)) {
      used_[network_id].insert(c->base);
      last_[network_id] =
          std::max(last_[network_id], c->base);  // reuse late: caches elsewhere may still hold an old address
    }
  }
  Draft& draft_;
  std::map<std::string, std::set<Ip4>> used_;
  std::map<std::string, Ip4> last_;
};

const ClusterNetwork* ingress_of(const Draft& draft) {
  for (const auto& [id, n] : draft.base.networks)
    if (n.network.ingress) return &n;
  return nullptr;
}

const ClusterNetwork* find_network(const Draft& draft, const std::string& name) {
  if (const auto* n = draft.network(name)) return n;
  for (const auto& [id, n] : draft.base.networks)
    if (n.network.name == name) return &n;
  return nullptr;
}

void allocate_service(Draft& draft, AddressBook& book, const Service& given) {
  Service s = given;
  bool changed = false;
  // Ports: the user's numbers, or one of the range that stays with the service.
  std::vector<PortConfig> ports = s.spec.ports;
  std::set<std::pair<std::string, uint32_t>> used;
  draft.each_service([&](const Service& o) {
    for (const auto& p : o.ports)
      if (o.meta.id != s.meta.id) used.insert({p.protocol, p.published});
  });
  for (const auto& p : ports)
    if (p.published) used.insert({p.protocol, p.published});
  std::vector<PortConfig> before_ports = s.ports;  // each old number is handed on once
  for (auto& p : ports) {
    if (p.published || p.mode != "ingress") continue;
    for (auto& old : before_ports)
      if (!p.published && old.target == p.target && old.protocol == p.protocol && old.mode == p.mode &&
          old.published && !used.contains({p.protocol, old.published})) {
        p.published = old.published;
        used.insert({p.protocol, p.published});
      }
  }
  for (auto& p : ports) {
    if (p.published || p.mode != "ingress") continue;
    for (uint32_t port = kFirstIngressPort; !p.published && port <= kLastIngressPort; ++port)
      if (!used.contains({p.protocol, port})) p.published = port;
    used.insert({p.protocol, p.published});
  }
  if (ports != s.ports) s.ports = ports, changed = true;
  std::set<std::string> wanted;
  for (const auto& attachment : s.spec.task.networks)
    if (const auto* n = find_network(draft, attachment.target); n && s.spec.endpoint_mode == "vip")
      wanted.insert(n->meta.id);
  const size_t before = s.vips.size();
  std::erase_if(s.vips, [&](const VirtualIp& v) { return !wanted.contains(v.network_id); });
  changed |= before != s.vips.size();
  for (const auto& id : wanted) {
    if (std::ranges::any_of(s.vips, [&](const VirtualIp& v) { return v.network_id == id; })) continue;
    if (auto address = book.take(id)) s.vips.push_back({id, *address}), changed = true;
  }
  if (changed) draft.put(std::move(s));
}

void allocate_task(Draft& draft, AddressBook& book, ClusterTask t, const ClusterNetwork* ingress) {
  const Service* s = draft.service(t.service_id);
  if (!s) return;
  std::vector<TaskNetwork> networks;
  const auto give = [&](const std::string& id, const std::vector<std::string>& aliases) {
    auto address = book.take(id);
    if (!address) return false;
    networks.push_back({id, *address, aliases});
    return true;
  };
  const auto refuse = [&](const std::string& why) {
    if (t.status.error == why) return;
    t.status.error = why, t.status.time = draft.now;
    draft.put(t);
  };
  if (ingress && std::ranges::any_of(s->ports, [](const PortConfig& p) { return p.mode == "ingress"; }) &&
      !give(ingress->meta.id, {}))
    return refuse("no free address on the ingress network");
  for (const auto& attachment : t.spec.networks) {
    const auto* n = find_network(draft, attachment.target);
    if (!n) return refuse("network " + attachment.target + " not found");
    if (!give(n->meta.id, attachment.aliases)) return refuse("no free address on network " + n->network.name);
  }
  t.networks = std::move(networks), t.ports = s->ports;
  t.status.state = TaskState::kPending, t.status.message = "pending task scheduling", t.status.error.clear(),
  t.status.time = draft.now;
  draft.put(std::move(t));
}

// Its node asks and its container is there: no scheduling, only an address.
void allocate_attachment(Draft& draft, AddressBook& book, ClusterTask t) {
  TaskNetwork& place = t.networks.at(0);
  const auto address =
      place.address.empty() ? book.take(place.network_id) : book.take_wished(place.network_id, place.address);
  t.status.time = draft.now;
  if (address)
    place.address = *address, t.status.state = TaskState::kAssigned, t.status.message = "attached";
  else
    t.status.state = TaskState::kRejected,
    t.status.error = place.address.empty() ? "no available IPv4 addresses on this network's address pools"
                                           : "Address already in use";
  draft.put(std::move(t));
}

}  // namespace

void allocate(Draft& draft) {
  AddressBook book(draft);
  const ClusterNetwork* ingress = ingress_of(draft);
  if (ingress) {
    std::set<uint32_t> indices;
    for (const auto& [id, n] : draft.base.nodes) indices.insert(n.mesh_index);
    for (const auto& [id, given] : draft.base.nodes) {
      if (given.mesh_index != 0) continue;
      Node n = given;
      n.mesh_index = 1;
      while (indices.contains(n.mesh_index)) ++n.mesh_index;
      auto address = book.take(ingress->meta.id);
      if (!address || n.mesh_index > 65000) continue;
      indices.insert(n.mesh_index);
      n.mesh_address = address->substr(0, address->find('/'));
      draft.put(std::move(n));
    }
  }
  std::vector<std::string> services, tasks;
  draft.each_service([&](const Service& s) { services.push_back(s.meta.id); });
  for (const auto& id : services) allocate_service(draft, book, *draft.service(id));
  draft.each_task([&](const ClusterTask& t) {
    if (t.status.state == TaskState::kNew && t.desired <= TaskState::kRunning) tasks.push_back(t.meta.id);
  });
  for (const auto& id : tasks) {
    const ClusterTask& t = *draft.task(id);
    if (is_attachment(t))
      allocate_attachment(draft, book, t);
    else
      allocate_task(draft, book, t, ingress);
  }
}

}  // namespace panal
