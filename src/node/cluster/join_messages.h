// What a node and a manager say to each other when it joins, renews its certificate or changes its role.
// Include in .cc files only.
#pragma once
#include "model/cluster_json.h"
#include "node/cluster/swarm_node.h"

namespace panal {

struct ManagerRow {
  std::string id, address;
};
template <class A>
void fields(A& a, ManagerRow& r) {
  a("ID", r.id), a("Addr", r.address);
}
template <class A>
void manager_list(A& a, std::string_view key, std::vector<std::pair<std::string, std::string>>& list) {
  std::vector<ManagerRow> rows;
  for (auto& [id, address] : list) rows.push_back({id, address});
  a(key, rows);
  list.clear();
  for (auto& r : rows) list.emplace_back(r.id, r.address);
}
struct JoinRequest {
  std::string secret, request, availability;
};
template <class A>
void fields(A& a, JoinRequest& j) {
  a("Secret", j.secret), a("Request", j.request), a("Availability", j.availability);
}
struct JoinReply {
  std::string node_id, cluster_id, certificate, ca;
  NodeRole role = NodeRole::kWorker;
  std::vector<std::pair<std::string, std::string>> managers;
};
template <class A>
void fields(A& a, JoinReply& j) {
  a("NodeID", j.node_id), a("ClusterID", j.cluster_id), a("Certificate", j.certificate), a("CA", j.ca),
      a("Role", j.role);
  manager_list(a, "Managers", j.managers);
}
struct ManagerRequest {
  uint64_t raft_id = 0;
  std::string address;
  bool remove = false;
};
template <class A>
void fields(A& a, ManagerRequest& m) {
  a("RaftID", m.raft_id), a("Address", m.address), a("Remove", m.remove);
}

JoinReply reply_for(const Store& store, const std::string& node_id, NodeRole role, std::string certificate);

}  // namespace panal
