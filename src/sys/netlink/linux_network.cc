#include "sys/netlink/linux_network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/text.h"
#include "sys/netlink/rtnl.h"
#include "sys/netlink/rules_watch.h"
#include "sys/nft/conntrack.h"
#include "sys/nft/elements.h"
#include "sys/nft/ruleset.h"
#include "sys/nft/tables.h"
#include "sys/process/user_namespace.h"

namespace panal {

using nft::Bytes;
using nft::Family;
using nft::Transaction;

static const nft::TableName kMeshTable{Family::kInet, "mesh"};

Task<Result<>> LinuxNetwork::create_namespace(std::string path, std::optional<NamespaceOwner> owner) {
  auto work = [path, owner]() -> Result<> {
    if (!is_namespace(path))
      TRYV(owner ? make_user_namespace(owner->ids, owner->joined, user_namespace_of(path), path)
                 : create_net_namespace(path));
    TRY(auto inside, InNamespace::enter(path));
    TRY(auto rtnl, Rtnl::open());
    (void)sysctl("net/ipv4/ip_unprivileged_port_start",
                 "0");  // as Docker: a container's root need not be root
    (void)sysctl("net/ipv4/ping_group_range", "0 2147483647");
    return rtnl.set_up("lo");
  };
  co_return co_await blocking(loop_, work);
}

Task<Result<>> LinuxNetwork::remove_namespace(std::string path) {
  stop_dns(path), vips_.erase(path);
  const std::string user = user_namespace_of(path);
  if (!exists(path) && !exists(user)) co_return Result<>{};
  auto work = [path, user]() -> Result<> {
    if (exists(user)) TRYV(remove_net_namespace(user));
    return remove_net_namespace(path);
  };
  co_return co_await blocking(loop_, work);
}

Task<Result<>> LinuxNetwork::attach(AttachPlan plan) {
  auto work = [plan]() -> Result<> {
    Fd container(::open(plan.ns_path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!container) return fail(sys_error(errno, "open", plan.ns_path));
    {
      TRY(auto at_bridge, InNamespace::enter(plan.bridge_ns));
      TRY(auto rtnl, Rtnl::open());
      if (rtnl.index(plan.bridge) == 0)  // the kernel would take a 0 for "none"
        return fail(Code::kInternal, "there is no bridge " + plan.bridge);
      TRYV(rtnl.remove(plan.host_name));
      TRYV(rtnl.add_veth(plan.host_name, plan.name, container.get(), plan.mac, plan.mtu, plan.bridge));
      if (plan.isolated) TRYV(rtnl.set_isolated(plan.host_name));
    }
    TRY(auto inside, InNamespace::enter(plan.ns_path));
    TRY(auto rtnl, Rtnl::open());
    const bool six = std::ranges::any_of(
        plan.addresses, [](const std::string& a) { return a.find(':') != std::string::npos; });
    (void)sysctl("net/ipv6/conf/" + plan.name + "/disable_ipv6",
                 six ? "0" : "1");  // no IPv6 at all where the network has none
    for (const auto& address : plan.addresses) TRYV(rtnl.add_address(plan.name, address));
    TRYV(rtnl.set_up(plan.name));
    for (auto [key, value] : plan.sysctls) {
      key.replace(key.find("IFNAME"), 6, plan.name);
      TRYV(sysctl(key, value));
    }
    for (const auto& gateway : plan.gateways) TRYV(rtnl.add_route({.via = gateway, .device = plan.name}));
    return {};
  };
  co_return co_await blocking(loop_, work);
}

Task<Result<>> LinuxNetwork::detach(std::string ns_path, std::string name) {
  auto work = [=]() -> Result<> {
    TRY(auto inside, InNamespace::enter(ns_path));
    TRY(auto rtnl, Rtnl::open());
    return rtnl.remove(name);
  };
  co_return co_await blocking(loop_, work);
}

Task<Result<>> LinuxNetwork::set_gateways(std::string ns_path, std::string name,
                                          std::vector<std::string> gateways) {
  auto work = [=]() -> Result<> {
    TRY(auto inside, InNamespace::enter(ns_path));
    TRY(auto rtnl, Rtnl::open());
    for (const auto& gateway : gateways) TRYV(rtnl.add_route({.via = gateway, .device = name}));
    return {};
  };
  co_return co_await blocking(loop_, work);
}

bool LinuxNetwork::interface_exists(const std::string& name) { return ::if_nametoindex(name.c_str()) != 0; }

Result<std::vector<std::string>> LinuxNetwork::host_routes() {
  TRY(auto rtnl, Rtnl::open());
  return rtnl.routes();
}

Result<std::vector<std::pair<std::string, std::string>>> LinuxNetwork::host_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return fail(sys_error(errno, "getifaddrs"));
  std::vector<std::pair<std::string, std::string>> out;
  for (const ifaddrs* i = list; i; i = i->ifa_next) {
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) ||
        !(i->ifa_flags & IFF_UP))
      continue;
    const std::string name = i->ifa_name;
    if (name == "panal0" || name == "panal-gw" || name == "docker_gwbridge" || name.starts_with("br-"))
      continue;
    char text[INET_ADDRSTRLEN];
    if (::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(i->ifa_addr)->sin_addr, text, sizeof text))
      out.emplace_back(name, text);
  }
  ::freeifaddrs(list);
  return out;
}

