#include "swarm/orchestrator.h"

#include "swarm/scheduler.h"
#include "swarm/update.h"

namespace panal {

namespace {

using Tasks = std::vector<const ClusterTask*>;

bool alive_wish(const ClusterTask& t) { return t.desired <= TaskState::kRunning; }

struct Slot {
  uint64_t number = 0;
  std::string node_id;  // global
  Tasks tasks;          // all of it, oldest first
};

class ServiceLoop {
 public:
  ServiceLoop(Draft& draft, const Situation& situation, const Service& service)
      : draft_(draft), situation_(situation), service_(service), config_(update_config(service)) {}

  void run() {
    gather();
    if (service_.spec.mode == ServiceMode::kGlobal)
      global();
    else
      replicated();
    update();
    for (auto& [key, slot] : slots_) keep_history(slot);
  }

 private:
  void gather() {
    Tasks all;
    for (const auto& id : draft_.tasks_of(service_.meta.id))
      if (const auto* t = draft_.task(id)) all.push_back(t);
    const auto age = [](const ClusterTask* t) {
      return std::tuple(t->meta.born ? t->meta.born : UINT64_MAX, t->spec_version, t->attempt, t->meta.id);
    };  // unborn: of this plan
    std::ranges::sort(all, {}, age);
    const auto rewrite = [&](const ClusterTask*& t, const auto& change) {
      ClusterTask next = *t;
      change(next);
      draft_.put(next);
      t = draft_.task(next.meta.id);
    };
    for (const auto*& t : all) {
      if (!t->node_id.empty() && !draft_.node(t->node_id) && !terminal(t->status.state))
        rewrite(t, [&](ClusterTask& lost) {
          lost.status.state = TaskState::kOrphaned, lost.status.healthy = false,
          lost.status.time = draft_.now, lost.status.message = "orphaned",
          lost.status.error = "its node was removed from the swarm";
        });
      if (t->spec_version != service_.spec_version && alive_wish(*t) && !dead(*t) &&
          same_tasks(t->spec, t->ports, service_.spec.task, service_.spec.ports))
        rewrite(t, [&](ClusterTask& kept) {
          kept.spec_version = service_.spec_version;
        });  // the update took back what it had changed: its task need not go
    }
    for (const auto* t : all) {
      const std::string key = t->slot ? std::to_string(t->slot) : t->node_id;
      auto& slot = slots_[key];
      slot.number = t->slot, slot.node_id = t->slot ? "" : t->node_id;
      slot.tasks.push_back(t);
    }
  }

  bool node_down(const ClusterTask& t) const {
    if (t.node_id.empty()) return false;
    const Node* n = draft_.node(t.node_id);
    return !n || n->state == NodeState::kDown;
  }
  bool dead(const ClusterTask& t) const { return terminal(t.status.state) || node_down(t); }
  bool fits_node(const ClusterTask& t) const {
    if (t.node_id.empty()) return true;
    const Node* n = draft_.node(t.node_id);
    return n && n->spec.availability != Availability::kDrain && constraints_hold(t.spec, *n);
  }
  bool good(const ClusterTask& t) const {
    return t.spec_version == service_.spec_version && fits_node(t) && !dead(t) && alive_wish(t);
  }

  bool broke(const ClusterTask& t) const {
    return t.status.state == TaskState::kFailed || t.status.state == TaskState::kRejected ||
           (t.status.state == TaskState::kComplete && service_.spec.task.restart.condition == "any");
  }

  // Its slot has had its turn in an update, well or not, and that so long ago.
  bool had_turn(const ClusterTask& t, Duration since) const {
    if (good(t) && running_well(t)) return elapsed(draft_.now, t.status.time, since);
    const bool tried = broke(t) || t.status.state == TaskState::kComplete || t.attempt > 0;
    return tried && !failed_ && elapsed(draft_.now, t.turn, since);
  }

