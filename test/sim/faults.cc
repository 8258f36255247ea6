#include "sim/workload.h"

namespace panal::sim {

FaultPlan FaultPlan::draw(Random& random) {
  FaultPlan p;
  p.crashes = random.chance(0.6), p.partitions = random.chance(0.5), p.loss = random.chance(0.5),
  p.clocks = random.chance(0.3), p.skew = random.chance(0.4);
  p.stalls = random.chance(0.3), p.disks = random.chance(0.3), p.errors = random.chance(0.25),
  p.trouble = random.chance(0.4), p.membership = random.chance(0.4);
  p.pause = random.between(Duration(1s), Duration(10s));
  return p;
}

std::string FaultPlan::text() const {
  std::string out;
  const auto add = [&](bool on, const char* name) {
    out += on ? std::string(out.empty() ? "" : " ") + name : "";
  };
  add(crashes, "crashes"), add(partitions, "partitions"), add(loss, "loss"), add(clocks, "clocks"),
      add(skew, "skew"), add(stalls, "stalls"), add(disks, "disks"), add(errors, "errors"),
      add(membership, "membership"), add(trouble, "trouble");
  return out.empty() ? "none" : out;
}

Faults::Faults(SimWorld& world, FaultPlan plan)
    : world_(world), plan_(plan), random_(world.random.fork(12)) {}

void Faults::begin() {
  on_ = true;
  lagged_ = world_.shape.managers < 3;
  if (plan_.loss)
    world_.network.weather = {100us, Duration(random_.between(Duration(2ms), Duration(60ms))), 0.02, 0.001};
  for (auto& n : world_.nodes) n->files->short_writes = true;
  if (plan_.disks)
    for (auto& n : world_.nodes) n->files->slowest = random_.between(Duration(3ms), Duration(60ms));
  if (plan_.trouble)
    for (auto& n : world_.nodes) n->machine->trouble = random_.chance(0.5) ? 0.05 : 0.2;
  if (plan_.skew)  // workers whose clocks are wrong all the time
    for (auto& n : world_.nodes)
      if (n->role == NodeRole::kWorker && random_.chance(0.6)) step_clock(*n, hours_off());
  next();
  world_.loop.call_after(random_.between(Duration(1s), Duration(8s)), [this] { lag(); });
}

void Faults::next() {
  world_.loop.call_after(random_.between(Duration(100ms), plan_.pause * 2), [this] {
    if (!on_ || !world_.violation().empty()) return;
    strike();
    next();
  });
}

void Faults::strike() {
  std::vector<void (Faults::*)()> can;
  if (plan_.crashes) can.push_back(&Faults::crash);
  if (plan_.partitions) can.push_back(&Faults::partition);
  if (plan_.clocks) can.push_back(&Faults::step_any_clock);
  if (plan_.stalls) can.push_back(&Faults::stall);
  if (plan_.errors) can.push_back(&Faults::disk_error);
  if (!can.empty()) (this->*random_.pick(can))();
}

void Faults::stall() {
  auto& n = random_.pick(world_.nodes);
  const Duration d = random_.between(Duration(100ms), Duration(random_.chance(0.2) ? 20s : 3s));
  world_.note("stall of n" + std::to_string(n->index + 1) + " for " + std::to_string(d / 1ms) + " ms");
  if (n->process) n->process->loop.stall(world_.timeline.now + d);
}

void Faults::step_any_clock() {
  const auto roll = random_.below(10);
  const Duration by = roll < 5   ? random_.between(Duration(-2s), Duration(2s))
                      : roll < 7 ? random_.between(Duration(-30s), Duration(30s))
                                 : hours_off();
  step_clock(*random_.pick(world_.nodes), by);
}

void Faults::crash() {
  const auto how = random_.chance(0.5) ? SimWorld::Crash::kMachine : SimWorld::Crash::kProcess;
  std::vector<int> victims;
  SimNode* leader = world_.leader();
  if (leader && random_.chance(0.3))
    victims = {leader->index};
  else
    victims = {static_cast<int>(random_.below(world_.nodes.size()))};
  if (random_.chance(0.05)) {
    victims.clear();
    for (auto& n : world_.nodes) victims.push_back(n->index);
  }
  for (const int v : victims) {
    if (!world_.up(v)) continue;
    const bool in_the_middle = random_.chance(0.5);
    if (in_the_middle) {
      world_.crash_after(v, how, random_.below(12));
      world_.loop.call_after(1s, [this, v, how, boot = world_.node(v).boots] {
        if (on_ && world_.node(v).boots == boot) world_.crash(v, how);
      });
    } else {
      world_.crash(v, how);
    }
    world_.loop.call_after(Duration(in_the_middle ? 1s : 0s) +
                               (random_.chance(0.5) ? random_.between(Duration(10ms), Duration(2s))
                                                    : random_.between(Duration(2s), Duration(30s))),
                           [this, v] {
                             if (on_) world_.restart(v);
                           });
  }
}

// In every run one manager is away for so long that the others have nothing left for it but their snapshot.
void Faults::lag() {
  if (!on_) return;
  SimNode* leader = world_.leader();
  std::vector<int> followers;
  for (auto& n : world_.nodes)
    if (n->manager() && n.get() != leader) followers.push_back(n->index);
  if (!leader || followers.size() < 2) {
    world_.loop.call_after(1s, [this] { lag(); });
    return;
  }
  const int victim = random_.pick(followers);
  const raft::Index had = world_.node(victim).manager()->replica().last_index();
  world_.crash(victim, random_.chance(0.5) ? SimWorld::Crash::kMachine : SimWorld::Crash::kProcess);
  await_compaction(victim, had);
}

void Faults::await_compaction(int victim, raft::Index had) {
  world_.loop.call_after(500ms, [this, victim, had] {
    if (!on_) return;
    if (world_.up(victim)) return lag();  // another fault's end brought it back too early
    SimNode* leader = world_.leader();
    if (leader && leader->manager()->replica().applied() > had &&
        !leader->manager()->replica().entry(had + 1))
      lagged_ = true, world_.restart(victim);
    else
      await_compaction(victim, had);
  });
}

// A full disk for a while, or a sync that fails: the manager's log stops, and somebody restarts it later.
void Faults::disk_error() {
  auto& n = random_.pick(world_.nodes);
  if (n->role != NodeRole::kManager) return;
  if (random_.chance(0.5))
    n->files->failing_syncs = 1;
  else
    n->files->room = random_.below(4000);
  world_.note(
      "disk of n" + std::to_string(n->index + 1) +
      (n->files->room ? " has " + std::to_string(*n->files->room) + " bytes left" : " fails its next sync"));
  world_.loop.call_after(random_.between(Duration(2s), Duration(15s)), [this, node = n.get()] {
    if (!on_) return;
    node->files->room.reset(), node->files->failing_syncs = 0;
    if (const auto m = node->manager(); !m || !m->replica().failed()) return;
    world_.crash(node->index, SimWorld::Crash::kProcess);
    world_.loop.call_after(1s, [this, node] {
      if (on_) world_.restart(node->index);
    });
  });
}

void Faults::partition() {
  const int count = static_cast<int>(world_.nodes.size());
  std::set<int> away;
  const int size = random_.between(1, std::max(1, count / 2));
  while (static_cast<int>(away.size()) < size)
    away.insert(static_cast<int>(random_.below(static_cast<uint64_t>(count))));
  const bool one_way = random_.chance(0.2);
  std::string text;
  for (const int n : away) text += " n" + std::to_string(n + 1);
  world_.note(std::string("cut off") + (one_way ? " one way:" : ":") + text);
  for (int a = 0; a < count; ++a)
    for (int b = 0; b < count; ++b)
      if (away.contains(a) != away.contains(b) && (!one_way || away.contains(a)))
        world_.network.cut(a, b, true);
  world_.loop.call_after(random_.between(Duration(200ms), Duration(random_.chance(0.5) ? 4s : 25s)), [this] {
    if (!on_) return;
    world_.note("links healed");
    world_.network.heal();
  });
}

// An hour to ten days, either way.
Duration Faults::hours_off() {
  const Duration by = random_.chance(0.5) ? random_.between(Duration(1h), Duration(23h))
                                          : random_.between(Duration(24h), Duration(240h));
  return random_.chance(0.5) ? by : -by;
}

void Faults::step_clock(SimNode& n, Duration by) {
  n.wall_offset += by;
  if (n.role == NodeRole::kManager || n.manager()) world_.manager_clocks_true = false;
  world_.note("clock of n" + std::to_string(n.index + 1) + " steps by " + std::to_string(by / 1ms) + " ms");
}

void Faults::heal() {
  on_ = false;
  world_.note("---- faults stop");
  world_.network.heal();
  world_.network.weather = {};
  std::vector<int> with_snapshot;
  for (auto& n : world_.nodes)
    if (n->process && n->files->has("/raft/snapshot")) with_snapshot.push_back(n->index);
  if (!with_snapshot.empty()) world_.crash(random_.pick(with_snapshot), SimWorld::Crash::kProcess);
  for (auto& n : world_.nodes) {
    n->machine->trouble = 0;
    n->files->heal();
    if (const auto m = n->manager(); m && m->replica().failed())
      world_.crash(n->index, SimWorld::Crash::kProcess);
    if (n->process)
      n->process->loop.stall({});
    else
      world_.restart(n->index);
  }
}

}  // namespace panal::sim
