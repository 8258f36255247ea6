// The node's networks: bridge networks of its own, overlay networks the cluster gave it. Owns the address
// books; the kernel part goes through ports KernelNetwork. Names of containers are answered here (DNS at
// 127.0.0.11).
#pragma once
#include <functional>
#include <map>
#include <set>

#include "model/image.h"
#include "network/bridge_options.h"
#include "network/resolv_conf.h"
#include "network/subnet.h"
#include "node/events.h"
#include "ports/database.h"
#include "ports/entropy.h"
#include "ports/kernel_network.h"
#include "ports/mutex.h"

namespace panal {

/// What the daemon's options say of networks.
struct NetworkDefaults {
  std::vector<SubnetPool> pools = default_subnet_pools();
  std::string bip, fixed_cidr;      // of the default bridge; empty: chosen
  std::string host_ip = "0.0.0.0";  // where its ports are published that name no address
  int mtu = 1500;
  bool icc = true, masquerade = true;
  ResolvWish resolv;
};

struct NetworkPaths {
  std::string namespaces;  // folder of namespace files
  std::function<ResolvConf()> host_resolver;
  NetworkDefaults defaults;
  std::string bridge_name = "panal0";
};

/// A port somebody wants published: on `host_ip` or, without one, where the network and the daemon say; any
/// of first..last, 0: a free one.
struct PortWish {
  std::string host_ip, protocol;
  uint16_t port = 0, first = 0, last = 0;
};

/// The bridge over which containers on overlay networks reach the world outside.
constexpr const char* kEgressBridge = "docker_gwbridge";

class Networks {
 public:
  Networks(Loop& loop, Entropy& entropy, KernelNetwork& kernel, Database& db, Events& events,
           NetworkPaths paths)
      : loop_(loop), entropy_(entropy), kernel_(kernel), db_(db), events_(events), paths_(std::move(paths)) {}
  Result<> load();
  /// Brings the kernel to what the table says; makes the predefined networks on first start. The default
  /// bridge changes its subnet only while no container runs.
  Task<Result<>> setup(bool containers_run);

  /// By name, id or unique id prefix. "network NAME not found".
  Result<const Network*> find(const std::string& name) const;
  const std::map<std::string, Network>& all() const { return networks_; }
  Task<Result<std::string>> create(Network wish);
  Task<Result<>> remove(const std::string& name);

  struct Member {
    std::string container_id, container_name, endpoint_id, mac, address_cidr, address6_cidr;
    std::vector<std::string> names;  // what DNS answers on this network
  };
  const std::map<std::string, Member>& members(const std::string& network_id) const;

  std::string namespace_path(const std::string& container_id) const {
    return paths_.namespaces + "/" + container_id.substr(0, 24);
  }
  struct DefaultRoutes {
    bool four = false, six = false;
  };
  /// Gives `endpoint` its addresses and plugs the container in. `index` numbers its interfaces.
  Task<Result<>> connect(const Container& c, const std::string& network_name, Endpoint& endpoint, int index,
                         DefaultRoutes routes);
  Task<Result<>> disconnect(const Container& c, const std::string& network_name, Endpoint& endpoint,
                            int index, bool namespace_gone);
  /// A container has another name: DNS answers that one.
  void renamed(Container& c, const std::string& old);
  /// Takes back what a running container already has, at daemon start.
  void readopt(const Container& c, const std::string& network_name, const Endpoint& endpoint);
  /// The host's end of a container's interface on a bridge.
  static std::string host_end(const Container& c, int index) {
    return "veth" + c.id.substr(0, 7) + std::to_string(index);
  }
  /// At daemon start: plugs a running container in again where the record says that it is and the kernel that
  /// it is not. True: it did.
  Task<Result<bool>> restore(const Container& c, const std::string& network_name, Endpoint& endpoint);
  /// At daemon start: unplugs containers of `ids` where no record says that they are. `known`: host_end() of
  /// those where one does.
  Task<void> unplug_others(const std::set<std::string>& ids, const std::set<std::string>& known);
  /// A container's networks in the order in which they may give the default route: the mesh's, then by
  /// priority, the primary one, by name.
  std::vector<std::string> gateway_order(const Container& c) const;
  /// Leads the running container's default routes over the first network that has a gateway.
  Task<Result<>> settle_routes(const Container& c);