  void replicated() {
    // Slots beyond the wish go first, those without a running task before others.
    std::vector<Slot*> live;
    for (auto& [key, slot] : slots_)
      if (std::ranges::any_of(slot.tasks, [](const ClusterTask* t) { return alive_wish(*t); }))
        live.push_back(&slot);
    const uint64_t wanted = service_.spec.replicas;
    if (live.size() > wanted) {
      std::map<std::string, size_t> per_node;
      for (const Slot* s : live)
        for (const auto* t : s->tasks)
          if (alive_wish(*t)) ++per_node[t->node_id];
      const auto rank = [&](const Slot* s) {  // the last of this order go
        bool ok = false;
        size_t crowd = 0;
        for (const auto* t : s->tasks)
          if (alive_wish(*t)) ok |= running_well(*t), crowd = std::max(crowd, per_node[t->node_id]);
        return std::tuple(!ok, crowd, s->number);
      };
      while (live.size() > wanted) {
        auto worst = std::ranges::max_element(live, {}, rank);
        for (const auto* t : (*worst)->tasks)
          if (alive_wish(*t)) --per_node[t->node_id];
        retire_slot(**worst);
        live.erase(worst);
      }
    }
    std::set<uint64_t> used;
    for (const Slot* s : live) used.insert(s->number);
    uint64_t next = 1;
    while (used.size() < wanted) {
      while (used.contains(next)) ++next;
      used.insert(next);
      auto& slot = slots_[std::to_string(next)];
      slot.number = next;
      live.push_back(&slot);
    }
    std::ranges::sort(live, {}, &Slot::number);
    keep_slots(live);
  }

  void global() {
    std::vector<Slot*> live;
    for (const auto& [id, n] : draft_.base.nodes) {
      const bool eligible = n.spec.availability != Availability::kDrain &&
                            constraints_hold(service_.spec.task, n) && n.state != NodeState::kDown;
      auto it = slots_.find(id);
      if (!eligible) {
        // A node that is only down keeps its task on record: it may come back with it running.
        if (it != slots_.end() && n.state != NodeState::kDown) retire_slot(it->second);
        continue;
      }
      if (it == slots_.end() && n.spec.availability == Availability::kPause) continue;
      auto& slot = slots_[id];
      slot.node_id = id;
      live.push_back(&slot);
    }
    for (auto& [id, slot] : slots_)
      if (!draft_.node(id)) retire_slot(slot);
    keep_slots(live);
  }

  void keep_slots(const std::vector<Slot*>& live) {
    slot_count_ = live.size(), failed_ = too_many_failed();
    // What of the update is under way decides how many more slots may begin.
    size_t under_way = 0;
    for (const Slot* s : live) under_way += being_updated(*s);
    const uint64_t width = config_.parallelism == 0 ? live.size() : config_.parallelism;
    const bool held = service_.update &&
                      (service_.update->state == "paused" || service_.update->state == "rollback_paused");
    for (Slot* s : live) keep_slot(*s, under_way, width, held);
  }

  // A slot whose new task is not yet running long enough, or whose last old one is on its way out.
  bool being_updated(const Slot& s) const {
    bool touched = false, done = false, leaving = false, stands = false, vacant = true;
    for (const auto* t : s.tasks) {
      vacant &= dead(*t) || !alive_wish(*t);
      if (t->spec_version == service_.spec_version) {
        touched = true, done |= had_turn(*t, Duration(config_.delay));
      } else if (!dead(*t)) {
        (t->serving && alive_wish(*t) ? stands : leaving) = true;
      }
    }
    leaving &= !stands;
    return leaving || (!done && (touched || vacant));
  }

