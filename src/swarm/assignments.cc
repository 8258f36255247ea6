#include "swarm/assignments.h"

#include <algorithm>

#include "model/cluster_json.h"

namespace panal {

static std::string bare(const std::string& cidr) { return cidr.substr(0, cidr.find('/')); }

static std::string task_name(const ClusterTask& t) { return t.service_name + "." + (t.slot ? std::to_string(t.slot) : t.node_id) + "." + t.meta.id; }

static bool in_tables(const ClusterTask& t) { return t.status.state == TaskState::kRunning || (t.status.state >= TaskState::kAssigned && !terminal(t.status.state)); }
static bool serves(const Store& store, const ClusterTask& t) {
  const Node* n = store.node(t.node_id);
  return t.serving && t.status.state == TaskState::kRunning && t.status.healthy && t.desired <= TaskState::kRunning && n && n->state == NodeState::kReady;
}

static NetworkTable table_of(const Store& store, const ClusterNetwork& network, const std::string& node_id) {
  NetworkTable out{network, {}, {}};
  for (const auto& [id, t] : store.tasks) {
    if (t.node_id.empty() || !in_tables(t)) continue;
    for (const auto& n : t.networks) {
      if (n.network_id != network.meta.id) continue;
      const Node* node = store.node(t.node_id);
      EndpointRow row{id, t.service_id, t.service_name, bare(n.address), node ? node->address : "", {t.service_name}, task_name(t), t.node_id == node_id, serves(store, t)};
      row.names.insert(row.names.end(), n.aliases.begin(), n.aliases.end());
      out.rows.push_back(std::move(row));
    }
  }
  for (const auto& [id, s] : store.services)
    for (const auto& v : s.vips)
      if (v.network_id == network.meta.id) out.vips.emplace_back(id, bare(v.address));
  return out;
}

static void add_mesh(const Store& store, Assignments& out) {
  const ClusterNetwork* ingress = nullptr;
  for (const auto& [id, n] : store.networks)
    if (n.network.ingress) ingress = &n;
  if (!ingress) return;
  out.mesh_subnet = ingress->network.pools.at(0).subnet;
  for (const auto& [id, n] : store.nodes) {
    Node row;
    row.meta.id = id, row.address = n.address, row.mesh_index = n.mesh_index, row.mesh_address = n.mesh_address;
    out.mesh_nodes.push_back(std::move(row));
  }
  for (const auto& [id, t] : store.tasks) {
    if (t.node_id.empty() || !in_tables(t)) continue;
    const Node* node = store.node(t.node_id);
    for (const auto& n : t.networks)
      if (n.network_id == ingress->meta.id) out.mesh_rows.push_back({id, t.service_id, bare(n.address), t.node_id, node ? node->mesh_index : 0, serves(store, t)});
  }
  for (const auto& [id, s] : store.services) {
    if (std::ranges::none_of(s.ports, [](const PortConfig& p) { return p.mode == "ingress"; })) continue;
    Service row;
    row.meta.id = id, row.ports = s.ports;
    out.mesh_services.push_back(std::move(row));
  }
}

Assignments assignments_for(const Store& store, const std::string& node_id) {
  Assignments out;
  out.index = store.index;
  std::set<std::string> secrets, configs, networks;
  const auto collect = [&](const ClusterTask& t) {
    if (t.desired > TaskState::kRunning) return;
    for (const auto& r : t.spec.container.secrets) secrets.insert(r.id);
    for (const auto& r : t.spec.container.configs) configs.insert(r.id);
  };
  for (const auto& [id, t] : store.tasks) {
    if (t.node_id != node_id || t.status.state < TaskState::kAssigned) continue;
    if (terminal(t.status.state)) {  // over: named only so that its container, and with it its log, stays as long as the task's record
      ClusterTask ended;
      ended.meta.id = id, ended.service_id = t.service_id, ended.node_id = node_id, ended.desired = t.desired, ended.status = t.status;
      out.tasks.push_back(std::move(ended));
      continue;
    }
    out.tasks.push_back(t);
    collect(t);
    for (const auto& n : t.networks) networks.insert(n.network_id);
  }
  for (auto& t : out.tasks) t.meta = Meta{.id = t.meta.id}, t.status = terminal(t.status.state) ? t.status : TaskStatus{};  // a status of its own must not come back as news
  for (const auto& id : secrets)
    if (auto it = store.secrets.find(id); it != store.secrets.end()) out.secrets.push_back(it->second);
  for (const auto& id : configs)
    if (auto it = store.configs.find(id); it != store.configs.end()) out.configs.push_back(it->second);
  for (const auto& id : networks)
    if (const auto* n = store.network(id)) out.networks.push_back(table_of(store, *n, node_id));
  add_mesh(store, out);
  for (const auto& [id, n] : store.nodes) {
    if (!n.manager_address.empty() && n.spec.role == NodeRole::kManager) out.managers.emplace_back(id, n.manager_address);
    if (id == node_id) out.role = n.spec.role;
  }
  return out;
}

template <class A>
void fields(A& a, EndpointRow& r) {
  a("Task", r.task_id), a("Service", r.service_id), a("ServiceName", r.service_name), a("Address", r.address), a("NodeAddress", r.node_address);
  a("Names", r.names), a("TaskName", r.task_name), a("Local", r.local), a("Serving", r.serving);
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
  a("Task", r.task_id), a("Service", r.service_id), a("Address", r.address), a("Node", r.node_id), a("Index", r.node_index), a("Serving", r.serving);
}
template <class A>
void fields(A& a, Assignments& s) {
  a("Index", s.index), a("Tasks", s.tasks), a("Secrets", s.secrets), a("Configs", s.configs), a("Networks", s.networks), a("MeshSubnet", s.mesh_subnet);
  a("MeshNodes", s.mesh_nodes), a("MeshRows", s.mesh_rows), a("MeshServices", s.mesh_services), pairs<VipRow>(a, "Managers", s.managers), a("Role", s.role);
}

std::string encode(const Assignments& assignments) { return to_text(assignments); }
Result<Assignments> decode_assignments(const std::string& bytes) { return from_text<Assignments>(bytes); }

}  // namespace panal
