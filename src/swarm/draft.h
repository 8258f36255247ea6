// A draft: the store as it would be after the changes gathered so far. Reconcilers read and write drafts; the
// result is one Command. Pure. Ids come from the Entropy handed in, so that a simulation repeats.
#pragma once
#include <algorithm>
#include <functional>

#include "ports/entropy.h"
#include "store/store.h"

namespace panal {

class Draft {
 public:
  Draft(const Store& base, WallTime now, Entropy& entropy);

  const Store& base;
  const WallTime now;
  Entropy& entropy;

  const ClusterTask* task(const std::string& id) const;
  const Service* service(const std::string& id) const;
  const Node* node(const std::string& id) const { return base.node(id); }
  /// Tasks of a service (all states), in id order.
  const std::set<std::string>& tasks_of(const std::string& service_id) const;
  /// Tasks with a node, by node.
  const std::set<std::string>& tasks_on(const std::string& node_id) const;
  void each_task(const std::function<void(const ClusterTask&)>& fn) const;
  void each_service(const std::function<void(const Service&)>& fn) const;

  void put(ClusterTask task);
  void put(Service service);
  void put(Node node) { nodes_[node.meta.id] = std::move(node); }
  void put(ClusterNetwork network) { networks_[network.meta.id] = std::move(network); }
  const ClusterNetwork* network(const std::string& id) const;
  void erase_task(const std::string& id);
  std::string new_id() { return entropy.swarm_id(); }

  /// Everything that differs from the base.
  Command command() const;

 private:
  std::map<std::string, std::optional<ClusterTask>> tasks_;  // nullopt: erased
  std::map<std::string, Service> services_;
  std::map<std::string, Node> nodes_;
  std::map<std::string, ClusterNetwork> networks_;
  std::map<std::string, std::set<std::string>> by_service_, by_node_;
};

}  // namespace panal
