// sim --seed N [--seeds COUNT] [--minutes M] [--verbose]: runs whole clusters on virtual time, one per seed.
// A failing seed prints what was violated and the last lines of its trace. One seed in ten runs twice and
// must leave the same trace.
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "sim/workload.h"

using namespace panal;
using namespace panal::sim;

namespace {

constexpr Duration kSettleLimit = 120s;
const SimWorld* g_world = nullptr;
int g_passed = 0, g_failed = 0;

struct Outcome {
  std::string violation;
  uint64_t hash = 0, events = 0;
  double settle_seconds = 0;
  int acknowledged = 0, refused = 0;
  uint64_t entries = 0, leaders = 0;
  int installs = 0, snapshot_starts = 0;
};

void print_trace(const SimWorld& world) {
  for (const auto& line : world.trace()) std::fprintf(stderr, "%s\n", line.c_str());
}

void on_crash(int signal) {
  if (g_world) {
    print_trace(*g_world);
    std::fprintf(stderr, "seed %llu: the program ended by signal %d\n%d passed, %d failed\n",
                 static_cast<unsigned long long>(g_world->seed), signal, g_passed, g_failed + 1);
  }
  _exit(1);
}

Outcome run(uint64_t seed, bool verbose) {
  Random shape_random(seed);
  Shape shape{shape_random.chance(0.6)   ? 3
              : shape_random.chance(0.8) ? 5
                                         : 1,
              shape_random.between(2, 4),
              shape_random.between(0, 2),
              {}};
  shape.retention = {static_cast<uint32_t>(shape_random.chance(0.7) ? shape_random.between(20, 60)
                                                                    : shape_random.between(60, 200)),
                     static_cast<uint32_t>(shape_random.between(10, 40))};
  SimWorld world(seed, shape, verbose);
  g_world = &world;
  RaftChecker raft(world);
  world.on_event = [&](SimNode& n) { raft.look(n); };
  Random plans = world.random.fork(10);
  const FaultPlan plan = plans.chance(0.1) ? FaultPlan{} : FaultPlan::draw(plans);
  world.note("seed " + std::to_string(seed) + ": " + std::to_string(shape.managers) + " managers, " +
             std::to_string(shape.workers) + " workers; faults: " + plan.text());
  Workload workload(world, raft);
  workload.membership = plan.membership;
  Faults faults(world, plan);
  std::string why = "the cluster does not come up";
  Outcome out;
  if (world.bootstrap()) {
    workload.begin();
    faults.begin();
    const int rounds = plans.between(10, 40);
    for (int i = 0; i < rounds && world.violation().empty(); ++i) {
      world.run_for(2s);
      raft.compare_logs();
      if (i % 5 == 0) raft.compare_tables();
    }
    world.run_until([&] { return faults.lagged(); }, 60s);
    workload.stop();
    faults.heal();
    const MonoTime healed = world.timeline.now;
    SettledChecker settled(world, raft);
    if (world.run_until([&] { return workload.repair() && (why = settled.lacks()).empty(); }, kSettleLimit))
      why.clear();
    else
      why = "not settled: " + (why.empty() ? "no leader" : why);
    out.settle_seconds = static_cast<double>((world.timeline.now - healed) / 1ms) / 1000;
    raft.compare_logs();
    raft.compare_tables();
  }
  if (!why.empty()) world.violate(why);
  out.violation = world.violation(), out.hash = world.trace_hash(), out.events = world.timeline.events;
  out.acknowledged = workload.acknowledged, out.refused = workload.refused, out.entries = raft.last(),
  out.leaders = raft.leaders(), out.snapshot_starts = world.snapshot_starts, out.installs = world.installs;
  if (!out.violation.empty()) {
    if (!verbose) print_trace(world);
    std::fprintf(stderr, "%s%s", world.describe().c_str(), describe(world, raft.tables().store()).c_str());
  }
  return out;
}

uint64_t number(const char* text) { return std::strtoull(text, nullptr, 10); }

}  // namespace

int main(int argc, char** argv) {
  uint64_t first = 1, count = 1;
  double minutes = 0;
  bool verbose = false, chatty = false;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const bool more = i + 1 < argc;
    if (arg == "--seed" && more)
      first = number(argv[++i]);
    else if (arg == "--seeds" && more)
      count = number(argv[++i]);
    else if (arg == "--minutes" && more)
      minutes = std::atof(argv[++i]), count = count == 1 ? UINT64_MAX : count;
    else if (arg == "--verbose")
      verbose = true;
    else if (arg == "--stats")
      chatty = true;
    else {
      std::fprintf(stderr, "usage: sim [--seed N] [--seeds COUNT] [--minutes M] [--verbose] [--stats]\n");
      return 2;
    }
  }
  std::signal(SIGABRT, on_crash);
  std::signal(SIGSEGV, on_crash);
  const auto began = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < count; ++i) {
    if (minutes > 0 && std::chrono::steady_clock::now() - began > std::chrono::duration<double>(minutes * 60))
      break;
    const uint64_t seed = first + i;
    Outcome o = run(seed, verbose);
    if (o.violation.empty() && seed % 10 == 0 && run(seed, false).hash != o.hash)
      o.violation = "two runs of this seed differ";
    g_world = nullptr;
    if (chatty)
      std::printf(
          "seed %llu: %s, %llu events, %llu entries, %llu leaders, %d installs, %d starts from a snapshot, "
          "%d acknowledged, %d refused, settled in %.1f s\n",
          static_cast<unsigned long long>(seed), o.violation.empty() ? "passed" : "FAILED",
          static_cast<unsigned long long>(o.events), static_cast<unsigned long long>(o.entries),
          static_cast<unsigned long long>(o.leaders), o.installs, o.snapshot_starts, o.acknowledged,
          o.refused, o.settle_seconds);
    if (o.violation.empty()) {
      ++g_passed;
      continue;
    }
    ++g_failed;
    std::printf("seed %llu FAILED: %s\n", static_cast<unsigned long long>(seed), o.violation.c_str());
    std::fflush(stdout);
  }
  std::printf("%d passed, %d failed\n", g_passed, g_failed);
  return g_failed ? 1 : 0;
}
