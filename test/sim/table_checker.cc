#include "network/address.h"
#include "sim/checkers.h"
#include "swarm/scheduler.h"

namespace panal::sim {

static constexpr Duration kDrainLimit = 5s;

static bool wanted(const ClusterTask& t) { return t.desired <= TaskState::kRunning; }

bool TableChecker::apply(raft::Index index, const std::string& bytes) {
  auto command = decode_command(bytes);
  if (!command) {
    world_.violate("a command in the log is not understood: " + command.error().message);
    return false;
  }
  if (command->base_index && *command->base_index != store_.index)
    return store_.apply(index, *command).has_value();  // overtaken: nothing of it happens
  const Store& old = store_;
  for (const auto& c : command->changes) {
    const auto* object = c.object ? std::get_if<ClusterTask>(&*c.object) : nullptr;
    if (const auto* n = c.object ? std::get_if<Node>(&*c.object) : nullptr)
      if (const auto* was = old.node(c.id);
          was && (was->spec.availability != n->spec.availability || was->state != n->state))
        fit_since_[c.id] = index;
    if (c.kind != Kind::kTask) continue;
    if (!object) {
      buried_.insert(c.id);
      continue;
    }
    if (buried_.contains(c.id)) world_.violate("task " + c.id + " was removed and came back");
    if (const auto* was = old.task(c.id)) task_step(*was, *object, command->time);
  }
  if (!store_.apply(index, *command)) return false;
  store_.touched.clear();
  after(*command);
  return true;
}

void TableChecker::task_step(const ClusterTask& old, const ClusterTask& next, WallTime written) {
  const std::string who =
      "task " + next.meta.id + " of " + next.service_name + "." + std::to_string(next.slot) + ": ";
  if (next.status.state < old.status.state)
    world_.violate(who + "state moved back from " + std::string(name_of(old.status.state)) + " to " +
                   std::string(name_of(next.status.state)));
  if (terminal(old.status.state) && next.status.state != old.status.state)
    world_.violate(who + "was over as " + std::string(name_of(old.status.state)) + " and is now " +
                   std::string(name_of(next.status.state)));
  if (!old.node_id.empty() && old.node_id != next.node_id) world_.violate(who + "moved to another node");
  if (old.desired > TaskState::kRunning && next.desired < old.desired)
    world_.violate(who + "wanted again after it was told to stop");
  if (old.slot != next.slot || old.service_id != next.service_id || next.spec_version < old.spec_version)
    world_.violate(who + "changed its slot or service, or its version went back");
  drained(old, next);
  paced(old, next, written);
}

static bool routes_to(const Assignments& tables, const std::string& task) {
  for (const auto& row : tables.mesh_rows)
    if (row.task_id == task && row.serving) return true;
  for (const auto& n : tables.networks)
    for (const auto& row : n.rows)
      if (row.task_id == task && row.serving) return true;
  return false;
}

// A running task is told to stop when no ready node's kernel sends to it any more, or five seconds after it
// left the tables.
void TableChecker::drained(const ClusterTask& old, const ClusterTask& next) {
  const std::string& id = next.meta.id;
  const MonoTime now = world_.timeline.now;
  if (next.serving)
    left_.erase(id);
  else
    left_.try_emplace(id, now);
  if (!wanted(old) || wanted(next) || old.status.state != TaskState::kRunning) return;
  const Node* home = store_.node(old.node_id);
  if (!home || home->state != NodeState::kReady || now - left_.at(id) >= kDrainLimit) return;
  for (const auto& n : world_.nodes) {
    const Node* object = store_.node(n->node_id);
    if (object && object->state == NodeState::kReady && n->machine->tables &&
        routes_to(*n->machine->tables, id))
      world_.violate("task " + id + " of " + next.service_name + " was told to stop while n" +
                     std::to_string(n->index + 1) + " still sends to it");
  }
}

// A status carries the time of the leader that wrote it, however much later a majority came to have it; and a
// task that follows one that ended by itself waits for the restart delay, as long as the managers' own clocks
// are right.
void TableChecker::paced(const ClusterTask& old, const ClusterTask& next, WallTime written) {
  const bool stamped = !(next.status.time == old.status.time);
  if (stamped && !(next.status.time == written))
    world_.violate("a status of task " + next.meta.id + " carries " + rfc3339(next.status.time) +
                   ", its leader wrote it at " + rfc3339(written));
  if (!world_.manager_clocks_true) return;
  const WallTime now = world_.true_time();
  if (stamped && written > now)
    world_.violate("a status of task " + next.meta.id + " carries " + rfc3339(written) + " at " +
                   rfc3339(now));
  if (next.attempt == 0 || old.status.state >= TaskState::kAssigned ||
      next.status.state != TaskState::kAssigned)
    return;
  const ClusterTask* last = nullptr;
  for (const auto& [id, t] : store_.tasks)
    if (t.service_id == next.service_id && t.slot == next.slot && (t.slot || t.node_id == next.node_id) &&
        t.meta.born < next.meta.born && (!last || t.meta.born > last->meta.born))
      last = &t;
  if (last && terminal(last->status.state) && last->attempt + 1 == next.attempt &&
      now - last->status.time < Duration(next.spec.restart.delay))
    world_.violate("task " + next.meta.id + " of " + next.service_name + "." + std::to_string(next.slot) +
                   " began " + std::to_string((now - last->status.time) / 1ms) +
                   " ms after the end of the one before it");
}

void TableChecker::after(const Command& command) {
  bool tables = false;
  for (const auto& c : command.changes) {
    if (c.kind == Kind::kTask && c.object)
      if (const auto* t = store_.task(c.id); t && known_.insert(c.id).second) fresh_task(*t);
    tables |= c.kind == Kind::kTask || c.kind == Kind::kService || c.kind == Kind::kNode ||
              c.kind == Kind::kNetwork;
  }
  if (tables) addresses();
}

// A second task in a slot is made only for one that is on its way out, dead, of another version, or on a node
// that should be empty.
void TableChecker::fresh_task(const ClusterTask& task) {
  for (const auto& [id, t] : store_.tasks) {
    if (id == task.meta.id || t.service_id != task.service_id || t.slot != task.slot ||
        (t.slot == 0 && t.node_id != task.node_id))
      continue;
    if (!wanted(t) || terminal(t.status.state) || t.spec_version != task.spec_version) continue;
    const Node* n = store_.node(t.node_id);
    const Service* s = store_.service(t.service_id);
    const bool fits = n && s && n->state != NodeState::kDown &&
                      n->spec.availability != Availability::kDrain && constraints_hold(t.spec, *n);
    // The plan may have been made before a write that another proposer brought in first.
    const auto since = fit_since_.find(t.node_id);
    if (since != fit_since_.end() && since->second + 20 > store_.index) continue;
    if (t.node_id.empty() || fits)
      world_.violate("task " + task.meta.id + " was made for slot " + std::to_string(task.slot) + " of " +
                     task.service_name + " where " + id + " stands well");
  }
}

void TableChecker::addresses() {
  std::set<std::pair<std::string, std::string>> given;
  const auto take = [&](const std::string& network, std::string address, const std::string& who) {
    address = address.substr(0, address.find('/'));
    if (!address.empty() && !given.emplace(network, address).second)
      world_.violate("address " + address + " was given twice, now to " + who);
  };
  std::string ingress;
  for (const auto& [id, n] : store_.networks) {
    if (n.network.ingress) ingress = id;
    take(id, n.network.pools.at(0).gateway, "the gateway of " + n.network.name);
  }
  std::set<uint32_t> indices;
  for (const auto& [id, n] : store_.nodes) {
    take(ingress, n.mesh_address, "node " + id);
    if (n.mesh_index && !indices.insert(n.mesh_index).second)
      world_.violate("mesh index " + std::to_string(n.mesh_index) + " was given twice");
  }
  std::set<std::pair<std::string, uint32_t>> ports;
  for (const auto& [id, s] : store_.services) {
    for (const auto& v : s.vips) take(v.network_id, v.address, "service " + s.spec.name);
    for (const auto& p : s.ports)
      if (p.mode == "ingress" && p.published && !ports.emplace(p.protocol, p.published).second)
        world_.violate("port " + std::to_string(p.published) + " was given twice");
  }
  for (const auto& [id, t] : store_.tasks)
    if (!terminal(t.status.state))
      for (const auto& n : t.networks) take(n.network_id, n.address, "task " + id);
}

}  // namespace panal::sim
