#include "swarm/orchestrator.h"

#include "swarm/allocator.h"
#include "swarm/scheduler.h"
#include "swarm/update.h"

namespace panal {

// Tasks of services that are gone leave like others: out of the tables, stopped, then forgotten.
static void remove_orphans(Draft& draft, const Situation& situation) {
  std::vector<std::string> ids;
  draft.each_task([&](const ClusterTask& t) {
    if (!draft.service(t.service_id)) ids.push_back(t.meta.id);
  });
  for (const auto& id : ids) {
    ClusterTask t = *draft.task(id);
    const Node* n = draft.node(t.node_id);
    // An attachment lasts as long as its container, of which its node tells, or as its node.
    const bool gone =
        is_attachment(t)
            ? !n || (terminal(t.status.state) &&
                     elapsed(draft.now, t.status.time, t.status.state == TaskState::kRejected ? 30s : 0s))
            : terminal(t.status.state) || t.status.state < TaskState::kAssigned || t.node_id.empty() || !n;
    if (gone) {
      draft.erase_task(id);
    } else if (is_attachment(t)) {
      continue;
    } else if (t.serving && t.status.state == TaskState::kRunning && n->state == NodeState::kReady) {
      t.serving = false;
      draft.put(std::move(t));
    } else if (t.desired != TaskState::kRemove &&
               (t.status.state < TaskState::kRunning || n->state != NodeState::kReady ||
                situation.out_of_tables(t))) {
      t.serving = false, t.desired = TaskState::kRemove;
      draft.put(std::move(t));
    }
  }
}

Command reconcile(const Store& store, WallTime now, Entropy& entropy, const Situation& situation) {
  Draft draft(store, now, entropy);
  orchestrate(draft, situation);
  remove_orphans(draft, situation);
  allocate(draft);
  schedule(draft);
  return draft.command();
}

std::optional<WallTime> next_deadline(const Store& store, WallTime now) {
  std::optional<WallTime> next;
  const auto consider = [&](WallTime t) {
    if (t > now && (!next || t < *next)) next = t;
  };
  for (const auto& [id, t] : store.tasks) {
    if (is_attachment(t) && t.status.state == TaskState::kRejected) consider(t.status.time + 30s);
    if (t.not_before > now && t.desired <= TaskState::kRunning) consider(t.not_before);
    if (!t.serving && t.desired <= TaskState::kRunning) consider(t.meta.updated + 5s);
    const Service* s = store.service(t.service_id);
    if (!s || (t.turn == WallTime{} && t.status.state != TaskState::kRunning)) continue;
    const UpdateConfig c = update_config(*s);
    for (const WallTime since : {t.status.time, t.turn})
      consider(since + Duration(c.monitor)), consider(since + Duration(c.delay));
  }
  return next;
}

}  // namespace panal