// ---- overlay: one sandbox namespace per network, a bridge and a VXLAN device whose socket stays in the
// node's namespace

Task<Result<>> LinuxNetwork::ensure_overlay(OverlayPlan plan) {
  auto work = [plan]() -> Result<> {
    if (!is_namespace(plan.sandbox)) TRYV(create_net_namespace(plan.sandbox));
    Fd sandbox(::open(plan.sandbox.c_str(), O_RDONLY | O_CLOEXEC));
    if (!sandbox) return fail(sys_error(errno, "open", plan.sandbox));
    {
      TRY(auto inside, InNamespace::enter(plan.sandbox));
      TRY(auto rtnl, Rtnl::open());
      for (const char* table : {"iptables", "ip6tables", "arptables"})
        (void)sysctl(std::string("net/bridge/bridge-nf-call-") + table, "0");
      TRYV(rtnl.set_up("lo"));
      TRYV(rtnl.add_bridge("br0", 0, plan.mtu));
      TRYV(rtnl.set_up("br0"));
      if (rtnl.index("vxlan0") != 0) return {};
    }
    TRY(auto rtnl, Rtnl::open());
    const std::string temporary = "panal-vx" + std::to_string(plan.vni);
    TRYV(rtnl.remove(temporary));
    TRYV(rtnl.add_vxlan(temporary, plan.vni, plan.port, plan.underlay_address, true, ""));
    TRYV(rtnl.move(temporary, sandbox.get(), "vxlan0"));
    TRY(auto inside, InNamespace::enter(plan.sandbox));
    TRY(auto there, Rtnl::open());
    TRYV(there.set_mtu("vxlan0", plan.mtu));
    TRYV(there.set_master("vxlan0", "br0"));
    return there.set_up("vxlan0");
  };
  co_return co_await blocking(loop_, work);
}

Task<Result<>> LinuxNetwork::remove_overlay(OverlayPlan plan) {
  auto work = [plan]() -> Result<> {
    if (is_namespace(plan.sandbox)) {
      auto inside = InNamespace::enter(plan.sandbox);
      if (inside) {  // the VXLAN socket lives in the node's namespace: take the device away before its
                     // sandbox
        auto rtnl = Rtnl::open();
        if (rtnl) (void)rtnl->remove("vxlan0");
      }
    }
    return remove_net_namespace(plan.sandbox);
  };
  co_return co_await blocking(loop_, work);
}

