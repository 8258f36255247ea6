#include "sim/checkers.h"
#include "swarm/orchestrator.h"
#include "swarm/scheduler.h"
#include "swarm/update.h"

namespace panal::sim {

static std::string name(const SimNode& n) { return "n" + std::to_string(n.index + 1); }

std::string SettledChecker::managers_differ() {
  const MonoTime now = world_.timeline.now;
  was_.emplace_back(now, raft_.tables().store().index);
  while (was_.size() > 1 && now - was_[1].first >= 1s) was_.pop_front();
  if (!world_.leader()) return "no leader";
  for (const auto& n : world_.nodes) {
    const auto m = n->manager();
    if (!m) {
      if (n->member && n->role == NodeRole::kManager) return name(*n) + " is down";
      continue;
    }
    if (m->replica().failed()) return name(*n) + "'s log has stopped: " + m->replica().failure();
    if (m->store().index < was_.front().second)
      return name(*n) + " has applied " + std::to_string(m->store().index) +
             ", a second ago the history ended at " + std::to_string(was_.front().second);
  }
  return {};
}

// Who manages is what the tables say, on every node and in the Raft group, and everyone votes.
std::string SettledChecker::members_differ() {
  const Store& store = raft_.tables().store();
  std::set<raft::Id> managers;
  for (const auto& n : world_.nodes) {
    if (!n->member) continue;
    const Node* object = store.node(n->node_id);
    if (!object || object->state != NodeState::kReady)
      return name(*n) + " is not ready: " + (object ? object->message : "no such node");
    if (object->spec.role != n->role || (n->role == NodeRole::kManager) != (n->manager() != nullptr))
      return name(*n) + " should be a " + std::string(name_of(object->spec.role));
    if (n->role == NodeRole::kManager) managers.insert(n->raft_id);
    if (object->raft_id != n->raft_id)
      return name(*n) + " has another place in the Raft group than the tables say";
  }
  std::set<raft::Id> voters;
  for (const auto& s : world_.leader()->manager()->replica().configuration()) {
    voters.insert(s.id);
    if (s.role != raft::Role::kVoter) return s.address + " has no vote yet";
    if (!managers.contains(s.id)) return s.address + " is in the Raft group and no manager";
  }
  return voters.size() == managers.size() ? "" : "a manager is not in the Raft group";
}

// Services whose tasks end by themselves need not run in every slot.
static bool lasting(const ServiceSpec& s) {
  const std::string& image = s.task.container.image;
  return (image.starts_with("app") || image.starts_with("slow")) && s.task.restart.condition == "any" &&
         s.task.restart.max_attempts == 0;
}

static std::string service_lacks(const Store& store, const Service& s) {
  const bool updating = s.update && (s.update->state == "updating" || s.update->state == "rollback_started");
  if (!lasting(s.spec)) return {};
  const auto takes = [&](const auto& n) {
    return n.second.spec.availability == Availability::kActive && constraints_hold(s.spec.task, n.second);
  };
  if (s.spec.mode == ServiceMode::kReplicated &&
      std::ranges::none_of(store.nodes, takes)) {  // all nodes of the role it asks for have another one now
    for (const auto& [id, t] : store.tasks)
      if (t.service_id == s.meta.id && t.desired <= TaskState::kRunning && t.spec_version == s.spec_version &&
          (t.status.state > TaskState::kPending || t.status.error.empty()))
        return "task " + id + " of " + s.spec.name + " is " + std::string(name_of(t.status.state)) +
               " where no node may run it";
    return {};
  }
  if (updating) return "service " + s.spec.name + " is still " + s.update->state;
  const bool held = s.update && (s.update->state == "paused" || s.update->state == "rollback_paused");
  std::map<std::string, int> running;
  for (const auto& [id, t] : store.tasks)
    if (t.service_id == s.meta.id && t.desired <= TaskState::kRunning) {
      if (t.status.state != TaskState::kRunning && !held)
        return "task " + id + " of " + s.spec.name + "." + std::to_string(t.slot) + " is " +
               std::string(name_of(t.status.state)) + ": " + t.status.error;
      if (t.status.state == TaskState::kRunning && !t.status.healthy)
        return "task " + id + " of " + s.spec.name + " is not healthy";
      if (t.spec_version != s.spec_version && !held)
        return "task " + id + " of " + s.spec.name + " has an old version";
      ++running[t.slot ? std::to_string(t.slot) : t.node_id];
    }
  if (held) return {};
  size_t want = s.spec.replicas;
  if (s.spec.mode == ServiceMode::kGlobal) {
    want = 0;
    for (const auto& [id, n] : store.nodes)
      want += n.spec.availability == Availability::kActive && constraints_hold(s.spec.task, n);
  }
  if (running.size() != want)
    return "service " + s.spec.name + " runs in " + std::to_string(running.size()) + " slots of " +
           std::to_string(want);
  for (const auto& [slot, count] : running)
    if (count != 1) return "slot " + slot + " of " + s.spec.name + " has " + std::to_string(count) + " tasks";
  return {};
}

// What runs is what the tables say, on every machine.
static std::string containers_differ(SimWorld& world, const Store& store) {
  std::map<std::pair<std::string, std::string>, std::string> holder;
  for (const auto& n : world.nodes)
    for (const auto& [id, c] : n->machine->containers) {
      const ClusterTask* t = store.task(c.task_id);
      if (!t)
        return "container " + id + " on " + name(*n) + " is left of a task that is gone" +
               (c.running ? ", and runs" : "");
      if (t->node_id != n->node_id) return "container " + id + " is on the wrong node";
      const Service* s = store.service(t->service_id);
      if (!c.running || (s && !lasting(s->spec))) continue;
      if (t->desired > TaskState::kRunning)
        return "container " + id + " on " + name(*n) + " still runs, its task should be " +
               std::string(name_of(t->desired));
      const std::string slot = t->slot ? std::to_string(t->slot) : t->node_id;
      const auto [it, fresh] = holder.try_emplace({t->service_id, slot}, id);
      if (!fresh)
        return "two containers run for slot " + slot + " of " + t->service_name + ": " + it->second +
               " and " + id;
    }
  for (const auto& [id, t] : store.tasks) {
    const Service* s = store.service(t.service_id);
    if (t.status.state != TaskState::kRunning || !s || !lasting(s->spec)) continue;
    bool found = false;
    for (const auto& n : world.nodes)
      if (n->node_id == t.node_id)
        if (auto it = n->machine->containers.find("c-" + id); it != n->machine->containers.end())
          found = it->second.running;
    if (!found)
      return "task " + id + " of " + t.service_name + " is said to run and has no running container";
  }
  return {};
}

std::string SettledChecker::lacks() {
  if (auto why = managers_differ(); !why.empty()) return why;
  SimWorld& world = world_;
  const Store& store = raft_.tables().store();
  if (auto why = members_differ(); !why.empty()) return why;
  for (const auto& [id, s] : store.services)
    if (auto why = service_lacks(store, s); !why.empty()) return why;
  for (const auto& [id, t] : store.tasks)
    if (!store.service(t.service_id))
      return "task " + id + " is left of service " + t.service_name + ", which is gone";
  if (auto why = containers_differ(world, store); !why.empty()) return why;
  bool restless = false;
  for (const auto& [id, s] : store.services) restless |= !lasting(s.spec);
  if (restless) return {};
  SimEntropy entropy(Random(world.seed));
  const Command more = reconcile(store, world.leader()->process->loop.wall_now(), entropy,
                                 {[](const ClusterTask&) { return true; }});
  if (!more.empty())
    return "reconcile still wants " + std::to_string(more.changes.size()) +
           " changes: " + encode(more).substr(0, 400);
  return {};
}

std::string describe(SimWorld& world, const Store& store) {
  std::string out;
  for (const auto& [id, n] : store.nodes)
    out += "node " + id + " " + n.description.hostname + ": " + std::string(name_of(n.state)) + ", " +
           std::string(name_of(n.spec.availability)) + ", " + std::string(name_of(n.spec.role)) +
           (n.raft_id ? " " + n.manager_address : "") + "\n";
  const auto time = [](WallTime t) { return rfc3339(t).substr(11, 12); };
  for (const auto& [id, s] : store.services) {
    out += "service " + s.spec.name + " " + id + ": image " + s.spec.task.container.image + ", replicas " +
           std::to_string(s.spec.replicas) + (s.spec.mode == ServiceMode::kGlobal ? ", global" : "") +
           ", version " + std::to_string(s.spec_version);
    const UpdateConfig u = update_config(s);
    if (s.update)
      out += ", " + s.update->state + " since " + time(s.update->started) + " (" + s.update->message + ")";
    out += ", width " + std::to_string(u.parallelism) + " delay " + std::to_string(u.delay / 1'000'000'000) +
           " monitor " + std::to_string(u.monitor / 1'000'000'000) + " " + u.order + " on failure " +
           u.failure_action + "; restart " + s.spec.task.restart.condition + "\n";
    for (const auto& [task_id, t] : store.tasks) {
      if (t.service_id != id) continue;
      const Node* on = store.node(t.node_id);
      out += "  task " + task_id + " slot " + std::to_string(t.slot) + " on " +
             (on                  ? on->description.hostname
              : t.node_id.empty() ? "-"
                                  : t.node_id) +
             ": " + std::string(name_of(t.status.state)) + (t.status.healthy ? "" : ", not healthy") +
             ", wanted " + std::string(name_of(t.desired)) + (t.serving ? "" : ", not serving") +
             ", version " + std::to_string(t.spec_version) + ", created " + time(t.meta.created) +
             ", status " + time(t.status.time) + ", not before " + time(t.not_before) + ", written " +
             std::to_string(t.meta.version) + " " + t.status.error + "\n";
    }
  }
  for (const auto& n : world.nodes) {
    out += name(*n) + " clock " + std::to_string(n->wall_offset / 1ms) + " ms, containers:";
    for (const auto& [id, c] : n->machine->containers)
      out += " " + id.substr(2) + (c.running ? (c.healthy ? "" : "(unhealthy)") : "(ended)");
    out += "\n";
  }
  return out;
}

}  // namespace panal::sim
