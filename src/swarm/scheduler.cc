#include "swarm/scheduler.h"

#include <array>
#include <numeric>

#include "swarm/constraint.h"

namespace panal {

bool constraints_hold(const TaskSpec& spec, const Node& node) {
  const auto constraints = parse_constraints(spec.placement.constraints);
  if (!constraints) return false;
  return std::ranges::all_of(*constraints, [&](const Constraint& c) { return matches(c, node); });
}

static std::string_view canonical(std::string_view architecture) {
  return architecture == "x86_64"                                      ? "amd64"
         : architecture == "aarch64"                                   ? "arm64"
         : architecture.starts_with("armv") || architecture == "armhf" ? "arm"
                                                                       : architecture;
}
static bool runs_on(const std::vector<Platform>& platforms, const Node& n) {
  return platforms.empty() || std::ranges::any_of(platforms, [&](const Platform& p) {
           return (p.os.empty() || p.os == n.description.os) &&
                  (p.architecture.empty() ||
                   canonical(p.architecture) == canonical(n.description.architecture));
         });
}

bool node_takes_tasks(const Node& n) {
  return n.state == NodeState::kReady && n.spec.availability == Availability::kActive;
}

namespace {

enum Refusal { kAvailability, kPlatform, kConstraints, kResources, kMaxReplicas, kHostPorts, kRefusals };
constexpr std::array<const char*, kRefusals> kReasons = {
    "not available for new tasks",          "unsupported platform",
    "scheduling constraints not satisfied", "insufficient resources",
    "max replicas per node limit exceed",   "host-mode port already in use"};

// What the tasks of a node already take.
struct Load {
  int64_t nano_cpus = 0, memory = 0;
  size_t tasks = 0;
  std::map<std::string, size_t> by_service;
  std::set<std::pair<std::string, uint32_t>> host_ports;

  void add(const ClusterTask& t) {
    if (terminal(t.status.state) || t.status.state < TaskState::kAssigned) return;
    nano_cpus += t.spec.reservations.nano_cpus, memory += t.spec.reservations.memory_bytes;
    for (const auto& p : t.ports)
      if (p.mode == "host" && p.published) host_ports.insert({p.protocol, p.published});
    if (t.desired > TaskState::kRunning) return;  // on its way out: what it holds counts, its place does not
    ++tasks, ++by_service[t.service_id];
  }
};

class Scheduler {
 public:
  explicit Scheduler(Draft& draft) : draft_(draft) {
    for (const auto& [id, n] : draft.base.nodes)
      for (const auto& task_id : draft.tasks_on(id))
        if (const auto* t = draft.task(task_id)) loads_[id].add(*t);
  }

  void place(ClusterTask task) {
    std::array<int, kRefusals> refused{};
    std::vector<const Node*> fit;
    for (const auto& [id, n] : draft_.base.nodes) {
      if (!task.node_id.empty() && id != task.node_id) continue;  // a global task knows its node
      if (auto why = refusal(task, n))
        ++refused[static_cast<size_t>(*why)];
      else
        fit.push_back(&n);
    }
    if (fit.empty()) {
      std::string why;
      std::array<size_t, kRefusals> order{};
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, std::greater(), [&](size_t i) {
        return refused[i];
      });  // SwarmKit: what refuses most comes first
      for (const size_t i : order)
        if (refused[i]) {
          const std::string nodes = std::to_string(refused[i]) + (refused[i] == 1 ? " node" : " nodes");
          why += (why.empty() ? "" : "; ") +
                 (i == kAvailability ? nodes + " " + kReasons[i] : std::string(kReasons[i]) + " on " + nodes);
        }
      const std::string text = "no suitable node" + (why.empty() ? "" : " (" + why + ")");
      if (task.status.error == text && task.status.state == TaskState::kPending) return;
      task.status.state = TaskState::kPending, task.status.error = text,
      task.status.message = "pending task scheduling", task.status.time = draft_.now;
      draft_.put(std::move(task));
      return;
    }
    const Node* best = choose(task, fit);
    task.node_id = best->meta.id;
    task.status = {};
    task.status.state = TaskState::kAssigned, task.status.message = "scheduler assigned task to node",
    task.status.time = draft_.now;
    loads_[best->meta.id].add(task);
    draft_.put(std::move(task));
  }

