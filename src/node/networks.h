// The node's networks: bridge networks of its own, overlay networks the cluster gave it. Owns the address books; the kernel part
// goes through ports KernelNetwork. Names of containers are answered here (DNS at 127.0.0.11).
#pragma once
#include <functional>
#include <map>
#include <set>

#include "model/image.h"
#include "network/address.h"
#include "node/events.h"
#include "ports/database.h"
#include "ports/entropy.h"
#include "ports/kernel_network.h"

namespace panal {

/// The network "bridge", as the daemon's settings have it.
struct DefaultBridge {
  std::string name = "panal0";
  std::string address_cidr, range;  // of the bridge, of its containers; empty: chosen
  std::string host_ip = "0.0.0.0";  // where ports are published
  int mtu = 1500;
  bool icc = true, masquerade = true;
};

struct NetworkPaths {
  std::string namespaces;  // folder of namespace files
  std::vector<std::string> dns_servers;
  DefaultBridge bridge;
  std::vector<std::pair<Cidr, int>> pools = default_local_pools();
};

class Networks {
 public:
  Networks(Loop& loop, Entropy& entropy, KernelNetwork& kernel, Database& db, Events& events, NetworkPaths paths)
      : loop_(loop), entropy_(entropy), kernel_(kernel), db_(db), events_(events), paths_(std::move(paths)) {}
  Result<> load();
  /// Brings the kernel to what the table says; makes the predefined networks on first start.
  Task<Result<>> setup();

  /// By name, id or unique id prefix. "network NAME not found".
  Result<const Network*> find(const std::string& name) const;
  const std::map<std::string, Network>& all() const { return networks_; }
  Task<Result<std::string>> create(Network wish);
  Task<Result<>> remove(const std::string& name);

  struct Member {
    std::string container_id, container_name, endpoint_id, mac, address_cidr;
    std::vector<std::string> names;  // what DNS answers on this network
  };
  const std::map<std::string, Member>& members(const std::string& network_id) const;

  std::string namespace_path(const std::string& container_id) const { return paths_.namespaces + "/" + container_id.substr(0, 24); }
  /// Gives `endpoint` its addresses and plugs the container in. `index` numbers its interfaces; the first one gets the default route.
  Task<Result<>> connect(const Container& c, const std::string& network_name, Endpoint& endpoint, int index, bool default_route);
  Task<Result<>> disconnect(const Container& c, const std::string& network_name, Endpoint& endpoint, int index, bool namespace_gone);
  /// A container has another name: DNS answers that one.
  void renamed(Container& c, const std::string& old);
  /// Takes back what a running container already has, at daemon start.
  void readopt(const Container& c, const std::string& network_name, const Endpoint& endpoint);
  /// Takes the wished ports for the kernel to publish; fills in random ones. All or nothing.
  Result<std::vector<PublishedPort>> reserve(const Container& c, const std::string& address, std::vector<PublishedPort> wish);
  /// Where a port goes whose wish names no address.
  std::string publishing_address(const Container& c) const { return c.networks.contains("bridge") ? paths_.bridge.host_ip : "0.0.0.0"; }
  Task<void> unpublish(const std::string& address, const std::vector<PublishedPort>& ports);
  /// Ports of the routing mesh, {protocol, port}: no program of the host and no container may take them.
  void hold_mesh_ports(const std::set<std::pair<std::string, uint16_t>>& wanted);
  void readopt_ports(const std::vector<PublishedPort>& ports);

  /// Serves names to a container on networks other than the default bridge.
  Task<Result<>> serve_names(const Container& c);
  const std::vector<std::string>& dns_servers() const { return paths_.dns_servers; }
  KernelNetwork& kernel() { return kernel_; }

  /// Overlay networks of the cluster: answers of the replicated endpoint table. nullopt: not a name of the cluster's.
  std::function<std::optional<std::vector<std::string>>(const std::string& network_id, const std::string& name)> cluster_names;
  /// Adds or removes a network the cluster manages.
  Task<Result<>> adopt_cluster_network(Network network);
  Task<void> forget_cluster_network(std::string id);
  std::string sandbox_path(const std::string& network_id) const { return paths_.namespaces + "/ov-" + network_id.substr(0, 12); }

 private:
  Task<Result<>> ensure_kernel(const Network& network);
  Task<Result<>> set_up_bridge();
  Result<> choose_subnet(Network& network);
  Task<std::string> answer(std::string container_id, std::string query);
  std::set<Ip4> taken(const std::string& network_id) const;
  Result<> take_port(PublishedPort& port, const std::string& address);
  void give_back(const PublishedPort& port);

  Loop& loop_;
  Entropy& entropy_;
  KernelNetwork& kernel_;
  Database& db_;
  Events& events_;
  NetworkPaths paths_;
  std::map<std::string, Network> networks_;                       // by id
  std::map<std::string, std::map<std::string, Member>> members_;  // network id -> container id
  std::map<std::string, std::vector<std::string>> own_dns_;  // container id -> its --dns
  std::map<std::string, Ip4> last_address_;
  std::map<std::pair<std::string, uint16_t>, bool> mesh_ports_;  // held; false: somebody else was there before
  std::set<std::tuple<std::string, std::string, uint16_t>> ports_;  // protocol, host ip, port
  std::map<std::string, std::vector<std::string>> networks_of_;     // container id -> network ids, for DNS
};

}  // namespace panal
