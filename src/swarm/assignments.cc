#include "swarm/assignments.h"

#include <algorithm>

#include "swarm/assignments_json.h"
#include "wire.pb.h"

namespace panal {

std::string encode(const Assignments& assignments) { return to_text(assignments); }
Result<Assignments> decode_assignments(const std::string& bytes) { return from_text<Assignments>(bytes); }

namespace {

const std::string& id_of(const ClusterTask& t) { return t.meta.id; }
const std::string& id_of(const SecretObject& s) { return s.meta.id; }
const std::string& id_of(const Node& n) { return n.meta.id; }
const std::string& id_of(const Service& s) { return s.meta.id; }
const std::string& id_of(const NetworkTable& t) { return t.network.meta.id; }
const std::string& id_of(const EndpointRow& r) { return r.task_id; }
const std::string& id_of(const MeshRow& r) { return r.task_id; }
const std::string& id_of(const std::pair<std::string, std::string>& p) { return p.first; }
const auto kById = [](const auto& item) -> const std::string& { return id_of(item); };

void read(const std::string& id, std::string text, std::pair<std::string, std::string>& out) {
  out = {id, std::move(text)};
}
template <class T>
void read(const std::string&, T value, T& out) {
  out = std::move(value);
}

template <class T>
void erase(std::vector<T>& list, const std::string& id) {
  std::erase_if(list, [&](const T& item) { return id_of(item) == id; });
}

template <class T>
T& at(std::vector<T>& list, const std::string& id) {
  auto it = std::ranges::lower_bound(list, id, {}, kById);
  return it != list.end() && id_of(*it) == id ? *it : *list.insert(it, T{});
}

template <class Value, class T>
Result<> set_from(std::vector<T>& list, const std::string& id, const std::string& json) {
  if (json.empty()) return erase(list, id), Result<>{};
  TRY(Value value, from_text<Value>(json));
  read(id, std::move(value), at(list, id));
  return {};
}
template <class T>
Result<> set(std::vector<T>& list, const std::string& id, const std::string& json) {
  return set_from<T>(list, id, json);
}

std::pair<std::string, std::string> cut(const std::string& text) {
  const size_t slash = text.find('/');
  return slash == std::string::npos ? std::pair{text, std::string()}
                                    : std::pair{text.substr(0, slash), text.substr(slash + 1)};
}

}  // namespace

void AssignmentView::drop(const std::string& scope) {
  const auto [area, owner] = cut(scope);
  if (area == "secret") erase(now_.secrets, owner);
  if (area == "config") erase(now_.configs, owner);
  if (area == "network") erase(now_.networks, owner);
  if (area == "node") now_.tasks.clear(), now_.role = NodeRole::kWorker;
}

Result<> AssignmentView::put(const std::string& scope, const std::string& key, const std::string& json) {
  const auto [area, owner] = cut(scope);
  const auto [kind, id] = cut(key);
  if (area == "secret") return set(now_.secrets, owner, json);
  if (area == "config") return set(now_.configs, owner, json);
  if (area == "network") {
    if (kind == "network") {
      TRY(auto network, from_text<ClusterNetwork>(json));
      at(now_.networks, owner).network = std::move(network);
      return {};
    }
    const auto table = std::ranges::find(now_.networks, owner, kById);
    if (table == now_.networks.end())
      return fail(Code::kInvalid, "assignments: rows of an unknown network " + owner);
    if (kind == "vip") return set_from<std::string>(table->vips, id, json);
    if (kind != "task") return {};
    TRYV(set(table->rows, id, json));
    for (auto& row : table->rows) row.local = row.node_id == node_id_;
    return {};
  }
  if (kind == "task") return set(now_.tasks, id, json);
  if (kind == "mesh-node") return set(now_.mesh_nodes, id, json);
  if (kind == "mesh-task") return set(now_.mesh_rows, id, json);
  if (kind == "mesh-service") return set(now_.mesh_services, id, json);
  if (kind == "manager") return set_from<std::string>(now_.managers, id, json);
  if (kind == "mesh") {
    TRY(now_.mesh_subnet, json.empty() ? Result<std::string>("") : from_text<std::string>(json));
  }
  if (kind == "role" && !json.empty()) {
    TRY(now_.role, from_text<NodeRole>(json));
  }
  return {};  // what a newer manager says beyond this is not for us
}

Result<> AssignmentView::take(const std::string& bytes) {
  AssignmentNews news;
  if (!news.ParseFromString(bytes) || news.index() == 0) return fail(Code::kInvalid, "malformed assignments");
  if (news.base() == 0) now_ = {};
  if (news.base() != now_.index)
    return fail(Code::kConflict, "assignments do not follow on those that are here");
  for (const auto& scope : news.dropped()) drop(scope);
  for (const auto& row : news.rows()) TRYV(put(row.scope(), row.key(), row.json()));
  now_.index = news.index();
  return {};
}

}  // namespace panal