 private:
  std::optional<Refusal> refusal(const ClusterTask& t, const Node& n) {
    if (!node_takes_tasks(n)) return kAvailability;
    if (!runs_on(t.spec.placement.platforms, n)) return kPlatform;
    if (!constraints_hold(t.spec, n)) return kConstraints;
    const Load& load = loads_[n.meta.id];
    const auto& want = t.spec.reservations;
    if (want.nano_cpus > 0 && load.nano_cpus + want.nano_cpus > n.description.nano_cpus) return kResources;
    if (want.memory_bytes > 0 && load.memory + want.memory_bytes > n.description.memory_bytes)
      return kResources;
    auto mine = load.by_service.find(t.service_id);
    if (t.spec.placement.max_replicas > 0 && mine != load.by_service.end() &&
        mine->second >= t.spec.placement.max_replicas)
      return kMaxReplicas;
    for (const auto& p : t.ports)
      if (p.mode == "host" && p.published && load.host_ports.contains({p.protocol, p.published}))
        return kHostPorts;
    return std::nullopt;
  }

  // Recent failures of the same slot on a node count against it, so that a broken node does not win by being
  // empty.
  size_t failures(const ClusterTask& t, const Node& n) const {
    size_t count = 0;
    for (const auto& id : draft_.tasks_of(t.service_id)) {
      const auto* other = draft_.task(id);
      if (other && other->node_id == n.meta.id &&
          (other->status.state == TaskState::kFailed || other->status.state == TaskState::kRejected) &&
          !elapsed(draft_.now, other->status.time, 5min))
        ++count;
    }
    return count >= 5 ? count : 0;
  }

  const Node* choose(const ClusterTask& t, const std::vector<const Node*>& fit) {
    // With preferences, first the branch of the label tree with the fewest tasks of this service, the outer
    // levels before the inner.
    std::map<std::string, size_t> branch;
    const auto branches_of = [&](const Node& n) {
      std::vector<std::string> out;
      std::string path;
      for (const auto& key : t.spec.placement.spread) out.push_back(path += node_value(key, n) + "\n");
      return out;
    };
    for (const auto& [id, n] : draft_.base.nodes) {
      auto it = loads_[id].by_service.find(t.service_id);
      for (const auto& b : branches_of(n)) branch[b] += it == loads_[id].by_service.end() ? 0 : it->second;
    }
    const auto crowds = [&](const Node& n) {
      std::vector<size_t> out;
      for (const auto& b : branches_of(n)) out.push_back(branch[b]);
      return out;
    };
    const auto key = [&](const Node* n) {
      const Load& load = loads_[n->meta.id];
      auto mine = load.by_service.find(t.service_id);
      return std::tuple(failures(t, *n), crowds(*n), mine == load.by_service.end() ? size_t{0} : mine->second,
                        load.tasks, n->meta.id);
    };
    return *std::ranges::min_element(fit, {}, key);
  }

  Draft& draft_;
  std::map<std::string, Load> loads_;
};

}  // namespace

void schedule(Draft& draft) {
  std::vector<std::string> waiting;
  draft.each_task([&](const ClusterTask& t) {
    const bool unplaced = t.status.state == TaskState::kPending;  // a new task has no addresses yet
    if (unplaced && t.desired <= TaskState::kRunning &&
        elapsed(draft.now, t.not_before - Duration(t.spec.restart.delay), Duration(t.spec.restart.delay)))
      waiting.push_back(t.meta.id);
  });
  if (waiting.empty()) return;
  Scheduler scheduler(draft);
  for (const auto& id : waiting) scheduler.place(*draft.task(id));
}

}  // namespace panal
