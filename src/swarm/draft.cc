#include "swarm/draft.h"

namespace panal {

Draft::Draft(const Store& b, WallTime n, Entropy& e) : base(b), now(n), entropy(e) {
  for (const auto& [id, t] : base.tasks) {
    by_service_[t.service_id].insert(id);
    if (!t.node_id.empty()) by_node_[t.node_id].insert(id);
  }
}

const ClusterTask* Draft::task(const std::string& id) const {
  if (auto it = tasks_.find(id); it != tasks_.end()) return it->second ? &*it->second : nullptr;
  return base.task(id);
}
const Service* Draft::service(const std::string& id) const {
  auto it = services_.find(id);
  return it != services_.end() ? &it->second : base.service(id);
}
const ClusterNetwork* Draft::network(const std::string& id) const {
  auto it = networks_.find(id);
  return it != networks_.end() ? &it->second : base.network(id);
}

static const std::set<std::string> kNone;
const std::set<std::string>& Draft::tasks_of(const std::string& id) const {
  auto it = by_service_.find(id);
  return it == by_service_.end() ? kNone : it->second;
}
const std::set<std::string>& Draft::tasks_on(const std::string& id) const {
  auto it = by_node_.find(id);
  return it == by_node_.end() ? kNone : it->second;
}

void Draft::each_task(const std::function<void(const ClusterTask&)>& fn) const {
  for (const auto& [service, ids] : by_service_)
    for (const auto& id : ids)
      if (const auto* t = task(id)) fn(*t);
}
void Draft::each_service(const std::function<void(const Service&)>& fn) const {
  for (const auto& [id, s] : base.services) fn(*service(id));
}

void Draft::put(ClusterTask t) {
  by_service_[t.service_id].insert(t.meta.id);
  if (!t.node_id.empty()) by_node_[t.node_id].insert(t.meta.id);
  tasks_[t.meta.id] = std::move(t);
}
void Draft::put(Service s) { services_[s.meta.id] = std::move(s); }
void Draft::erase_task(const std::string& id) {
  if (const auto* t = task(id)) {
    const std::string service = t->service_id, node = t->node_id;
    by_service_[service].erase(id);
    if (!node.empty()) by_node_[node].erase(id);
  }
  tasks_[id] = std::nullopt;
}

Command Draft::command() const {
  Command c;
  c.time = now;
  c.base_index = base.index;  // what is written meanwhile is not overwritten: then the whole plan falls
  for (const auto& [id, n] : networks_) c.put(Kind::kNetwork, n);
  for (const auto& [id, n] : nodes_) c.put(Kind::kNode, n);
  for (const auto& [id, s] : services_) c.put(Kind::kService, s);
  for (const auto& [id, t] : tasks_) {
    if (t)
      c.put(Kind::kTask, *t);
    else if (base.task(id))
      c.remove(Kind::kTask, id);
  }
  return c;
}

}  // namespace panal
