// A cluster on a table for tests: a store, a clock, an entropy from a seed, and agents that move tasks on as
// a real worker would. Nothing runs by itself: decide() is one pass of the leader, act() one report of every
// agent, settle() both until nothing moves.
#pragma once
#include <doctest/doctest.h>

#include <random>

#include "swarm/allocator.h"
#include "swarm/orchestrator.h"
#include "swarm/scheduler.h"
#include "swarm/update.h"

namespace panal::test {

class SeededEntropy final : public Entropy {
 public:
  explicit SeededEntropy(uint64_t seed) : rng_(seed) {}
  std::string bytes(size_t count) override {
    std::string out(count, '\0');
    for (char& c : out) c = static_cast<char>(rng_());
    return out;
  }
  uint64_t below(uint64_t n) { return n == 0 ? 0 : rng_() % n; }
  bool chance(unsigned percent) { return below(100) < percent; }

 private:
  std::mt19937_64 rng_;
};

class Cluster {
 public:
  explicit Cluster(uint64_t seed = 1) : random(seed) { store.cluster.meta.id = "cluster"; }

  Store store;
  SeededEntropy random;
  WallTime now{1'800'000'000s};
  /// Which tasks break when they should come up.
  std::function<bool(const ClusterTask&)> breaks = [](const ClusterTask&) { return false; };
  /// Called after every change of the store.
  std::function<void(const Store& before)> check = [](const Store&) {};
  /// Nodes have the tables of this index.
  uint64_t tables_at = 0;

  Situation situation() {
    return {
        [this](const ClusterTask& t) { return t.meta.version <= tables_at || now - t.meta.updated > 5s; }};
  }
  Command plan() {
    const Situation s = situation();
    return reconcile(store, now, random, s);
  }
  void apply(Command command) {
    const Store before = store;
    command.time = now += 1ms;  // no two writes at one time
    REQUIRE(store.apply(store.index + 1, command).has_value());
    check(before);
  }
  template <class T>
  void put(Kind kind, T object) {
    Command c;
    c.put(kind, std::move(object));
    apply(std::move(c));
  }
  void remove(Kind kind, const std::string& id) {
    Command c;
    c.remove(kind, id);
    apply(std::move(c));
  }

  Node& node(const std::string& id) {
    Node n;
    n.meta.id = id, n.spec.name = id, n.description.hostname = id, n.description.architecture = "x86_64",
    n.state = NodeState::kReady;
    n.description.nano_cpus = 4'000'000'000, n.description.memory_bytes = 8ll << 30,
    n.address = "192.0.2." + std::to_string(store.nodes.size() + 1);
    put(Kind::kNode, n);
    return store.nodes[id];
  }
  ServiceSpec spec(const std::string& name, uint64_t replicas) {
    ServiceSpec s;
    s.name = name, s.replicas = replicas, s.task.container.image = "image:1";
    return s;
  }
  std::string service(ServiceSpec spec) {
    Service s;
    s.meta.id = "service-" + spec.name, s.spec = std::move(spec), s.spec_version = 1;
    put(Kind::kService, s);
    return s.meta.id;
  }
  /// What the API does on POST /services/ID/update.
  void update(const std::string& id, ServiceSpec spec) {
    Service s = store.services.at(id);
    change_spec(s, std::move(spec), false, now);
    put(Kind::kService, s);
  }
  void scale(const std::string& id, uint64_t replicas) {
    ServiceSpec next = store.services.at(id).spec;
    next.replicas = replicas;
    update(id, std::move(next));
  }
  void available(const std::string& id, Availability a) {
    Node n = store.nodes.at(id);
    n.spec.availability = a;
    put(Kind::kNode, n);
  }
  void state(const std::string& id, NodeState s) {
    Node n = store.nodes.at(id);
    n.state = s;
    put(Kind::kNode, n);
  }
  std::string network(const std::string& name, const std::string& subnet, bool ingress = false) {
    ClusterNetwork n;
    n.meta.id = "network-" + name, n.network.id = n.meta.id, n.network.name = name,
    n.network.driver = "overlay", n.network.ingress = ingress;
    if (!subnet.empty()) n.network.pools.push_back({subnet, "", ""});
    REQUIRE(choose_overlay_subnet(store, n).has_value());
    put(Kind::kNetwork, n);
    return n.meta.id;
  }

  /// One pass of the leader; false when there was nothing to do.
  bool decide() {
    Command c = plan();
    if (c.empty()) return false;
    apply(std::move(c));
    return true;
  }
  /// Every agent takes its tasks one step further (all the way with `stride`) and acknowledges its tables.
  bool act(int stride = 1) {
    Command c;
    for (const auto& [id, t] : store.tasks) {
      const Node* n = store.node(t.node_id);
      if (!n || n->state != NodeState::kReady || t.status.state < TaskState::kAssigned ||
          terminal(t.status.state))
        continue;
      ClusterTask next = t;
      for (int i = 0; i < stride && advance(next); ++i) note_status(next, next.status, now);
      if (!(next.status == t.status)) c.put(Kind::kTask, next);
    }
    tables_at = store.index;
    if (c.empty()) return false;
    apply(std::move(c));
    return true;
  }
  /// Until nothing moves at this moment. Fails when that takes more than `limit` rounds.
  void settle_now(int limit = 200) {
    for (int i = 0; i < limit; ++i) {
      const bool decided = decide();
      if (!act(8) && !decided && !decide()) return;
    }
    FAIL("no fixpoint: the plan is never empty");
  }
  /// As above, and time runs to each deadline until `limit` passed or no deadline is left.
  void settle(Duration limit = 10min) {
    const WallTime end = now + limit;
    for (int i = 0; i < 3000; ++i) {
      settle_now();
      const auto due = next_deadline(store, now);
      if (!due || *due > end) return;
      now = std::max(now, *due);
    }
    FAIL("no fixpoint: deadlines never end");
  }

  std::vector<ClusterTask> tasks(
      const std::string& service,
      const std::function<bool(const ClusterTask&)>& keep = [](const ClusterTask&) { return true; }) const {
    std::vector<ClusterTask> out;
    for (const auto& [id, t] : store.tasks)
      if ((service.empty() || t.service_id == service) && keep(t)) out.push_back(t);
    return out;
  }
  static bool up(const ClusterTask& t) {
    return t.status.state == TaskState::kRunning && t.desired == TaskState::kRunning;
  }
  std::vector<ClusterTask> running(const std::string& service) const { return tasks(service, up); }
  size_t on(const std::string& node, const std::string& service = "") const {
    return tasks(service,
                 [&](const ClusterTask& t) { return t.node_id == node && !terminal(t.status.state); })
        .size();
  }

 private:
  bool advance(ClusterTask& t) {
    TaskState& s = t.status.state;
    if (terminal(s) || (s == TaskState::kRunning && t.desired <= TaskState::kRunning && !breaks(t)))
      return false;
    if (t.desired > TaskState::kRunning) {
      s = TaskState::kShutdown, t.status.healthy = false;
      return true;
    }
    if (s == TaskState::kRunning) {
      s = TaskState::kFailed, t.status.healthy = false, t.status.exit_code = 1;
      return true;
    }
    if (s == TaskState::kStarting && breaks(t)) {
      s = TaskState::kFailed, t.status.exit_code = 1;
      return true;
    }
    s = static_cast<TaskState>(static_cast<int>(s) + 1);
    t.status.healthy = s == TaskState::kRunning;
    return true;
  }
};

}  // namespace panal::test
