#include "sim/workload.h"

#include <algorithm>

#include "base/log.h"
#include "model/cluster_json.h"
#include "swarm/allocator.h"

namespace panal::sim {

static constexpr size_t kMaxServices = 6;

Workload::Workload(SimWorld& world, RaftChecker& raft)
    : world_(world), raft_(raft), random_(world.random.fork(11)) {}

void Workload::begin() {
  on_ = true;
  next();
}

void Workload::next() {
  world_.loop.call_after(random_.between(Duration(50ms), Duration(3s)), [this] {
    if (!on_) return;
    std::vector<SimNode*> managers;
    for (auto& n : world_.nodes)
      if (n->manager()) managers.push_back(n.get());
    if (!managers.empty()) act(*random_.pick(managers));
    next();
  });
}

ServiceSpec Workload::random_spec(const Store& store) {
  ServiceSpec s;
  const auto roll = random_.below(20);
  const char* image = roll < 12    ? "app"
                      : roll < 15  ? "slow"
                      : roll < 17  ? "flaky"
                      : roll == 17 ? "broken"
                      : roll == 18 ? "missing"
                                   : "batch";
  s.task.container.image = std::string(image) + ":" + std::to_string(random_.below(1000));
  s.replicas = random_.below(6);
  if (random_.chance(0.2)) s.mode = ServiceMode::kGlobal, s.replicas = 1;
  s.task.restart.delay = static_cast<int64_t>(random_.below(3)) * 2'500'000'000;
  if (random_.chance(0.15)) s.task.restart.condition = random_.chance(0.5) ? "on-failure" : "none";
  if (random_.chance(0.1)) s.task.restart.max_attempts = 1 + random_.below(3);
  if (random_.chance(0.2))
    s.task.placement.constraints = {random_.chance(0.5) ? "node.role==worker" : "node.role!=worker"};
  if (random_.chance(0.5)) {
    UpdateConfig u;
    u.parallelism = random_.below(3), u.delay = static_cast<int64_t>(random_.below(3)) * 1'000'000'000;
    u.monitor = random_.between(1, 5) * 1'000'000'000LL;
    u.order = random_.chance(0.5) ? "start-first" : "stop-first";
    const char* actions[] = {"pause", "continue", "rollback"};
    u.failure_action = actions[random_.below(3)];
    s.update = u;
    if (random_.chance(0.5)) s.rollback = u;
  }
  if (random_.chance(0.3)) s.ports = {{"", "tcp", "ingress", 80, 0}};
  for (const auto& [id, n] : store.networks)
    if (!n.network.ingress && random_.chance(0.5)) s.task.networks.push_back({id, {}});
  return s;
}

std::optional<Command> Workload::create(SimNode& at) {
  Service s;
  s.meta.id = at.process->entropy.swarm_id(), s.spec = random_spec(at.manager()->store()), s.spec_version = 1;
  s.spec.name = "s" + std::to_string(++names_);
  Command c;
  c.put(Kind::kService, std::move(s), 0);
  return c;
}

std::optional<Command> Workload::change(SimNode& at) {
  const Store& store = at.manager()->store();
  if (store.services.empty()) return std::nullopt;
  auto it = store.services.begin();
  std::advance(it, static_cast<long>(random_.below(store.services.size())));
  Service s = it->second;
  const uint64_t version = s.meta.version;
  const auto roll = random_.below(10);
  Command c;
  if (roll < 2) {
    c.remove(Kind::kService, s.meta.id);
    return c;
  }
  s.previous = s.spec;
  s.update = std::nullopt;
  if (roll < 5 && s.spec.mode == ServiceMode::kReplicated) {
    s.spec.replicas = random_.below(8);
  } else {
    ServiceSpec next = random_spec(store);
    next.name = s.spec.name, next.mode = s.spec.mode;
    if (random_.chance(0.5)) next.task.networks = s.spec.task.networks, next.ports = s.spec.ports;
    s.spec = std::move(next);
  }
  if (to_text(s.previous->task) != to_text(s.spec.task) ||
      uses_ingress(*s.previous) != uses_ingress(s.spec)) {
    ++s.spec_version;
    s.update = UpdateStatus{"updating", "update in progress", at.process->loop.wall_now(), {}};
  }
  c.put(Kind::kService, std::move(s), version);
  return c;
}

std::optional<Command> Workload::change_node(SimNode& at) {
  const Store& store = at.manager()->store();
  if (store.nodes.empty()) return std::nullopt;
  auto it = store.nodes.begin();
  std::advance(it, static_cast<long>(random_.below(store.nodes.size())));
  Node n = it->second;
  const Availability wish[] = {Availability::kActive, Availability::kActive, Availability::kPause,
                               Availability::kDrain};
  n.spec.availability = wish[random_.below(4)];
  Command c;
  c.put(Kind::kNode, n, it->second.meta.version);
  return c;
}

// A node that left is demoted, and removed once it is known to be down: as the API allows it.
std::optional<Change> Workload::bury(const Node& given) {
  Command c;
  if (given.spec.role == NodeRole::kManager) {
    Node n = given;
    n.spec.role = NodeRole::kWorker;
    c.put(Kind::kNode, n, given.meta.version);
  } else if (given.state == NodeState::kDown) {
    c.remove(Kind::kNode, given.meta.id);
  }
  return c.empty() ? std::nullopt : std::optional(c.changes.front());
}

std::optional<Command> Workload::change_members(SimNode& at) {
  const Store& store = at.manager()->store();
  std::vector<SimNode*> members, outside;
  for (auto& n : world_.nodes) (n->member || n->joining ? members : outside).push_back(n.get());
  size_t managers = 0;
  for (const auto& [id, n] : store.nodes) managers += n.spec.role == NodeRole::kManager;
  const auto roll = random_.below(10);
  if (roll < 2 && !outside.empty()) {
    world_.join(at, *random_.pick(outside),
                random_.chance(0.5) && managers < 5 ? NodeRole::kManager : NodeRole::kWorker);
    return std::nullopt;
  }
  if (roll < 4) {
    SimNode* n = random_.pick(members);
    if (n->process && members.size() > 3 && (n->role == NodeRole::kWorker || managers > 2)) world_.leave(*n);
    return std::nullopt;
  }
  if (store.nodes.empty()) return std::nullopt;
  auto it = store.nodes.begin();
  std::advance(it, static_cast<long>(random_.below(store.nodes.size())));
  Command c;
  Node n = it->second;
  if (std::ranges::none_of(members, [&](const SimNode* m) { return m->node_id == n.meta.id; })) {
    if (auto gone = bury(n)) c.changes.push_back(std::move(*gone));
  } else if (n.spec.role == NodeRole::kWorker ? managers < 5 : at.manager()->may_demote(n).has_value()) {
    n.spec.role = n.spec.role == NodeRole::kWorker ? NodeRole::kManager : NodeRole::kWorker;
    c.put(Kind::kNode, n, it->second.meta.version);
  }
  return c.empty() ? std::nullopt : std::optional(std::move(c));
}

std::optional<Command> Workload::create_network(SimNode& at) {
  const Store& store = at.manager()->store();
  if (store.networks.size() > 3) return std::nullopt;
  ClusterNetwork n;
  n.meta.id = at.process->entropy.swarm_id();
  n.network.name = "net" + std::to_string(++names_), n.network.driver = "overlay", n.network.scope = "swarm";
  if (!choose_overlay_subnet(store, n)) return std::nullopt;
  Command c;
  c.put(Kind::kNetwork, n, 0);
  return c;
}

void Workload::act(SimNode& at) {
  const Store& store = at.manager()->store();
  const auto roll = random_.below(10);
  std::optional<Command> command;
  if (membership && random_.chance(0.1))
    command = change_members(at);
  else if (roll == 0)
    command = change_node(at);
  else if (roll == 1)
    command = create_network(at);
  else if (store.services.size() < kMaxServices && (roll < 5 || store.services.empty()))
    command = create(at);
  else
    command = change(at);
  if (command) submit(at, std::move(*command), "request");
}

void Workload::submit(SimNode& at, Command command, std::string what) {
  ++asked;
  command.time = at.process->loop.wall_now() + Duration(asked);  // no two requests are the same bytes
  at.process->scope.spawn(carry(&at, std::move(command), std::move(what)));
}

Task<void> Workload::carry(SimNode* at, Command command, std::string what) {
  const int number = asked;
  log::info("{} {}: {}", what, number, encode(command).substr(0, 160));
  CHECK(encode(*decode_command(encode(command))) == encode(command));
  const ManagerPtr m = at->manager();
  const MonoTime asked_at = at->process->loop.now();
  auto done = co_await m->propose(command);
  if (at->process->dying) co_return;  // nobody is there to hear the answer
  if (what == "repair") repairing_ = false;
  log::info("{} {} {}", what, number, done ? "acknowledged" : "refused: " + done.error().message);
  if (!done) {
    ++refused;
    co_return;
  }
  ++acknowledged;
  // After its deadline a manager may confirm what the leader has done without having it here yet.
  raft_.acknowledged(*at, command,
                     at->process->loop.now() - asked_at < 15s ? m->replica().applied() : UINT64_MAX);
}

bool Workload::repair() {
  SimNode* leader = world_.leader();
  if (!leader || repairing_) return false;
  Command c;
  bool clean = true;
  // All managers it knew have gone or are workers now: nobody tells it of others, as in Swarm. Its user takes
  // it out.
  for (auto& n : world_.nodes) {
    if (!n->process || !n->member || n->joining || (n->process->worker && n->process->worker->connected()))
      continue;
    const auto known = n->manager_addresses();
    if (std::ranges::none_of(leader->manager()->replica().configuration(), [&](const auto& s) {
          return s.id == n->raft_id || std::ranges::find(known, s.address) != known.end();
        }))
      world_.leave(*n, true), clean = false;
  }
  for (const auto& [id, given] : leader->manager()->store().nodes) {
    if (std::ranges::none_of(world_.nodes,
                             [&](const auto& n) { return n->node_id == id && (n->member || n->joining); })) {
      clean = false;
      if (auto gone = bury(given)) c.changes.push_back(std::move(*gone));
    } else if (given.spec.availability != Availability::kActive) {
      Node n = given;
      n.spec.availability = Availability::kActive;
      c.put(Kind::kNode, n);
    }
  }
  // All were demoted at once, each while the others still managed: the one that could not go is promoted
  // again.
  const auto& nodes = leader->manager()->store().nodes;
  if (c.empty() && std::ranges::none_of(nodes, [](const auto& n) {
        return n.second.spec.role == NodeRole::kManager && n.second.raft_id != 0;
      })) {
    Node n = nodes.at(leader->node_id);
    n.spec.role = NodeRole::kManager;
    c.put(Kind::kNode, n);
  }
  if (c.empty()) return clean;
  repairing_ = true;
  submit(*leader, std::move(c), "repair");
  return false;
}

}  // namespace panal::sim