  void keep_slot(Slot& s, size_t& under_way, uint64_t width, bool held) {
    const ClusterTask* best = nullptr;
    Tasks stale, moving;
    for (const auto* t : s.tasks) {
      if (!alive_wish(*t)) continue;
      if (dead(*t)) {
        retire(*t);
        continue;
      }
      if (good(*t)) {
        if (!best || (running_well(*t) && !running_well(*best))) {
          if (best) stale.push_back(best);
          best = t;
        } else {
          stale.push_back(t);
        }
      } else if (t->spec_version == service_.spec_version ||
                 (!fits_node(*t) && t->status.state >= TaskState::kAssigned)) {
        moving.push_back(t);  // its node is wrong, whatever else is
      } else if (t->status.state < TaskState::kAssigned) {
        retire(*t);  // overtaken before it began
      } else {
        stale.push_back(t);
      }
    }
    if (best) {
      best = serve_again(best);
      const bool nowhere = best->status.state <= TaskState::kPending &&
                           !best->status.error.empty();  // a drained node ends with none, come what may
      if (running_well(*best) || nowhere || moving.empty())
        for (const auto* t : moving) retire(*t);
      const bool start_first = config_.order == "start-first";
      const ClusterTask* stands =
          nullptr;  // start-first: the newest old one that runs serves until the new one does
      if (start_first && !running_well(*best))
        for (const auto* t : stale)
          if (running_well(*t)) stands = t;
      for (const auto* t : stale)
        if (t != stands) retire(*t);
      if (stands) serve_again(stands);
      return;
    }
    if (!moving.empty()) {  // the node is drained or no longer fits: the new task first, so that the slot
                            // keeps serving
      if (std::ranges::none_of(moving,
                               [](const ClusterTask* t) { return t->status.state >= TaskState::kStarting; }))
        for (const auto* t : moving) retire(*t);
      create(s, draft_.now);
      return;
    }
    const ClusterTask* stands = nullptr;  // an update that was overtaken left two: the newest that runs
    for (const auto* t : stale)
      if (t->serving && (!stands || running_well(*t) || !running_well(*stands))) stands = t;
    if (stands) {
      for (const auto* t : stale)
        if (t != stands) retire(*t);
      // Its place is taken already: it goes on, by the restart policy if its new task failed.
      const bool begun = std::ranges::count(s.tasks, service_.spec_version, &ClusterTask::spec_version) > 0;
      if (held || (!begun && under_way >= width)) return;
      if (!begun) ++under_way;
      if (config_.order != "start-first")
        retire(*stands);
      else if (!restart(s) && !begun)
        --under_way;  // its restart policy is done with it
      return;
    }
    // An old task on its way out: the next one starts when it has stopped.
    for (const auto* t : s.tasks)
      if (!dead(*t) && t->spec_version != service_.spec_version) {
        retire(*t);
        return;
      }
    restart(s);
  }

  bool restart(Slot& s) {  // whether there is a new task
    const ClusterTask* last = s.tasks.empty() ? nullptr : s.tasks.back();
    if (!last || last->spec_version != service_.spec_version) {
      if (last && !dead(*last) && !alive_wish(*last)) return false;
      return create(s, draft_.now);
    }
    if (!dead(*last)) return false;  // asked to stop and still at it
    if (node_down(*last) || last->status.state == TaskState::kShutdown ||
        last->status.state == TaskState::kOrphaned || last->status.state == TaskState::kRemove) {
      return create(s, draft_.now);
    }
    const TaskRestartPolicy& policy = service_.spec.task.restart;
    const bool failed = last->status.state != TaskState::kComplete;
    if (policy.condition == "none" || (policy.condition == "on-failure" && !failed)) return false;
    // A life longer than the window starts the count again.
    const bool long_life = policy.window > 0 && lived_longer(*last, policy.window);
    const uint64_t attempt = long_life ? 0 : last->attempt;
    if (policy.max_attempts > 0 && attempt >= policy.max_attempts) return false;
    return create(s, last->status.time + Duration(policy.delay), attempt + 1, last->turn);
  }

  bool create(Slot& s, WallTime not_before, uint64_t attempt = 0, WallTime turn = {}) {
    ClusterTask t;
    t.meta.id = draft_.new_id(), t.meta.created = draft_.now;
    t.service_id = service_.meta.id, t.service_name = service_.spec.name,
    t.registry_auth = service_.registry_auth, t.slot = s.number, t.node_id = s.node_id;
    t.spec = service_.spec.task, t.spec_version = service_.spec_version, t.not_before = not_before;
    t.attempt = attempt, t.turn = turn;
    t.status.state = TaskState::kNew, t.status.time = draft_.now, t.status.message = "created";
    draft_.put(t);
    s.tasks.push_back(draft_.task(t.meta.id));
    return true;
  }

  // Out of the tables first; told to stop once every node knows.
  void retire(const ClusterTask& given) {
    ClusterTask t = given;
    const bool never_served = dead(t) || t.status.state < TaskState::kRunning;
    if (t.serving && !never_served) {
      t.serving = false;
      replace(t);
      return;
    }
    if (t.desired > TaskState::kRunning) return;
    if (!never_served && !situation_.out_of_tables(t)) return;
    t.serving = false, t.desired = TaskState::kShutdown;
    if (t.status.state < TaskState::kAssigned)
      t.status.state = TaskState::kShutdown, t.status.message = "shutdown", t.status.time = draft_.now;
    replace(t);
  }
  // It was on its way out, and is wanted again.
  const ClusterTask* serve_again(const ClusterTask* t) {
    if (t->serving) return t;
    ClusterTask back = *t;
    back.serving = true;
    replace(back);
    return draft_.task(back.meta.id);
  }
  void retire_slot(Slot& s) {
    for (size_t i = 0; i < s.tasks.size(); ++i)
      if (alive_wish(*s.tasks[i])) retire(*s.tasks[i]);
  }
  void replace(const ClusterTask& t) {
    draft_.put(t);
    for (auto& [key, slot] : slots_)
      for (auto& held : slot.tasks)
        if (held->meta.id == t.meta.id) held = draft_.task(t.meta.id);
  }

