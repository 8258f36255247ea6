// Links, addresses, routes, neighbours by raw rtnetlink (rtnetlink(7), linux/if_link.h) in the network
// namespace of the calling thread. Blocking: used on the loop's pool. Every call makes things so: "already
// there" and "already gone" are success.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"

struct mnl_socket;
struct nlmsghdr;

namespace panal {

/// Moves the calling thread into a network namespace until it is destroyed. Pool threads only.
class InNamespace {
 public:
  static Result<InNamespace> enter(const std::string& path);
  InNamespace(InNamespace&& other) noexcept : home_(std::move(other.home_)) {}
  ~InNamespace();

 private:
  explicit InNamespace(Fd home) : home_(std::move(home)) {}
  Fd home_;  // empty: nothing to restore
};

/// Does the file hold a namespace? A plain file is what a reboot leaves of one.
bool is_namespace(const std::string& path);
/// "net/ipv4/ip_forward" in the calling thread's namespace.
Result<> sysctl(const std::string& key, const std::string& value);
Result<> create_net_namespace(const std::string& path);
Result<> remove_net_namespace(const std::string& path);

struct Route {
  std::string destination;  // CIDR, empty: default
  std::string via, device;
  uint32_t table = 254, metric = 0;
  bool onlink = false, unreachable = false, link_scope = false;
};

struct FdbEntry {
  std::string mac, destination;
  auto operator<=>(const FdbEntry&) const = default;
};

class Rtnl {
 public:
  static Result<Rtnl> open();
  Rtnl(Rtnl&& other) noexcept;
  ~Rtnl();

  /// 0: no such interface.
  int index(const std::string& name);
  Result<> add_bridge(const std::string& name, uint32_t group, int mtu);
  /// veth pair: `name` here, `peer` born in the namespace behind `peer_ns`.
  Result<> add_veth(const std::string& name, const std::string& peer, int peer_ns,
                    const std::string& peer_mac, int mtu, const std::string& master);
  /// VXLAN device whose socket stays in this namespace, born here and moved to `target_ns`.
  Result<> add_vxlan(const std::string& name, uint32_t vni, uint16_t port, const std::string& local,
                     bool proxy, const std::string& mac);
  Result<> move(const std::string& name, int ns, const std::string& new_name);
  Result<> remove(const std::string& name);
  Result<> set_up(const std::string& name);
  Result<> set_down(const std::string& name);
  Result<> set_master(const std::string& name, const std::string& master);
  Result<> set_mtu(const std::string& name, int mtu);
  Result<> set_mac(const std::string& name, const std::string& mac);
  Result<> set_isolated(const std::string& name);
  Result<> add_address(const std::string& name, const std::string& cidr);
  Result<> add_route(const Route& route);
  Result<> remove_route(const Route& route);
  Result<> add_mark_rule(uint32_t mark, uint32_t mask, uint32_t table);
  Result<> set_neighbour(const std::string& name, const std::string& address, const std::string& mac);
  Result<> remove_neighbour(const std::string& name, const std::string& address);
  Result<> set_fdb(const std::string& name, const std::string& mac, const std::string& destination);
  Result<> remove_fdb(const std::string& name, const std::string& mac, const std::string& destination);
  Result<std::set<FdbEntry>> fdb(const std::string& name);
  /// Permanent neighbours: address -> MAC.
  Result<std::map<std::string, std::string>> neighbours(const std::string& name);
  /// Destinations of the main table's IPv4 routes, in CIDR form, default left out.
  Result<std::vector<std::string>> routes();
  Result<std::vector<std::string>> routes_via(const std::string& name);
  Result<std::vector<std::string>> links(const std::string& prefix);

 private:
  explicit Rtnl(mnl_socket* socket) : socket_(socket) {}
  Result<> talk(nlmsghdr* message, std::string_view what, const std::string& object,
                std::initializer_list<int> fine = {});
  template <class F>
  Result<> dump(nlmsghdr* message, F each);
  Result<> neighbour(int type, int family, const std::string& name, const std::string& address,
                     const std::string& mac, bool fdb);

  mnl_socket* socket_ = nullptr;
  uint32_t sequence_ = 0;
};

}  // namespace panal
