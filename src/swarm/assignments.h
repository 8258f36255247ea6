// What one node must run and know: its tasks with their secrets, the endpoint tables of the networks they are
// on, the routing mesh. The leader derives it from the store (board.h) and sends differences; AssignmentView
// puts them together again. Pure.
#pragma once
#include "model/cluster.h"
#include "store/store.h"

namespace panal {

struct EndpointRow {
  std::string task_id, service_id, service_name, address, node_id, node_address;  // address without prefix
  std::vector<std::string> names;  // DNS: service name, aliases
  std::string task_name;
  bool local = false, serving = false;  // local: on this node; serving: running, healthy, not draining
  bool operator==(const EndpointRow&) const = default;
};

struct NetworkTable {
  ClusterNetwork network;
  std::vector<EndpointRow> rows;
  std::vector<std::pair<std::string, std::string>> vips;  // service id, address without prefix
};

struct MeshRow {
  std::string task_id, service_id, address, node_id;
  uint32_t node_index = 0;
  bool serving = false;
};

/// Every list in the order of its ids.
struct Assignments {
  uint64_t index = 0;
  std::vector<ClusterTask> tasks;
  std::vector<SecretObject> secrets, configs;
  std::vector<NetworkTable> networks;
  // Mesh: empty subnet when there is no ingress network.
  std::string mesh_subnet;
  std::vector<Node> mesh_nodes;  // with their addresses; specs left out
  std::vector<MeshRow> mesh_rows;
  std::vector<Service> mesh_services;                         // id and ports only
  std::vector<std::pair<std::string, std::string>> managers;  // node id, address
  NodeRole role = NodeRole::kWorker;
};

std::string encode(const Assignments& assignments);
Result<Assignments> decode_assignments(const std::string& bytes);

/// A node's assignments as the messages of one session build them up.
class AssignmentView {
 public:
  explicit AssignmentView(std::string node_id) : node_id_(std::move(node_id)) {}
  /// After an error the view is of no use: only a new session, which begins with everything, helps.
  Result<> take(const std::string& news);
  const Assignments& now() const { return now_; }

 private:
  void drop(const std::string& scope);
  Result<> put(const std::string& scope, const std::string& key, const std::string& json);

  std::string node_id_;
  Assignments now_;
};

}  // namespace panal
