#include "swarm/board.h"

#include <algorithm>

#include "swarm/assignments_json.h"
#include "wire.pb.h"

namespace panal {

static constexpr size_t kMaxGone = 256,
                        kKeptGone = 64;  // per scope; who is further behind reads the scope anew
static constexpr const char* kAll = "all";

static std::string bare(const std::string& cidr) { return cidr.substr(0, cidr.find('/')); }
static std::string task_name(const ClusterTask& t) {
  return t.service_name + "." + (t.slot ? std::to_string(t.slot) : t.node_id) + "." + t.meta.id;
}

static bool in_tables(const ClusterTask& t) {
  return t.status.state == TaskState::kRunning ||
         (t.status.state >= TaskState::kAssigned && !terminal(t.status.state));
}
static bool serves(const ClusterTask& t, const Node* n) {
  return t.serving && t.status.state == TaskState::kRunning && t.status.healthy &&
         t.desired <= TaskState::kRunning && n && n->state == NodeState::kReady;
}

// ---- rows from objects

using Rows = std::map<std::pair<std::string, std::string>, std::string>;  // scope, key -> JSON

static void rows_of(const Node& n, Rows& rows) {
  Node shown;
  shown.meta.id = n.meta.id, shown.address = n.address, shown.mesh_index = n.mesh_index,
  shown.mesh_address = n.mesh_address;
  rows[{kAll, "mesh-node/" + n.meta.id}] = to_text(shown);
  rows[{"node/" + n.meta.id, "role"}] = to_text(n.spec.role);
  if (!n.manager_address.empty() && n.spec.role == NodeRole::kManager)
    rows[{kAll, "manager/" + n.meta.id}] = to_text(n.manager_address);
}

static void rows_of(const Store& store, const ClusterTask& t, Rows& rows) {
  if (t.node_id.empty()) return;
  if (t.status.state >= TaskState::kAssigned) {
    ClusterTask shown;
    // What has ended is named only so that its container, and with it its log, stays as long as the task's
    // record.
    if (terminal(t.status.state))
      shown.service_id = t.service_id, shown.node_id = t.node_id, shown.desired = t.desired,
      shown.status = t.status;
    else
      shown = t, shown.status = {};  // a status of the node's own must not come back as news
    shown.meta = Meta{.id = t.meta.id};
    rows[{"node/" + t.node_id, "task/" + t.meta.id}] = to_text(shown);
  }
  if (!in_tables(t)) return;
  const Node* node = store.node(t.node_id);
  for (const auto& n : t.networks) {
    EndpointRow row{
        t.meta.id,        t.service_id, t.service_name, bare(n.address), t.node_id, node ? node->address : "",
        {t.service_name}, task_name(t), false,          serves(t, node)};
    row.names.insert(row.names.end(), n.aliases.begin(), n.aliases.end());
    rows[{"network/" + n.network_id, "task/" + t.meta.id}] = to_text(row);
    if (const auto* network = store.network(n.network_id); network && network->network.ingress)
      rows[{kAll, "mesh-task/" + t.meta.id}] = to_text(MeshRow{
          t.meta.id, t.service_id, bare(n.address), t.node_id, node ? node->mesh_index : 0, serves(t, node)});
  }
}

static std::set<std::string> needs_of(const ClusterTask& t) {
  std::set<std::string> needs;
  if (t.node_id.empty() || t.status.state < TaskState::kAssigned || terminal(t.status.state)) return needs;
  for (const auto& n : t.networks) needs.insert("network/" + n.network_id);
  if (t.desired > TaskState::kRunning) return needs;
  for (const auto& r : t.spec.container.secrets) needs.insert("secret/" + r.id);
  for (const auto& r : t.spec.container.configs) needs.insert("config/" + r.id);
  return needs;
}

static void rows_of(const Service& s, Rows& rows) {
  for (const auto& v : s.vips)
    rows[{"network/" + v.network_id, "vip/" + s.meta.id}] = to_text(bare(v.address));
  if (std::ranges::none_of(s.ports, [](const PortConfig& p) { return p.mode == "ingress"; })) return;
  Service shown;
  shown.meta.id = s.meta.id, shown.ports = s.ports;
  rows[{kAll, "mesh-service/" + s.meta.id}] = to_text(shown);
}

static void rows_of(const ClusterNetwork& n, Rows& rows) {
  rows[{"network/" + n.meta.id, "network"}] = to_text(n);
  if (n.network.ingress && !n.network.pools.empty())
    rows[{kAll, "mesh"}] = to_text(n.network.pools[0].subnet);
}

void Board::derive(const Store& store, Kind kind, const std::string& id) {
  Rows rows;
  Source next;
  if (const auto* n = kind == Kind::kNode ? store.node(id) : nullptr) rows_of(*n, rows);
  if (const auto* s = kind == Kind::kService ? store.service(id) : nullptr) rows_of(*s, rows);
  if (const auto* n = kind == Kind::kNetwork ? store.network(id) : nullptr) rows_of(*n, rows);
  if (const auto* t = kind == Kind::kTask ? store.task(id) : nullptr)
    rows_of(store, *t, rows), next.node_scope = "node/" + t->node_id, next.needs = needs_of(*t);
  if (kind == Kind::kSecret || kind == Kind::kConfig) {
    const auto& table = kind == Kind::kSecret ? store.secrets : store.configs;
    if (auto it = table.find(id); it != table.end())
      rows[{std::string(name_of(kind)) + "/" + id, std::string(name_of(kind))}] = to_text(it->second);
  }
  auto& source = sources_[{kind, id}];
  for (const auto& place : source.places)
    if (!rows.contains(place)) set(store.index, place.first, place.second, "");
  for (auto& [place, json] : rows)
    next.places.push_back(place), set(store.index, place.first, place.second, std::move(json));
  for (const auto& scope : next.needs) ++needs_[next.node_scope][scope];
  for (const auto& scope : source.needs) {
    auto& counts = needs_[source.node_scope];
    if (--counts[scope] == 0) counts.erase(scope);
    if (counts.empty()) needs_.erase(source.node_scope);
  }
  source = std::move(next);
  if (source.places.empty() && source.needs.empty()) sources_.erase({kind, id});
}

// ---- scopes

void Board::set(uint64_t index, const std::string& name, const std::string& key, std::string json) {
  const auto [at, fresh] = scopes_.try_emplace(name);
  Scope& scope = at->second;
  if (fresh) scope.since = index;
  const auto [it, added] = scope.rows.try_emplace(key);
  Row& row = it->second;
  if (!added && row.json == json) return;
  if (!added) scope.changes.erase(std::pair(row.changed, key)), scope.gone -= row.json.empty();
  scope.gone += json.empty();
  row = {std::move(json), index};
  scope.changes.insert({index, key});
  dirty_.insert(name);
}

void Board::tidy() {
  for (const auto& name : std::exchange(dirty_, {})) {
    Scope& scope = scopes_.at(name);
    if (scope.gone == scope.rows.size()) {
      scopes_.erase(name);
      continue;
    }
    if (scope.gone <= kMaxGone) continue;
    for (auto it = scope.changes.begin(); scope.gone > kKeptGone;) {
      auto row = scope.rows.find(it->second);
      if (!row->second.json.empty()) {
        ++it;
        continue;
      }
      scope.since = it->first, --scope.gone;
      scope.rows.erase(row);
      it = scope.changes.erase(it);
    }
  }
}

void Board::rebuild(const Store& store) {
  scopes_.clear(), sources_.clear(), needs_.clear();
  ++generation_;
  const auto all = [&](Kind kind, const auto& table) {
    for (const auto& [id, object] : table) derive(store, kind, id);
  };
  all(Kind::kNetwork, store.networks), all(Kind::kNode, store.nodes), all(Kind::kService, store.services);
  all(Kind::kTask, store.tasks), all(Kind::kSecret, store.secrets), all(Kind::kConfig, store.configs);
  tidy();
}

void Board::update(const Store& store, const Touched& touched) {
  std::set<std::string> tasks;
  for (const auto& [kind, ids] : touched) {
    if (ids.contains("*")) return rebuild(store);
    if (kind == Kind::kTask)
      tasks.insert(ids.begin(), ids.end());
    else if (kind != Kind::kCluster)
      for (const auto& id : ids) derive(store, kind, id);
  }
  // A task's rows tell of its node too.
  if (auto nodes = touched.find(Kind::kNode); nodes != touched.end())
    for (const auto& [id, t] : store.tasks)
      if (nodes->second.contains(t.node_id)) tasks.insert(id);
  for (const auto& id : tasks) derive(store, Kind::kTask, id);
  tidy();
}

// ---- readers

const Board::Scope* Board::readable(const std::string& name) const {
  auto it = scopes_.find(name);
  if (it == scopes_.end()) return nullptr;
  const std::string head = name.starts_with("node/") ? "role" : name.substr(0, name.find('/'));
  if (name == kAll) return &it->second;
  auto row = it->second.rows.find(head);
  return row == it->second.rows.end() || row->second.json.empty() ? nullptr : &it->second;
}

std::optional<std::string> Board::news(Reader& reader, uint64_t index) const {
  if (reader.generation != generation_) reader = {reader.node_id, 0, generation_, {}};
  const std::string own = "node/" + reader.node_id;
  std::map<std::string, const Scope*> wanted;
  const auto want = [&](const std::string& name) {
    if (const Scope* scope = readable(name)) wanted[name] = scope;
  };
  want(kAll), want(own);
  if (auto needs = needs_.find(own); needs != needs_.end() && wanted.contains(own))
    for (const auto& [name, count] : needs->second) want(name);

  AssignmentNews out;
  const auto add = [&](const std::string& name, const std::string& key, const std::string& json) {
    auto* row = out.add_rows();
    row->set_scope(name), row->set_key(key), row->set_json(json);
  };
  for (const auto& name : reader.scopes)
    if (!wanted.contains(name)) out.add_dropped(name);
  std::set<std::string> scopes;
  for (const auto& [name, scope] : wanted) {
    scopes.insert(name);
    const bool known = reader.scopes.contains(name);
    if (known && reader.sent >= scope->since) {
      for (auto it = scope->changes.lower_bound({reader.sent + 1, ""}); it != scope->changes.end(); ++it)
        add(name, it->second, scope->rows.at(it->second).json);
      continue;
    }
    if (known) out.add_dropped(name);
    for (const auto& [key, row] : scope->rows)
      if (!row.json.empty()) add(name, key, row.json);
  }
  if (reader.sent != 0 && out.rows_size() == 0 && out.dropped_size() == 0) return std::nullopt;
  out.set_base(reader.sent), out.set_index(index);
  reader.sent = index, reader.scopes = std::move(scopes);
  return out.SerializeAsString();
}

}  // namespace panal
