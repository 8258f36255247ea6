// Properties over thousands of seeded random clusters: whatever is asked and whatever breaks, once faults
// stop the plan comes to rest where the specs want it, and on the way nothing is ever given twice or moves
// back. A failure names its seed: PANAL_SEED=446 PANAL_SEEDS=446 PANAL_TRACE=1 repeats it and shows what
// stood there at the end.
#include "network/address.h"
#include "swarm/cluster_test.h"

namespace panal {
using test::Cluster;
using test::SeededEntropy;

namespace {

uint64_t seed_count() {  // PANAL_SEEDS=2000 for the long run
  const char* asked = std::getenv("PANAL_SEEDS");
  return asked && *asked ? std::strtoull(asked, nullptr, 10) : 300;
}

class Trial {
 public:
  explicit Trial(uint64_t seed) : cluster_(seed), dice_(seed * 7919 + 1) {
    cluster_.breaks = [this](const ClusterTask& t) {
      return faults_ && std::hash<std::string>()(t.meta.id) % 5 == 0;
    };
  }

  /// Empty, or what went wrong.
  std::string run() {
    cluster_.store.cluster.task_history = static_cast<int64_t>(dice_.below(6));
    if (dice_.chance(60)) cluster_.network("ingress", "10.0.0.0/24", true);
    cluster_.network("front", dice_.chance(50) ? "" : "10.200.0.0/26");
    for (uint64_t i = 0, n = 1 + dice_.below(4); i < n; ++i) add_node();
    for (uint64_t i = 0, n = 1 + dice_.below(3); i < n; ++i) add_service();
    cluster_.check = [this](const Store& before) { after_change(before); };
    for (int i = 0; i < 14 && wrong_.empty(); ++i) {
      happen();
      for (uint64_t k = dice_.below(6); k > 0 && wrong_.empty(); --k)
        dice_.chance(60) ? decide() : cluster_.act(static_cast<int>(1 + dice_.below(8)));
      if (dice_.chance(30)) cluster_.now += Duration(dice_.below(8'000'000'000));
    }
    faults_ = false;
    come_to_rest();
    if (wrong_.empty()) at_rest();
    if (!wrong_.empty() && std::getenv("PANAL_TRACE")) tell();
    return wrong_;
  }

 private:
  void tell() const {  // PANAL_TRACE=1 with one seed: what stood there at the end
    for (const auto& [id, s] : cluster_.store.services)
      MESSAGE(s.spec.name << " v" << s.spec_version << " replicas " << s.spec.replicas
                          << (s.spec.mode == ServiceMode::kGlobal ? " global" : "") << " "
                          << update_config(s).order << " " << update_config(s).failure_action << " update "
                          << (s.update ? s.update->state : "none"));
    for (const auto& [id, t] : cluster_.store.tasks)
      MESSAGE(t.service_name << "." << t.slot << " " << id.substr(0, 6) << " on " << t.node_id << " v"
                             << t.spec_version << " " << name_of(t.status.state) << " wanted "
                             << name_of(t.desired) << (t.serving ? " serving " : " ") << t.status.error);
  }
  void say(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }

  bool decide() {
    deciding_ = true;
    const bool something = cluster_.decide();
    deciding_ = false;
    return something;
  }

  // ---- what happens

  void add_node() {
    const std::string id = "node" + std::to_string(++nodes_);
    cluster_.node(id);
    Node n = cluster_.store.nodes.at(id);
    n.spec.labels["zone"] = dice_.chance(50) ? "x" : "y";
    cluster_.put(Kind::kNode, n);
  }
  void add_service() {
    ServiceSpec s = cluster_.spec("svc" + std::to_string(++services_), dice_.below(6));
    if (dice_.chance(25)) s.mode = ServiceMode::kGlobal;
    if (dice_.chance(25))
      s.task.placement.constraints = {dice_.chance(50) ? "node.labels.zone==x" : "node.labels.zone!=x"};
    if (dice_.chance(20)) s.task.placement.max_replicas = 1 + dice_.below(3);
    if (dice_.chance(20)) s.task.placement.spread = {"node.labels.zone"};
    if (dice_.chance(20)) s.task.reservations.nano_cpus = 1'000'000'000;
    if (dice_.chance(40)) s.task.networks.push_back({"front", {}});
    if (dice_.chance(40)) s.ports.push_back({.target = 80});
    if (dice_.chance(15)) s.ports.push_back({.mode = "host", .target = 81, .published = 9000 + services_});
    UpdateConfig u;
    u.parallelism = dice_.below(4), u.delay = dice_.chance(30) ? 2'000'000'000 : 0;
    u.order = dice_.chance(40) ? "start-first" : "stop-first";
    u.failure_action = dice_.chance(40) ? "rollback" : "continue";
    if (dice_.chance(70)) s.update = u, s.rollback = u;
    cluster_.service(s);
  }
  template <class T>
  std::string any(const std::map<std::string, T>& table) {
    auto it = table.begin();
    std::advance(it, static_cast<long>(dice_.below(table.size())));
    return it->first;
  }
  void happen() {
    auto& c = cluster_;
    const uint64_t what = dice_.below(10);
    if (what == 0) return add_node();
    if (what == 1 && services_ < 5) return add_service();
    if (what <= 3 && !c.store.services.empty()) return c.scale(any(c.store.services), dice_.below(7));
    if (what <= 5 && !c.store.services.empty()) {
      const std::string id = any(c.store.services);
      ServiceSpec s = c.store.services.at(id).spec;
      s.task.container.image += "+";
      return c.update(id, s);
    }
    if (what == 6 && !c.store.services.empty() && dice_.chance(40))
      return c.remove(Kind::kService, any(c.store.services));
    if (c.store.nodes.empty()) return;
    const std::string node = any(c.store.nodes);
    if (what == 7) return c.available(node, static_cast<Availability>(dice_.below(3)));
    if (what == 8) return c.state(node, dice_.chance(60) ? NodeState::kReady : NodeState::kDown);
    if (what == 9 && dice_.chance(30)) return c.remove(Kind::kNode, node);
  }
  void come_to_rest() {
    auto& c = cluster_;
    for (const auto& id : [&] {
           std::vector<std::string> ids;
           for (auto& [i, n] : c.store.nodes) ids.push_back(i);
           return ids;
         }())
      if (c.store.nodes.at(id).state == NodeState::kDown && dice_.chance(70)) c.state(id, NodeState::kReady);
    const WallTime end = c.now + 30min;
    for (int i = 0; wrong_.empty(); ++i) {
      const bool decided = decide(), acted = c.act(8);
      if (i > 1500) return say("never comes to rest");
      if (decided || acted) continue;
      if (!c.plan().empty()) continue;
      const auto due = next_deadline(c.store, c.now);
      if (!due) break;
      if (*due > end) return say("deadlines never end");
      quiet_until(*due);
      c.now = std::max(c.now, *due);
    }
    quiet_until(c.now + 60min);
  }
  // Between now and its next deadline the plan stays empty.
  void quiet_until(WallTime due) {
    const WallTime now = cluster_.now;
    cluster_.now = now + (due - now) / 2;
    if (cluster_.now > now && cluster_.now < due && !cluster_.plan().empty())
      say("something to do before the next deadline");
    cluster_.now = now;
  }

  // ---- what must hold

  bool live(const ClusterTask& t) const {
    const Node* n = cluster_.store.node(t.node_id);
    return !terminal(t.status.state) && t.desired <= TaskState::kRunning &&
           (t.node_id.empty() || (n && n->state != NodeState::kDown));
  }
  bool fits(const ClusterTask& t, const Node& n) const {
    return n.spec.availability != Availability::kDrain && constraints_hold(t.spec, n);
  }

  void after_change(const Store& before) {
    const Store& s = cluster_.store;
    if (deciding_) one_per_slot(before, s);
    std::set<std::string> addresses;
    const auto take = [&](const std::string& network, const std::string& address) {
      if (!addresses.insert(network + " " + address.substr(0, address.find('/'))).second)
        say("address " + address + " given twice");
    };
    for (const auto& [id, t] : s.tasks) {
      if (!terminal(t.status.state))
        for (const auto& a : t.networks) take(a.network_id, a.address);
      if (const ClusterTask* old = before.task(id)) {
        if (t.status.state < old->status.state) say("a state moved back");
        if (t.desired < old->desired) say("a wish moved back");
        if (!old->node_id.empty() && t.node_id != old->node_id) say("a task changed its node");
        if (t.networks.size() < old->networks.size()) say("a task lost an address");
      }
    }
    std::set<std::pair<std::string, uint32_t>> ports;
    for (const auto& [id, service] : s.services) {
      for (const auto& v : service.vips) take(v.network_id, v.address);
      for (const auto& p : service.ports)
        if (p.published && !ports.insert({p.protocol, p.published}).second) say("port given twice");
      if (const Service* old = before.service(id))
        for (const auto& v : old->vips)
          for (const auto& w : service.vips)
            if (v.network_id == w.network_id && v.address != w.address) say("a virtual address changed");
    }
    for (const auto& [id, n] : s.nodes)
      if (!n.mesh_address.empty()) take("network-ingress", n.mesh_address);
    reservations(s);
  }
  // A node that comes back may bring a second one; the plan itself must not make one.
  void one_per_slot(const Store& before, const Store& after) {
    const auto count = [this](const Store& s) {
      std::map<std::string, size_t> good;
      for (const auto& [id, t] : s.tasks) {
        const Service* service = s.service(t.service_id);
        const Node* n = s.node(t.node_id);
        if (service && live(t) && t.spec_version == service->spec_version && (!n || fits(t, *n)))
          ++good[t.service_id + "/" + (t.slot ? std::to_string(t.slot) : t.node_id)];
      }
      return good;
    };
    auto old = count(before);
    for (const auto& [slot, n] : count(after))
      if (n > 1 && n > old[slot]) say("two live good tasks in a slot");
  }
  void reservations(const Store& s) {
    std::map<std::string, int64_t> cpus;
    for (const auto& [id, t] : s.tasks)
      if (!t.node_id.empty() && t.status.state >= TaskState::kAssigned && !terminal(t.status.state))
        cpus[t.node_id] += t.spec.reservations.nano_cpus;
    for (const auto& [id, used] : cpus)
      if (const Node* n = s.node(id); n && used > n->description.nano_cpus) say("reservations overdrawn");
  }

  void at_rest() {
    const auto& s = cluster_.store;
    for (const auto& [id, t] : s.tasks) {
      const Node* n = s.node(t.node_id);
      if (!s.service(t.service_id) && n && n->state == NodeState::kReady)
        say("a task of a removed service stays");
      if (n && n->state == NodeState::kReady && n->spec.availability == Availability::kDrain &&
          !terminal(t.status.state))
        say("a drained node runs a task");
      if (Cluster::up(t) && live(t) && !t.serving) say("a task runs and never serves");
    }
    for (const auto& [id, service] : s.services) service_at_rest(service);
  }
  void service_at_rest(const Service& service) {
    const auto& s = cluster_.store;
    std::map<std::string, size_t> slots, running;
    size_t waiting = 0, old = 0;
    const bool paused = service.update && service.update->state.ends_with("paused");
    for (const auto& t : cluster_.tasks(service.meta.id)) {
      if (!live(t)) continue;
      const std::string slot = t.slot ? std::to_string(t.slot) : t.node_id;
      ++slots[slot];
      old += t.spec_version != service.spec_version;
      if (t.status.state == TaskState::kRunning)
        ++running[slot];
      else if (!t.status.error.empty())
        ++waiting;
      else
        say("a task waits without a reason in state " + std::string(name_of(t.status.state)));
    }
    // An update waits for a node as a task does.
    if (old > 0 && waiting == 0 && !paused) say("an old task is left");
    for (const auto& [slot, n] : running)
      if (n > 1 && waiting == 0) say("a slot has two running tasks at rest");
    for (const auto& [slot, n] : slots)
      if (n > 2) say("more and more tasks wait in a slot");
    size_t wanted = service.spec.replicas;
    if (service.spec.mode == ServiceMode::kGlobal) {
      wanted = 0;
      for (const auto& [id, n] : s.nodes)
        wanted += node_takes_tasks(n) && constraints_hold(service.spec.task, n);
      if (slots.size() < wanted) say("a node misses its global task");
    } else if (slots.size() != wanted && !paused) {
      say("wrong count of replicas");
    }
    if (service.update && waiting == 0 &&
        (service.update->state == "updating" || service.update->state == "rollback_started"))
      say("an update never ends");
  }

  Cluster cluster_;
  SeededEntropy dice_;
  bool faults_ = true, deciding_ = false;
  uint32_t nodes_ = 0, services_ = 0;
  std::string wrong_;
};

}  // namespace

TEST_CASE("random clusters come to rest where the specs want them, and nothing is given twice on the way") {
  std::map<std::string, std::vector<uint64_t>> failures;
  const uint64_t seeds = seed_count();
  const char* only = std::getenv("PANAL_SEED");
  for (uint64_t seed = only ? std::strtoull(only, nullptr, 10) : 1; seed <= seeds; ++seed)
    if (const std::string wrong = Trial(seed).run(); !wrong.empty()) failures[wrong].push_back(seed);
  for (const auto& [what, which] : failures)
    CHECK_MESSAGE(which.empty(),
                  what << ": " << which.size() << " of " << seeds << " seeds, first " << which.front());
}

}  // namespace panal
