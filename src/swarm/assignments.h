// What one node must run and know: its tasks with their secrets, the endpoint tables of the networks they are on, the routing mesh.
// Derived from the store alone; equal content need not be sent again. Pure.
#pragma once
#include "model/cluster.h"
#include "store/store.h"

namespace panal {

struct EndpointRow {
  std::string task_id, service_id, service_name, address, node_address;  // address without prefix
  std::vector<std::string> names;                                         // DNS: service name, aliases
  std::string task_name;
  bool local = false, serving = false;  // serving: running, healthy, not draining
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

struct Assignments {
  uint64_t index = 0;
  std::vector<ClusterTask> tasks;
  std::vector<SecretObject> secrets, configs;
  std::vector<NetworkTable> networks;
  // Mesh: empty subnet when there is no ingress network.
  std::string mesh_subnet;
  std::vector<Node> mesh_nodes;  // with their addresses; specs left out
  std::vector<MeshRow> mesh_rows;
  std::vector<Service> mesh_services;  // id and ports only
  std::vector<std::pair<std::string, std::string>> managers;  // node id, address
  NodeRole role = NodeRole::kWorker;
};

Assignments assignments_for(const Store& store, const std::string& node_id);
std::string encode(const Assignments& assignments);
Result<Assignments> decode_assignments(const std::string& bytes);

}  // namespace panal
