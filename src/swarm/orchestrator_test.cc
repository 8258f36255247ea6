#include "swarm/orchestrator.h"

#include "swarm/cluster_test.h"

namespace panal {
using test::Cluster;

static std::set<uint64_t> slots_of(const std::vector<ClusterTask>& tasks) {
  std::set<uint64_t> out;
  for (const auto& t : tasks) out.insert(t.slot);
  return out;
}
static ServiceSpec next_image(ServiceSpec s) {
  s.task.container.image += "+";
  return s;
}
static std::string state_of(const Cluster& c, const std::string& id) {
  const auto& u = c.store.services.at(id).update;
  return u ? u->state : "";
}

TEST_CASE("a service gets its replicas, one per slot, serving") {
  Cluster c;
  c.node("a"), c.node("b");
  const auto id = c.service(c.spec("web", 5));
  c.settle();
  CHECK(c.running(id).size() == 5);
  CHECK(slots_of(c.running(id)) == std::set<uint64_t>{1, 2, 3, 4, 5});
  for (const auto& t : c.running(id)) CHECK(t.serving);
  CHECK(c.plan().empty());
}

TEST_CASE("scaling down keeps what runs and takes the crowded node first") {
  Cluster c;
  c.node("a"), c.node("b");
  const auto id = c.service(c.spec("web", 6));
  c.settle();
  c.scale(id, 2);
  c.settle();
  CHECK(c.running(id).size() == 2);
  CHECK(c.on("a") == 1);
  CHECK(c.on("b") == 1);
}

TEST_CASE("scaling to zero and removing leave nothing behind") {
  Cluster c;
  c.node("a");
  const auto id = c.service(c.spec("web", 3));
  c.settle();
  c.scale(id, 0);
  c.settle();
  CHECK(c.on("a") == 0);
  c.remove(Kind::kService, id);
  c.settle();
  CHECK(c.store.tasks.empty());
}

TEST_CASE("scaling up again while a task is leaving brings it back into the tables") {
  Cluster c;
  c.node("a");
  const auto id = c.service(c.spec("web", 3));
  c.settle();
  c.scale(id, 2);
  REQUIRE(c.decide());  // out of the tables, not yet stopped
  c.scale(id, 3);
  c.settle();
  CHECK(c.running(id).size() == 3);
  for (const auto& t : c.running(id)) CHECK_MESSAGE(t.serving, "slot " << t.slot);
}

TEST_CASE("a node drained and made active again at once loses no endpoint") {
  Cluster c;
  c.node("a");
  const auto id = c.service(c.spec("web", 2));
  c.settle();
  c.node("b");
  c.available("a", Availability::kDrain);
  c.decide(), c.act(8), c.decide();  // the new tasks run, the old ones leave the tables
  c.available("a", Availability::kActive);
  c.settle();
  CHECK(c.running(id).size() == 2);
  for (const auto& t : c.running(id)) CHECK_MESSAGE(t.serving, "slot " << t.slot << " on " << t.node_id);
}

TEST_CASE("a drained node ends with none and its slots run elsewhere") {
  Cluster c;
  c.node("a"), c.node("b");
  const auto id = c.service(c.spec("web", 4));
  c.settle();
  c.available("a", Availability::kDrain);
  c.settle();
  CHECK(c.on("a") == 0);
  CHECK(c.running(id).size() == 4);
}

TEST_CASE("draining the only node stops its tasks") {
  Cluster c;
  c.node("a");
  const auto id = c.service(c.spec("web", 2));
  c.settle();
  c.available("a", Availability::kDrain);
  c.settle();
  CHECK(c.on("a") == 0);
  CHECK(c.running(id).empty());
}

TEST_CASE("tasks of a node that is down are replaced, and the node starts clean") {
  Cluster c;
  c.node("a"), c.node("b");
  const auto id = c.service(c.spec("web", 4));
  c.settle();
  c.state("a", NodeState::kDown);
  c.settle();
  CHECK(c.running(id).size() == 4);
  for (const auto& t : c.running(id)) CHECK(t.node_id == "b");
  c.state("a", NodeState::kReady);
  c.settle();
  CHECK(c.running(id).size() == 4);
  CHECK(c.on("a") == 0);
}

TEST_CASE("tasks of a node that is removed are over, also those that were told to stop") {
  Cluster c;
  c.node("a"), c.node("b");
  const auto id = c.service(c.spec("web", 4));
  c.settle();
  c.state("b", NodeState::kDown);
  c.settle();
  CHECK(c.on("b") == 2);  // told to stop, and cannot say that they did
  c.remove(Kind::kNode, "b");
  c.settle();
  CHECK(c.running(id).size() == 4);
  CHECK(c.on("b") == 0);
  for (const auto& t : c.tasks(id))
    if (t.node_id == "b") CHECK(t.status.state == TaskState::kOrphaned);
}

TEST_CASE("a global service has one task on each node that may run it") {
  Cluster c;
  c.node("a"), c.node("b"), c.node("c").spec.labels["zone"] = "x";
  ServiceSpec s = c.spec("agent", 1);
  s.mode = ServiceMode::kGlobal, s.task.placement.constraints = {"node.labels.zone!=x"};
  const auto id = c.service(s);
  c.settle();
  CHECK(c.running(id).size() == 2);
  CHECK(c.on("c") == 0);
  c.node("d");
  c.available("a", Availability::kDrain);
  c.settle();
  CHECK(c.running(id).size() == 2);
  CHECK(c.on("a") == 0);
  CHECK(c.on("d") == 1);
  c.remove(Kind::kNode, "b");
  c.settle();
  CHECK(c.running(id).size() == 1);
  CHECK(c.running(id)[0].node_id == "d");
}

TEST_CASE("a paused node keeps what it runs and takes nothing new") {
  Cluster c;
  c.node("a"), c.node("b");
  const auto id = c.service(c.spec("web", 2));
  c.settle();
  c.available("a", Availability::kPause);
  c.scale(id, 6);
  c.settle();
  CHECK(c.on("a") == 1);
  CHECK(c.on("b") == 5);
}

// ---- restarts

static size_t starts_of_a_broken_task(Cluster& c, TaskRestartPolicy policy, Duration during) {
  c.node("a");
  ServiceSpec s = c.spec("web", 1);
  s.task.restart = policy;
  c.breaks = [](const ClusterTask&) { return true; };
  std::set<std::string> seen;
  c.check = [&](const Store&) {
    for (const auto& [id, t] : c.store.tasks)
      if (t.status.state == TaskState::kFailed) seen.insert(id);
  };
  c.service(s);
  c.settle(during);
  c.check = [](const Store&) {};
  return seen.size();
}

TEST_CASE("max attempts counts restarts: one start and as many restarts as allowed") {
  for (const uint64_t attempts : {1, 3, 4, 5, 8, 20}) {
    Cluster c;
    TaskRestartPolicy p;
    p.condition = "on-failure", p.max_attempts = attempts, p.delay = 1'000'000'000;
    CHECK_MESSAGE(starts_of_a_broken_task(c, p, 5min) == attempts + 1, "max attempts " << attempts);
  }
}

TEST_CASE("max attempts holds whatever the history keeps") {
  Cluster c;
  c.store.cluster.task_history = 1;
  TaskRestartPolicy p;
  p.max_attempts = 3, p.delay = 1'000'000'000;
  CHECK(starts_of_a_broken_task(c, p, 5min) == 4);
}

TEST_CASE("restarts wait for the delay and never happen when the condition says none") {
  {
    Cluster c;
    TaskRestartPolicy p;
    p.delay = 10'000'000'000;
    const size_t starts = starts_of_a_broken_task(c, p, 60s);
    CHECK(starts >= 6);
    CHECK(starts <= 7);
  }
  Cluster c;
  TaskRestartPolicy p;
  p.condition = "none";
  CHECK(starts_of_a_broken_task(c, p, 60s) == 1);
}

TEST_CASE("a leader's clock that is set back by a day delays neither restarts nor updates") {
  Cluster c;
  c.node("a");
  ServiceSpec s = c.spec("web", 2);
  s.task.restart.delay = 5'000'000'000;
  s.update = UpdateConfig{.parallelism = 1, .delay = 2'000'000'000};
  bool breaks = false;
  c.breaks = [&](const ClusterTask&) { return breaks; };
  const auto id = c.service(s);
  c.settle();
  breaks = true;
  c.act();
  breaks = false;
  c.decide();  // the replacements wait for a moment of this clock
  c.now -= 24h;
  WallTime began = c.now;
  c.settle(1min);
  CHECK(c.running(id).size() == 2);
  CHECK(c.now - began < 1min);
  s.task.container.image += "+";
  c.update(id, s);
  c.settle_now();
  c.now -= 24h;
  began = c.now;
  c.settle(1min);
  CHECK(c.store.services.at(id).update->state == "completed");
  CHECK(c.now - began < 1min);
}

TEST_CASE("history keeps no more than it is asked to") {
  Cluster c;
  TaskRestartPolicy p;
  p.delay = 1'000'000'000;
  starts_of_a_broken_task(c, p, 2min);
  CHECK(c.store.tasks.size() <= 6);
}

// ---- updates

struct Watch {  // what an update does to the slots, as it goes
  size_t most_down = 0, most_fresh = 0, least_up = 1000, most_alive_in_slot = 0;
};
static Watch watch_update(Cluster& c, const std::string& id, ServiceSpec next) {
  Watch w;
  c.check = [&](const Store&) {
    std::map<std::string, size_t> serving, alive;
    size_t fresh = 0;
    const Service& s = c.store.services.at(id);
    for (const auto& t : c.tasks(id)) {
      const std::string slot = t.slot ? std::to_string(t.slot) : t.node_id;
      if (!terminal(t.status.state)) ++alive[slot];
      if (t.serving && Cluster::up(t)) ++serving[slot];
      if (t.spec_version == s.spec_version && t.status.state < TaskState::kRunning) ++fresh;
    }
    w.most_down = std::max(w.most_down, s.spec.replicas - std::min<size_t>(serving.size(), s.spec.replicas));
    w.least_up = std::min(w.least_up, serving.size());
    w.most_fresh = std::max(w.most_fresh, fresh);
    for (const auto& [slot, n] : alive) w.most_alive_in_slot = std::max(w.most_alive_in_slot, n);
  };
  c.update(id, std::move(next));
  for (int i = 0; i < 2000 && state_of(c, id) == "updating"; ++i) {
    if (c.decide()) continue;
    if (c.act()) continue;
    const auto due = next_deadline(c.store, c.now);
    if (!due) break;
    c.now = std::max(c.now, *due);
  }
  c.check = [](const Store&) {};
  return w;
}

TEST_CASE("a stop-first update stops at most its parallelism at once and completes") {
  for (const uint64_t parallelism : {1, 2, 3}) {
    Cluster c(parallelism);
    c.node("a"), c.node("b"), c.node("c");
    ServiceSpec s = c.spec("web", 7);
    s.update = UpdateConfig{.parallelism = parallelism};
    const auto id = c.service(s);
    c.settle();
    const Watch w = watch_update(c, id, next_image(s));
    CHECK(state_of(c, id) == "completed");
    CHECK(w.most_down == parallelism);
    CHECK(w.most_alive_in_slot == 1);  // the old one stops first
    CHECK(c.running(id).size() == 7);
    for (const auto& t : c.running(id)) CHECK(t.spec.container.image == "image:1+");
  }
}

TEST_CASE("a start-first update never has a slot without a serving task") {
  Cluster c;
  c.node("a"), c.node("b");
  ServiceSpec s = c.spec("web", 4);
  s.update = UpdateConfig{.parallelism = 2, .order = "start-first"};
  const auto id = c.service(s);
  c.settle();
  const Watch w = watch_update(c, id, next_image(s));
  CHECK(state_of(c, id) == "completed");
  CHECK(w.least_up == 4);
  CHECK(w.most_fresh <= 2);
  CHECK(w.most_alive_in_slot == 2);
}

TEST_CASE(
    "an update that overtakes a start-first one finds two tasks in a slot, and leaves one until it is the "
    "slot's turn") {
  for (const auto mode : {ServiceMode::kReplicated, ServiceMode::kGlobal})
    for (const int steps : {2, 8})  // the overtaken task is coming up, or runs already
      for (const bool breaks : {false, true}) {
        Cluster c;
        c.node("a"), c.node("b"), c.node("c"), c.node("d");
        ServiceSpec s = c.spec("web", 4);
        s.mode = mode, s.update = UpdateConfig{.parallelism = 0, .order = "start-first"};
        const auto id = c.service(s);
        c.settle();
        const ServiceSpec overtaken = next_image(s);
        c.update(id, overtaken);
        c.decide();
        c.act(steps);
        REQUIRE(c.on("a") + c.on("b") + c.on("c") + c.on("d") == 8);
        ServiceSpec next = next_image(overtaken);
        next.update = UpdateConfig{.parallelism = 1};
        c.breaks = [&](const ClusterTask& t) { return breaks && t.spec == next.task; };
        const Watch w = watch_update(c, id, next);
        CHECK(w.most_down == 1);
        CHECK(state_of(c, id) == (breaks ? "paused" : "completed"));
        c.settle(1min);
        CHECK(c.running(id).size() == (breaks ? 3 : 4));
        for (const auto& t : c.running(id))
          CHECK(t.spec.container.image == (!breaks ? "image:1++" : steps == 2 ? "image:1" : "image:1+"));
      }
}

TEST_CASE("parallelism 0 takes all at once") {
  Cluster c;
  c.node("a");
  ServiceSpec s = c.spec("web", 4);
  s.update = UpdateConfig{.parallelism = 0};
  const auto id = c.service(s);
  c.settle();
  CHECK(watch_update(c, id, next_image(s)).most_down == 4);
  CHECK(state_of(c, id) == "completed");
}

TEST_CASE("an update's delay passes between two batches") {
  Cluster c;
  c.node("a");
  ServiceSpec s = c.spec("web", 3);
  s.update = UpdateConfig{.parallelism = 1, .delay = 20'000'000'000};
  const auto id = c.service(s);
  c.settle();
  const WallTime began = c.now;
  watch_update(c, id, next_image(s));
  CHECK(state_of(c, id) == "completed");
  CHECK(c.now - began >= 40s);
}

TEST_CASE("a failing update pauses and takes down one slot, not two") {
  for (const auto* order : {"stop-first", "start-first"}) {
    Cluster c;
    c.node("a"), c.node("b");
    ServiceSpec s = c.spec("web", 5);
    s.update = UpdateConfig{.parallelism = 1, .order = order};
    const auto id = c.service(s);
    c.settle();
    c.breaks = [](const ClusterTask& t) { return t.spec.container.image == "image:1+"; };
    watch_update(c, id, next_image(s));
    CHECK(state_of(c, id) == "paused");
    c.settle(1min);
    const auto old = c.tasks(id, [](const ClusterTask& t) {
      return Cluster::up(t) && t.serving && t.spec.container.image == "image:1";
    });
    CHECK_MESSAGE(old.size() == (std::string(order) == "start-first" ? 5 : 4), std::string(order));
  }
}

TEST_CASE("a failing update with rollback returns to the previous spec") {
  Cluster c;
  c.node("a"), c.node("b");
  ServiceSpec s = c.spec("web", 4);
  s.update = UpdateConfig{.parallelism = 1, .failure_action = "rollback"};
  const auto id = c.service(s);
  c.settle();
  c.breaks = [](const ClusterTask& t) { return t.spec.container.image == "image:1+"; };
  watch_update(c, id, next_image(s));
  CHECK(state_of(c, id).starts_with("rollback"));
  c.settle();
  CHECK(state_of(c, id) == "rollback_completed");
  CHECK(c.running(id).size() == 4);
  for (const auto& t : c.running(id)) CHECK(t.spec.container.image == "image:1");
}

TEST_CASE("failure action continue finishes what can be finished") {
  Cluster c;
  c.node("a");
  ServiceSpec s = c.spec("web", 3);
  s.update = UpdateConfig{.parallelism = 1, .failure_action = "continue"};
  const auto id = c.service(s);
  c.settle();
  c.breaks = [](const ClusterTask& t) { return t.slot == 2 && t.spec.container.image == "image:1+"; };
  c.update(id, next_image(s));
  c.settle(2min);
  const auto fresh = c.tasks(
      id, [](const ClusterTask& t) { return Cluster::up(t) && t.spec.container.image == "image:1+"; });
  CHECK(slots_of(fresh) == std::set<uint64_t>{1, 3});
}

TEST_CASE("what changed between plan and apply is not overwritten") {
  Cluster c;
  c.node("a");
  ServiceSpec s = c.spec("web", 1);
  s.ports = {PortConfig{.target = 80}};  // the plan writes the service: its published port
  const auto id = c.service(s);
  Command stale = c.plan();
  c.scale(id, 7);
  (void)c.store.apply(c.store.index + 1, stale);
  CHECK(c.store.services.at(id).spec.replicas == 7);
  stale = c.plan();
  c.remove(Kind::kService, id);
  (void)c.store.apply(c.store.index + 1, stale);
  CHECK(!c.store.services.contains(id));
}

}  // namespace panal
