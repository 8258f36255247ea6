#include "sim/world.h"

#include <algorithm>

#include "base/log.h"
#include "swarm/allocator.h"
#include "sys/disk/raft_files.h"
#include "sys/raft/libraft_core.h"

namespace panal::sim {

static constexpr int kWorldLoop = 1000;
static constexpr size_t kTraceLines = 600;

static Peer peer_of(const SimNode& n) { return {n.node_id, std::string(name_of(n.role)), "sim", n.address}; }

Process::Process(SimWorld& world, SimNode& node)
    : loop(world.timeline, node.index, &node.wall_offset),
      entropy(world.random.fork(1)),
      transport(world.network, loop, node.index, peer_of(node)),
      executor(*node.machine, loop) {
  loop.work_takes = [files = node.files] { return files->work_takes(); };
}

SimWorld::SimWorld(uint64_t s, Shape how, bool verbose)
    : seed(s),
      shape(how),
      loop(timeline, kWorldLoop, &world_offset),
      random(s * 0x9e3779b97f4a7c15ull + 1),
      network(timeline, loop, random.fork(3)),
      verbose_(verbose) {
  timeline.now = MonoTime(1000s);
  SimEntropy ids(random.fork(4));
  for (int i = 0; i < shape.managers + shape.workers + shape.spares; ++i) {
    auto n = std::make_unique<SimNode>();
    n->index = i, n->address = SimNetwork::ip(i), n->node_id = ids.swarm_id();
    if (i < shape.managers) n->role = NodeRole::kManager, n->raft_id = ids.number() >> 1 | 1;
    n->files = std::make_shared<SimFiles>(random.fork(2));
    n->machine = std::make_unique<Machine>(loop, random.fork(5), "node" + std::to_string(i + 1));
    n->machine->violate = [this](const std::string& what) { violate(what); };
    nodes.push_back(std::move(n));
  }
  log::set_level(log::Level::kInfo);
  log::set_sink([this](log::Level, std::string_view text) { note(std::string(text)); });
  timeline.on_event = [this](int who, uint64_t key) {
    mix(static_cast<uint64_t>(timeline.now.time_since_epoch().count())), mix(key),
        mix(static_cast<uint64_t>(who));
    if (on_event && who != kWorldLoop && up(who)) on_event(node(who));
    bury_stopped();
  };
}

SimWorld::~SimWorld() {
  on_event = nullptr;
  for (auto& n : nodes)
    if (n->process) bury(*n, SimTransport::Death::kMachine);
  log::set_sink([](log::Level, std::string_view) {});
}

void SimWorld::mix(uint64_t value) { hash_ = (hash_ ^ value) * 1099511628211ull; }

void SimWorld::note(const std::string& text) {
  for (const char c : text) mix(static_cast<uint8_t>(c));
  char head[48];
  const int who = timeline.current;
  std::snprintf(head, sizeof head, "%10.6f %-5s ", seconds() - 1000,
                who < 0 || who == kWorldLoop ? "world" : ("n" + std::to_string(who + 1)).c_str());
  trace_.push_back(head + text);
  if (trace_.size() > kTraceLines) trace_.pop_front();
  if (verbose_) std::fprintf(stderr, "%s\n", trace_.back().c_str());
}

std::string SimWorld::describe() const {
  static constexpr const char* kStates[] = {"unavailable", "follower", "candidate", "leader"};
  std::string out;
  for (const auto& n : nodes) {
    out += "n" + std::to_string(n->index + 1) + " " + n->node_id + ": ";
    if (!n->process) {
      out += "down\n";
      continue;
    }
    if (const auto m = n->manager()) {
      const auto& r = n->process->manager->replica();
      out += std::string(kStates[static_cast<size_t>(r.state())]) + (r.ready() ? ", ready" : "") + ", term " +
             std::to_string(r.term()) + ", leader " + m->leader_address() + ", log to " +
             std::to_string(r.last_index()) + ", committed " + std::to_string(r.commit_index()) +
             ", applied " + std::to_string(r.applied()) + ", voters";
      for (const auto& s : r.configuration())
        if (s.role == raft::Role::kVoter) out += " " + s.address;
      if (r.failed()) out += ", FAILED " + r.failure();
      out += "; ";
    }
    if (n->process->worker)
      out += n->process->worker->connected() ? "worker connected"
                                             : "worker not connected: " + n->process->worker->last_error();
    out += "\n";
  }
  return out;
}

void SimWorld::violate(const std::string& what) {
  if (!violation_.empty()) return;
  violation_ = what;
  note("VIOLATION: " + what);
}

// ---- processes

void SimWorld::start_process(SimNode& n, std::optional<Manager::Start> how, bool worker) {
  CHECK(!n.process);
  ++n.boots;
  network.power(n.index, true);
  n.process = std::make_unique<Process>(*this, n);
  serve_members(n);
  if (how) {
    const int errors = n.files->errors;
    if (auto started = start_manager(n, *how); !started) {
      if (!n.files->frozen() && n.files->errors == errors)
        return violate("manager does not start: " + started.error().message);
      note("n" + std::to_string(n.index + 1) + " does not start: " + started.error().message);
      loop.call_after(2s, [this, index = n.index] { restart(index); });
      return n.files->freeze();
    }
  }
  if (worker) start_worker(n);
  if (on_event) on_event(n);  // the start of a lone manager applies its log
}

Result<> SimWorld::start_manager(SimNode& n, Manager::Start how) {
  Process& p = *n.process;
  snapshot_starts += n.files->has("/raft/snapshot");
  manager_clocks_true &= n.wall_offset == Duration(0);
  raft::Settings settings;
  settings.id = n.raft_id, settings.address = n.address + ":2377";
  settings.seed = static_cast<uint32_t>(p.entropy.number()), settings.election_ms = 700,
  settings.heartbeat_ms = 40;
  p.log = std::make_shared<RecordedLog>(open_raft_files(p.loop, n.files, "/raft"));
  Manager::Parts parts{p.loop,
                       p.entropy,
                       p.transport,
                       p.log,
                       [settings] { return raft::make_libraft_core(settings); },
                       n.raft_id,
                       n.node_id,
                       settings.address,
                       shape.retention};
  p.manager = std::make_shared<Manager>(std::move(parts));
  if (auto started = p.manager->start(how); !started) {
    p.manager.reset(), p.log.reset();
    return started;
  }
  return p.transport.listen(n.address, 2377);
}

void SimWorld::start_worker(SimNode& n) {
  Process& p = *n.process;
  SimNode* node = &n;
  const auto on_assignments = [this, node](const Assignments& a) {
    if (!a.managers.empty()) node->managers = a.managers;
    node->process->wanted_role = a.role;
    follow_wanted_role(*node);
  };
  const auto identity = [node] {
    return node->manager() ? std::pair{node->address + ":2377", node->raft_id}
                           : std::pair{std::string(), uint64_t{0}};
  };
  p.worker = std::make_unique<Worker>(Worker::Parts{p.loop, p.transport, p.executor, n.node_id, n.address,
                                                    [node] { return node->manager_addresses(); },
                                                    on_assignments, identity});
  p.worker->start();
}

// The process's own code runs to its end in a world where nothing answers; then it can be destroyed.
void SimWorld::bury(SimNode& n, SimTransport::Death how) {
  Process& p = *n.process;
  p.dying = true;
  n.files->freeze();
  p.transport.die(how);
  p.executor.die();
  if (p.worker) p.worker->shutdown();
  if (p.manager) p.manager->shutdown();
  bool ended = false;
  Scope waiting;
  auto wait = [](Process* dying, bool* done) -> Task<void> {
    if (dying->worker) co_await dying->worker->join();
    co_await dying->transport.join();
    co_await dying->scope.join();
    if (dying->manager) co_await dying->manager->join();
    *done = true;
  };
  waiting.spawn(wait(&p, &ended));
  if (!p.loop.drain_alone([&] { return ended; }, 300s)) {
    std::fprintf(stderr, "seed %llu: n%d: a coroutine does not end after shutdown\n",
                 static_cast<unsigned long long>(seed), n.index + 1);
    std::abort();
  }
  n.process.reset();
  n.files->thaw(how == SimTransport::Death::kMachine);
}

void SimWorld::crash(int index, Crash how) {
  SimNode& n = node(index);
  if (!n.process) return;
  note(std::string("crash of ") + (how == Crash::kMachine ? "machine" : "process") + " n" +
       std::to_string(index + 1));
  bury(n, how == Crash::kMachine ? SimTransport::Death::kMachine : SimTransport::Death::kProcess);
  if (how == Crash::kMachine) {
    n.machine->lose_power();
    network.power(index, false);
  }
}

void SimWorld::crash_after(int index, Crash how, uint64_t disk_calls) {
  node(index).loses_power = how == Crash::kMachine;
  node(index).files->freeze_after(disk_calls);
}

void SimWorld::bury_stopped() {
  for (auto& n : nodes)
    if (n->process && n->files->frozen()) crash(n->index, n->loses_power ? Crash::kMachine : Crash::kProcess);
}

void SimWorld::restart(int index) {
  SimNode& n = node(index);
  if (n.process || !n.member) return;
  note("restart of n" + std::to_string(index + 1));
  if (n.raft_id == 0) n.role = NodeRole::kWorker;  // a change of role that the crash cut short is made again
  start_process(n, n.role == NodeRole::kManager ? std::optional(Manager::Start::kRestart) : std::nullopt,
                true);
}

SimNode* SimWorld::leader() {
  SimNode* best = nullptr;
  for (auto& n : nodes)
    if (const auto m = n->manager();
        m && m->leads() && (!best || m->replica().term() > best->manager()->replica().term()))
      best = n.get();
  return best;
}

// ---- running

void SimWorld::run_for(Duration d) {
  const MonoTime end = timeline.now + d;
  while (violation_.empty() && timeline.step(end)) {
  }
}

bool SimWorld::run_until(const std::function<bool()>& done, Duration limit) {
  const MonoTime end = timeline.now + limit;
  while (violation_.empty()) {
    if (done()) return true;
    if (timeline.now >= end) return false;
    run_for(100ms);
  }
  return false;
}

// ---- founding, as node/cluster/swarm_node.cc does it

Task<void> SimWorld::found(SimNode& n) {
  ClusterSettings settings;
  settings.meta.id = n.process->entropy.swarm_id();
  Node self;
  self.meta.id = n.node_id, self.spec.role = NodeRole::kManager,
  self.description = n.process->executor.describe(), self.address = n.address;
  self.raft_id = n.raft_id, self.manager_address = n.address + ":2377";
  ClusterNetwork ingress;
  ingress.meta.id = n.process->entropy.swarm_id();
  ingress.network.name = kIngressName, ingress.network.driver = "overlay", ingress.network.scope = "swarm",
  ingress.network.ingress = true;
  Store empty;
  empty.cluster = settings;
  CHECK(choose_overlay_subnet(empty, ingress));
  Command command;
  command.time = n.process->loop.wall_now();
  command.put(Kind::kCluster, settings);
  command.put(Kind::kNode, self);
  command.put(Kind::kNetwork, ingress);
  auto done = co_await n.manager()->propose(std::move(command));
  if (!done) co_return violate("the first write failed: " + done.error().message);
  n.managers = {{n.node_id, n.address + ":2377"}};
  start_worker(n);
  founded_ = true;
}

bool SimWorld::bootstrap() {
  SimNode& first = *nodes[0];
  const int count = shape.managers + shape.workers;
  first.member = true;
  start_process(first, Manager::Start::kBootstrap, false);
  first.process->scope.spawn(found(first));
  if (!run_until([&] { return founded_; }, 10s)) return false;
  for (int i = 1; i < count; ++i) {
    first.process->scope.spawn(admit(&first, &node(i), true));
    if (random.chance(0.5)) run_for(random.between(Duration(0s), Duration(2s)));
  }
  return run_until(
      [&] {
        SimNode* l = leader();
        if (!l || admitted_ + 1 < count) return false;
        for (const auto& n : nodes) {
          if (!n->member) continue;
          const Node* object = l->manager()->store().node(n->node_id);
          if (!object || object->state != NodeState::kReady) return false;
        }
        return std::ranges::count(l->manager()->replica().configuration(), raft::Role::kVoter,
                                  &raft::Server::role) ==
               std::ranges::count(nodes, NodeRole::kManager, [](const auto& n) { return n->role; });
      },
      60s);
}

}  // namespace panal::sim
