// JSON of swarm/assignments.h. Include in .cc files only.
#pragma once
#include "model/cluster_json.h"
#include "swarm/assignments.h"

namespace panal {

template <class A>
void fields(A& a, EndpointRow& r) {
  a("Task", r.task_id), a("Service", r.service_id), a("ServiceName", r.service_name), a("Address", r.address),
      a("Node", r.node_id), a("NodeAddress", r.node_address);
  a("Names", r.names), a("TaskName", r.task_name), a.opt("Local", r.local), a("Serving", r.serving);
}
struct VipRow {
  std::string service, address;
};
template <class A>
void fields(A& a, VipRow& r) {
  a("Service", r.service), a("Address", r.address);
}
template <class R, class A>
void pairs(A& a, std::string_view key, std::vector<std::pair<std::string, std::string>>& list) {
  std::vector<R> rows;
  for (auto& [x, y] : list) rows.push_back({x, y});
  a(key, rows);
  list.clear();
  for (auto& r : rows) list.emplace_back(r.service, r.address);
}
template <class A>
void fields(A& a, NetworkTable& t) {
  a("Network", t.network), a("Rows", t.rows), pairs<VipRow>(a, "Vips", t.vips);
}
template <class A>
void fields(A& a, MeshRow& r) {
  a("Task", r.task_id), a("Service", r.service_id), a("Address", r.address), a("Node", r.node_id),
      a("Index", r.node_index), a("Serving", r.serving);
}
template <class A>
void fields(A& a, Assignments& s) {
  a("Index", s.index), a("Tasks", s.tasks), a("Secrets", s.secrets), a("Configs", s.configs),
      a("Networks", s.networks), a("MeshSubnet", s.mesh_subnet);
  a("MeshNodes", s.mesh_nodes), a("MeshRows", s.mesh_rows), a("MeshServices", s.mesh_services),
      pairs<VipRow>(a, "Managers", s.managers), a("Role", s.role);
}

}  // namespace panal