Task<Result<>> LinuxNetwork::set_peers(std::string sandbox, std::vector<OverlayPeer> peers) {
  auto work = [=]() -> Result<> {
    TRY(auto inside, InNamespace::enter(sandbox));
    TRY(auto rtnl, Rtnl::open());
    TRY(auto fdb, rtnl.fdb("vxlan0"));
    TRY(auto neighbours, rtnl.neighbours("vxlan0"));
    std::set<FdbEntry> wanted;
    for (const auto& p : peers) {
      wanted.insert({p.mac, p.node_address});
      if (!fdb.contains({p.mac, p.node_address})) TRYV(rtnl.set_fdb("vxlan0", p.mac, p.node_address));
      if (auto it = neighbours.find(p.address); it == neighbours.end() || it->second != p.mac)
        TRYV(rtnl.set_neighbour("vxlan0", p.address, p.mac));
      neighbours.erase(p.address);
    }
    for (const auto& entry : fdb)
      if (!wanted.contains(entry)) TRYV(rtnl.remove_fdb("vxlan0", entry.mac, entry.destination));
    for (const auto& [address, mac] : neighbours) TRYV(rtnl.remove_neighbour("vxlan0", address));
    return {};
  };
  co_return co_await blocking(loop_, work);
}

// ---- VIPs in a container's namespace

static void put_vips(Transaction& t, const VipTable& table) {
  for (const char* set : {"svc", "eps", "down"}) t.flush(Family::kIp, "lb", set);
  for (const auto& [vip, endpoints] : table.services) {
    if (endpoints.empty()) {
      t.add(Family::kIp, "lb", "down", Bytes().ip4(vip).data());
      continue;
    }
    const int slots = nft::slots_for(endpoints.size());
    for (int slot = 0; slot < slots; ++slot)
      t.add(Family::kIp, "lb", "eps", Bytes().ip4(vip).u32(static_cast<uint32_t>(slot)).data(),
            Bytes().ip4(endpoints[static_cast<size_t>(slot) % endpoints.size()]).data());
    t.add_goto(Family::kIp, "lb", "svc", Bytes().ip4(vip).data(), "n" + std::to_string(slots));
  }
}

static std::set<std::string> endpoints_of(const VipTable& table) {
  std::set<std::string> out;
  for (const auto& [vip, endpoints] : table.services) out.insert(endpoints.begin(), endpoints.end());
  return out;
}

Task<Result<>> LinuxNetwork::set_vips(std::string ns_path, VipTable table) {
  auto present = [ns_path]() -> Result<bool> {
    TRY(auto inside, InNamespace::enter(ns_path));
    return nft::table_exists({Family::kIp, "lb"});
  };
  CO_TRY(const bool there, co_await blocking(loop_, present));
  if (!there) CO_TRYV(co_await run_nft(ns_path, nft::vip_table()));
  std::set<std::string> gone = endpoints_of(vips_[ns_path]);
  for (const auto& address : endpoints_of(table)) gone.erase(address);
  auto work = [=]() -> Result<> {
    TRY(auto inside, InNamespace::enter(ns_path));
    Transaction t;
    put_vips(t, table);
    TRYV(t.commit());
    for (const auto& address : gone) (void)nft::purge_conntrack(address);
    return {};
  };
  CO_TRYV(co_await blocking(loop_, work));
  vips_[ns_path] = std::move(table);
  co_return Result<>{};
}

// ---- routing mesh