  void keep_history(Slot& s) {
    const auto limit = static_cast<size_t>(std::max<int64_t>(draft_.base.cluster.task_history, 1));
    Tasks over;
    for (const auto* t : s.tasks)
      if (!alive_wish(*t) && dead(*t)) over.push_back(t);
    const size_t live = s.tasks.size() - over.size();
    // The last failure of an update under way is what decides about it.
    const size_t least = service_.update && service_.update->completed == WallTime{} ? 1 : 0;
    const size_t keep = std::max(limit > live ? limit - live : 0, least);
    for (size_t i = 0; i + keep < over.size(); ++i) {
      const std::string id = over[i]->meta.id;
      std::erase(s.tasks, over[i]);
      draft_.erase_task(id);
    }
  }

  void set_update(std::string state, std::string message, bool done) {
    Service s = service_;
    s.update->state = std::move(state), s.update->message = std::move(message);
    if (done) s.update->completed = draft_.now;
    draft_.put(std::move(s));
  }

  size_t slots_with(const auto& what) const {
    return static_cast<size_t>(std::ranges::count_if(slots_, [&](const auto& item) {
      return std::ranges::any_of(item.second.tasks, [&](const ClusterTask* t) {
        return t->spec_version == service_.spec_version && what(*t);
      });
    }));
  }

  bool too_many_failed() const {
    if (config_.failure_action == "continue") return false;
    const size_t failed =
        slots_with([this](const ClusterTask& t) { return broke(t) && !lived_longer(t, config_.monitor); });
    return slot_count_ > 0 && failed > 0 &&
           static_cast<double>(failed) > config_.max_failure_ratio * static_cast<double>(slot_count_);
  }

  void update() {
    if (!service_.update) return;
    const std::string state = service_.update->state;
    if (state != "updating" && state != "rollback_started") return;
    const bool back = state == "rollback_started";
    if (failed_) {
      const std::string id = last_failed();
      if (config_.failure_action == "rollback" && !back && service_.previous) {
        Service s = service_;
        std::swap(s.spec, *s.previous);
        ++s.spec_version;
        s.update = UpdateStatus{"rollback_started",
                                "update rolled back due to failure or early termination of task " + id,
                                draft_.now,
                                {}};
        draft_.put(std::move(s));
      } else {
        set_update(back ? "rollback_paused" : "paused",
                   std::string(back ? "rollback" : "update") +
                       " paused due to failure or early termination of task " + id,
                   false);
      }
      return;
    }
    bool stale = false;  // an old task that still runs or serves
    for (const auto& [key, slot] : slots_)
      for (const auto* t : slot.tasks)
        stale |= t->spec_version != service_.spec_version && alive_wish(*t) && !dead(*t);
    const size_t settled =
        slots_with([this](const ClusterTask& t) { return had_turn(t, Duration(config_.monitor)); });
    if (settled >= slot_count_ && !stale)
      set_update(back ? "rollback_completed" : "completed", back ? "rollback completed" : "update completed",
                 true);
  }

  std::string last_failed() const {
    const ClusterTask* last = nullptr;
    for (const auto& [key, slot] : slots_)
      for (const auto* t : slot.tasks)
        if (t->spec_version == service_.spec_version && terminal(t->status.state) &&
            (!last || t->status.time > last->status.time))
          last = t;
    return last ? last->meta.id : "";
  }

  Draft& draft_;
  const Situation& situation_;
  const Service service_;
  const UpdateConfig config_;
  std::map<std::string, Slot> slots_;
  size_t slot_count_ = 0;
  bool failed_ = false;  // more slots than may
};

}  // namespace

void orchestrate(Draft& draft, const Situation& situation) {
  std::vector<std::string> ids;
  draft.each_service([&](const Service& s) { ids.push_back(s.meta.id); });
  for (const auto& id : ids) ServiceLoop(draft, situation, *draft.service(id)).run();
}

}  // namespace panal