  /// Where a container's ports are published: the first networks of either family that lead outside.
  struct PortTarget {
    std::string four, six, host_binding;
    bool routed4 = false, routed6 = false;
    bool any() const { return !four.empty() || !six.empty(); }
  };
  PortTarget port_target(const Container& c) const;
  /// Takes the wished ports for the kernel to publish; fills in random ones. All or nothing.
  Result<std::vector<PublishedPort>> reserve(const Container& c, const PortTarget& to,
                                             const std::vector<PortWish>& wishes);
  Task<void> unpublish(std::vector<PublishedPort> ports);
  /// Ports of the routing mesh, {protocol, port}: no program of the host and no container may take them.
  void hold_mesh_ports(const std::set<std::pair<std::string, uint16_t>>& wanted);
  void readopt_ports(const std::vector<PublishedPort>& ports);

  /// Serves names to a container on networks other than the default bridge.
  Task<Result<>> serve_names(const Container& c);
  std::string resolv_conf(const Container& c, bool own_names) const;
  /// What "host-gateway" stands for: the default bridge's addresses.
  std::vector<std::string> host_gateways() const;
  KernelNetwork& kernel() { return kernel_; }

  /// Overlay networks of the cluster: answers of the replicated endpoint table. nullopt: not a name of the
  /// cluster's.
  std::function<std::optional<std::vector<std::string>>(const std::string& network_id,
                                                        const std::string& name)>
      cluster_names;
  /// What a container's own links call by this name in lower case: addresses of both families.
  std::function<std::set<std::string>(const std::string& container_id, const std::string& name)>
      linked_addresses;
  /// A place on an attachable network for a plain container; `wish.attachment` names it. Fails with what
  /// `docker run` is to say.
  struct ClusterPlace {
    std::string network, address;  // name, CIDR
  };
  std::function<Task<Result<ClusterPlace>>(const Container& c, std::string network, const Endpoint& wish)>
      attach_cluster;
  std::function<void(const std::string& attachment)> detach_cluster;
  Task<Result<>> ensure_egress_bridge();
  /// Adds or removes a network the cluster manages.
  Task<Result<>> adopt_cluster_network(Network network);
  Task<void> forget_cluster_network(std::string id);
  std::string sandbox_path(const std::string& network_id) const {
    return paths_.namespaces + "/ov-" + network_id.substr(0, 12);
  }

 private:
  Task<Result<>> ensure_kernel(const Network& network);
  Task<Result<>> settle_default_bridge(Network& n, bool containers_run);
  Result<> choose_subnets(Network& network) const;
  Result<IpamPool> choose_subnet(IpamPool wish, bool six) const;
  std::vector<IpSubnet> subnets_in_use() const;
  std::vector<IpSubnet> host_routes() const;
  Task<Result<>> plug_in(const Container& c, const std::string& network_name, Endpoint& endpoint, int index,
                         DefaultRoutes routes, const std::string& wanted_address);
  Task<Result<>> attach_if_cluster(const Container& c, const std::string& network_name, Endpoint& endpoint,
                                   std::string& address);
  Result<IpAddress> choose_address(const Network& n, bool six, const std::string& wanted);
  std::set<IpAddress> taken(const Network& n) const;
  Task<std::string> reply(std::string container_id, std::string query, KernelNetwork::DnsVia via);
  Task<std::string> answer(std::string container_id, std::string query, KernelNetwork::DnsVia via);
  Result<std::vector<PublishedPort>> take_ports(const PortWish& wish, const PortTarget& to);
  Result<> take_port(const PublishedPort& port);
  bool reserved(const PublishedPort& port) const;
  void give_back(const PublishedPort& port);

  Loop& loop_;
  Entropy& entropy_;
  KernelNetwork& kernel_;
  Database& db_;
  Events& events_;
  NetworkPaths paths_;
  AsyncMutex egress_;                                             // its bridge is being made
  std::map<std::string, Network> networks_;                       // by id
  std::map<std::string, std::map<std::string, Member>> members_;  // network id -> container id
  std::map<std::string, std::vector<std::string>> own_dns_;       // container id -> its --dns
  std::map<std::pair<std::string, uint16_t>, bool>
      mesh_ports_;  // held; false: somebody else was there before
  std::set<std::tuple<std::string, uint16_t, std::string>> ports_;  // protocol, port, host ip
  std::map<std::string, std::vector<std::string>> networks_of_;     // container id -> network ids, for DNS
};

/// The network's pool of that family; null when it has none.
const IpamPool* pool_of(const Network& n, bool six);
/// They were checked when the network was made.
BridgeOptions options_of(const Network& n);
/// Name of a container's interface on the network.
std::string interface_name(const Network& n, const Endpoint& e, int index);

}  // namespace panal