static std::string mesh_mac(const std::string& address) {
  in_addr a{};
  ::inet_pton(AF_INET, address.c_str(), &a);
  const auto* b = reinterpret_cast<const uint8_t*>(&a);
  char text[18];
  std::snprintf(text, sizeof text, "02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3]);
  return text;
}

static constexpr const char* kGateway = "172.31.255.253";  // node side of the veth into the mesh sandbox
static constexpr const char* kSandboxSide = "172.31.255.254";
static constexpr const char* kDummyHopMac = "02:42:00:00:00:01";
static constexpr uint32_t kMeshVni = 4095, kMarkBase = 0x10000;

Task<Result<>> LinuxNetwork::ensure_mesh(MeshTable table) {
  const std::string sandbox = dir_ + "/ingress";
  auto work = [=]() -> Result<bool> {
    if (!is_namespace(sandbox)) TRYV(create_net_namespace(sandbox));
    Fd ns(::open(sandbox.c_str(), O_RDONLY | O_CLOEXEC));
    if (!ns) return fail(sys_error(errno, "open", sandbox));
    bool have_gateway, have_mesh;
    {
      TRY(auto inside, InNamespace::enter(sandbox));
      TRY(auto rtnl, Rtnl::open());
      have_gateway = rtnl.index("gw0") != 0, have_mesh = rtnl.index("mesh0") != 0;
      TRYV(rtnl.set_up("lo"));
      (void)sysctl("net/ipv4/ip_forward", "1");
      for (const char* name : {"all", "default"})
        (void)sysctl(std::string("net/ipv4/conf/") + name + "/rp_filter", "0");
    }
    TRY(auto node, Rtnl::open());
    if (!have_gateway) {
      TRYV(node.remove("panal-gw"));
      TRYV(node.add_veth("panal-gw", "gw0", ns.get(), "", 1500, ""));
      TRYV(node.add_address("panal-gw", std::string(kGateway) + "/30"));
      (void)sysctl("net/ipv4/conf/panal-gw/route_localnet", "1");
    }
    if (!have_mesh) {
      TRYV(node.remove("panal-mesh"));
      TRYV(node.add_vxlan("panal-mesh", kMeshVni, 4789, table.self.node_address, false,
                          mesh_mac(table.self.mesh_address)));
      TRYV(node.move("panal-mesh", ns.get(), "mesh0"));
    }
    const bool node_rules =
        nft::table_comment(kMeshTable) == nft::comment_in(nft::mesh_node_table(kSandboxSide));
    TRY(auto inside, InNamespace::enter(sandbox));
    TRY(auto rtnl, Rtnl::open());
    for (const char* name : {"gw0", "mesh0"})
      (void)sysctl(std::string("net/ipv4/conf/") + name + "/rp_filter", "0");
    TRYV(rtnl.add_address("gw0", std::string(kSandboxSide) + "/30"));
    TRYV(rtnl.set_up("gw0"));
    TRYV(rtnl.add_route({.via = kGateway, .device = "gw0"}));
    TRYV(rtnl.set_mtu("mesh0", 1450));
    TRYV(rtnl.add_address("mesh0", table.self.mesh_address + "/32"));
    TRYV(rtnl.set_up("mesh0"));
    const std::string hop = table.subnet.substr(0, table.subnet.rfind('.')) + ".254";
    TRYV(rtnl.set_neighbour("mesh0", hop, kDummyHopMac));
    TRYV(rtnl.add_mark_rule(kMarkBase, kMarkBase, 100));
    TRYV(rtnl.add_route({.via = hop, .device = "mesh0", .table = 100, .onlink = true}));
    TRYV(rtnl.add_route({.destination = table.subnet, .metric = 4000, .unreachable = true}));
    return node_rules &&
           nft::table_comment(kMeshTable) == nft::comment_in(nft::mesh_sandbox_tables(table.subnet));
  };
  auto held = co_await rules_mutex_.lock(loop_);
  CO_TRY(const bool rules, co_await blocking(loop_, work));
  if (!rules) CO_TRYV(co_await load_mesh_rules(table.subnet));
  if (!mesh_watch_) {
    CO_TRY(mesh_watch_, co_await watch_rules(sandbox, {kMeshTable, {Family::kNetdev, "steer"}},
                                             [this] { return repair_mesh(); }));
  }
  node_watch_->tables.insert(kMeshTable);
  if (mesh_.subnet.empty()) mesh_.subnet = table.subnet;
  co_return Result<>{};
}

static void put_mesh(Transaction& t, const MeshTable& table) {
  for (const char* set : {"zone", "node", "svc", "ep4tcp", "ep4udp", "live4"})
    t.flush(Family::kInet, "mesh", set);
  t.flush(Family::kNetdev, "steer", "mac");
  for (const auto& node : table.nodes) {
    const std::string mac = Bytes().mac(mesh_mac(node.mesh_address)).data();
    t.add(Family::kInet, "mesh", "zone", mac, Bytes().u16(static_cast<uint16_t>(node.index)).data());
    t.add(Family::kInet, "mesh", "node", mac, Bytes().u32(kMarkBase + node.index).data());
    t.add(Family::kNetdev, "steer", "mac", Bytes().u32(kMarkBase + node.index).data(), mac);
  }
  for (const auto& task : table.tasks)
    t.add(Family::kInet, "mesh", "live4", Bytes().ip4(task.address).data());
  for (const auto& port : table.ports) {
    if (port.targets.empty()) continue;
    const int slots = nft::slots_for(port.targets.size());
    const char* map = port.protocol == "udp" ? "ep4udp" : "ep4tcp";
    // The destination port of a packet is the published one; the map is keyed by it.
    for (int slot = 0; slot < slots; ++slot) {
      const auto& target = port.targets[static_cast<size_t>(slot) % port.targets.size()];
      t.add(Family::kInet, "mesh", map,
            Bytes().port(port.published).pad().u32(static_cast<uint32_t>(slot)).data(),
            Bytes().ip4(target.address).port(target.port).pad().data());
    }
    t.add_goto(Family::kInet, "mesh", "svc",
               Bytes().protocol(port.protocol).pad().port(port.published).pad().data(),
               "n" + std::to_string(slots));
  }
}

static Result<> put_mesh_links(Rtnl& rtnl, const MeshTable& table) {
  TRY(auto fdb, rtnl.fdb("mesh0"));
  std::map<uint32_t, std::string> mesh_address;
  for (const auto& node : table.nodes) {
    mesh_address[node.index] = node.mesh_address;
    const FdbEntry entry{mesh_mac(node.mesh_address), node.node_address};
    if (!fdb.erase(entry)) TRYV(rtnl.set_fdb("mesh0", entry.mac, entry.destination));
    TRYV(rtnl.set_neighbour("mesh0", node.mesh_address, entry.mac));
  }
  for (const auto& entry : fdb) TRYV(rtnl.remove_fdb("mesh0", entry.mac, entry.destination));
  TRY(auto old, rtnl.routes_via("mesh0"));
  std::set<std::string> stale(old.begin(), old.end());
  for (const auto& task : table.tasks) {
    if (task.local) continue;
    auto via = mesh_address.find(task.node_index);
    if (via == mesh_address.end()) continue;
    stale.erase(task.address + "/32");
    TRYV(rtnl.add_route(
        {.destination = task.address + "/32", .via = via->second, .device = "mesh0", .onlink = true}));
  }
  for (const auto& destination : stale)
    TRYV(rtnl.remove_route({.destination = destination, .device = "mesh0"}));
  return {};
}

static Result<> put_node_ports(const MeshTable& table) {
  Transaction t;
  t.flush(Family::kInet, "mesh", "pub");
  for (const auto& port : table.ports)
    t.add(Family::kInet, "mesh", "pub",
          Bytes().protocol(port.protocol).pad().port(port.published).pad().data());
  return t.commit();
}

static std::set<uint16_t> udp_ports(const MeshTable& table) {
  std::set<uint16_t> out;
  for (const auto& port : table.ports)
    if (port.protocol == "udp" && !port.targets.empty()) out.insert(port.published);
  return out;
}

Task<Result<>> LinuxNetwork::set_mesh(MeshTable table) {
  const std::string sandbox = dir_ + "/ingress";
  std::set<std::string> gone;
  for (const auto& port : mesh_.ports)
    for (const auto& target : port.targets) gone.insert(target.address);
  for (const auto& port : table.ports)
    for (const auto& target : port.targets) gone.erase(target.address);
  std::set<uint16_t> fresh =
      udp_ports(table);  // who sent datagrams there before is remembered with an answer from the node
  for (const uint16_t port : udp_ports(mesh_)) fresh.erase(port);
  auto held = co_await rules_mutex_.lock(loop_);
  auto work = [=]() -> Result<> {
    TRYV(put_node_ports(table));
    for (const uint16_t port : fresh) (void)nft::purge_udp_port(port);
    TRY(auto inside, InNamespace::enter(sandbox));
    TRY(auto rtnl, Rtnl::open());
    TRYV(put_mesh_links(rtnl, table));
    Transaction t;
    put_mesh(t, table);
    TRYV(t.commit());
    for (const uint16_t port : fresh) (void)nft::purge_udp_port(port);
    for (const auto& address : gone) (void)nft::purge_conntrack(address);
    return {};
  };
  mesh_ = std::move(table);  // also when it fails: a repair brings the newest
  co_return co_await blocking(loop_, work);
}

Task<Result<>> LinuxNetwork::load_mesh_rules(std::string subnet) {
  CO_TRYV(co_await run_nft("", nft::mesh_node_table(kSandboxSide)));
  co_return co_await run_nft(dir_ + "/ingress", nft::mesh_sandbox_tables(subnet));
}

/// With rules_mutex_ held, both sides.
Task<Result<>> LinuxNetwork::repair_mesh() {
  if (mesh_.subnet.empty()) co_return Result<>{};
  CO_TRYV(co_await load_mesh_rules(mesh_.subnet));
  auto work = [table = mesh_, sandbox = dir_ + "/ingress"]() -> Result<> {
    TRYV(put_node_ports(table));
    TRY(auto inside, InNamespace::enter(sandbox));
    Transaction t;
    put_mesh(t, table);
    return t.commit();
  };
  co_return co_await blocking(loop_, work);
}

Task<Result<>> LinuxNetwork::remove_mesh() {
  const std::string sandbox = dir_ + "/ingress";
  if (!exists(sandbox)) co_return Result<>{};
  auto held = co_await rules_mutex_.lock(loop_);
  mesh_ = {};
  node_watch_->tables.erase(kMeshTable);
  if (mesh_watch_) mesh_watch_->fd.close(), mesh_watch_.reset();
  auto work = [sandbox]() -> Result<> {
    TRY(auto rtnl, Rtnl::open());
    (void)rtnl.remove("panal-gw");
    if (auto inside = InNamespace::enter(sandbox)) {
      auto there = Rtnl::open();
      if (there) (void)there->remove("mesh0");
    }
    return remove_net_namespace(sandbox);
  };
  CO_TRYV(co_await blocking(loop_, work));
  co_return co_await run_nft("", "table inet mesh { }\ndelete table inet mesh\n");
}

Task<Result<>> LinuxNetwork::attach_mesh(std::string ns_path, std::string host_name, std::string name,
                                         std::string address) {
  const std::string sandbox = dir_ + "/ingress";
  auto work = [=]() -> Result<> {
    Fd container(::open(ns_path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!container) return fail(sys_error(errno, "open", ns_path));
    const std::string gateway = address.substr(0, address.rfind('.')) + ".1";
    {
      TRY(auto inside, InNamespace::enter(sandbox));
      TRY(auto rtnl, Rtnl::open());
      TRYV(rtnl.remove(host_name));
      TRYV(rtnl.add_veth(host_name, name, container.get(), mesh_mac(address), 1450, ""));
      (void)sysctl("net/ipv4/conf/" + host_name + "/rp_filter", "0");
      TRYV(rtnl.set_mac(host_name, mesh_mac(gateway)));
      TRYV(rtnl.add_address(host_name, gateway + "/32"));
      TRYV(rtnl.set_up(host_name));
      TRYV(rtnl.add_route({.destination = address + "/32", .device = host_name, .link_scope = true}));
      TRYV(rtnl.set_neighbour(host_name, address, mesh_mac(address)));
    }
    TRY(auto inside, InNamespace::enter(ns_path));
    TRY(auto rtnl, Rtnl::open());
    TRYV(rtnl.add_address(name, address + "/32"));
    TRYV(rtnl.set_up(name));
    TRYV(rtnl.set_neighbour(name, gateway, mesh_mac(gateway)));
    return rtnl.add_route({.via = gateway, .device = name, .onlink = true});
  };
  co_return co_await blocking(loop_, work);
}

}  // namespace panal
