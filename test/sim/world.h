// SimWorld: a whole cluster in one thread. Each node is a machine (clock, disk, containers, address) and,
// while it is up, a process on it: the production Manager and Worker over simulated ports. A crash ends the
// process without notice; what it had not written is gone. The world records what happened and the first
// thing that must not happen; checkers and faults stand apart.
#pragma once
#include <functional>
#include <set>

#include "node/cluster/manager.h"
#include "node/cluster/worker.h"
#include "sim/disk.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/recorded_log.h"

namespace panal::sim {

struct Process {
  Process(class SimWorld& world, struct SimNode& node);

  SimLoop loop;
  SimEntropy entropy;
  SimTransport transport;
  std::shared_ptr<RecordedLog> log;
  FakeExecutor executor;
  ManagerPtr manager;
  std::unique_ptr<Worker> worker;
  Scope scope;  // the workload's requests at this node
  std::optional<NodeRole> wanted_role;
  bool changing_role = false, dying = false;
};

struct SimNode {
  int index = 0;
  std::string node_id, address;  // "10.1.0.1"
  uint64_t raft_id = 0;
  NodeRole role = NodeRole::kWorker;
  Duration wall_offset{};
  std::shared_ptr<SimFiles> files;
  bool loses_power = false;  // when its disk stops
  std::unique_ptr<Machine> machine;
  std::vector<std::pair<std::string, std::string>> managers;  // as the node remembers them: id, address
  std::unique_ptr<Process> process;                           // null while it is down
  int boots = 0;
  bool member = false, joining = false;

  ManagerPtr manager() const { return process ? process->manager : nullptr; }
  std::vector<std::string> manager_addresses() const;
};

struct Shape {
  int managers = 3, workers = 2, spares = 0;  // spares: machines that may join later
  raft::Retention retention{};
};

class SimWorld {
 public:
  SimWorld(uint64_t seed, Shape shape, bool verbose);
  ~SimWorld();

  const uint64_t seed;
  const Shape shape;
  Timeline timeline;
  Duration world_offset{};
  SimLoop loop;  // the world's own events: packets, faults, ends of containers
  Random random;
  SimNetwork network;
  std::vector<std::unique_ptr<SimNode>> nodes;

  /// Brings the cluster up as SwarmNode::init and join do; false when that does not succeed.
  bool bootstrap();
  void run_for(Duration d);
  /// Runs until `done` (looked at every 100 ms); false when `limit` passes first.
  bool run_until(const std::function<bool()>& done, Duration limit);

  enum class Crash { kProcess, kMachine };
  int installs = 0;                 // of snapshots, by managers that had fallen behind
  bool manager_clocks_true = true;  // so far
  WallTime true_time() const { return loop.wall_now(); }
  int snapshot_starts = 0;  // managers that began from a snapshot of their own
  void crash(int node, Crash how);
  /// In the middle of what its disk does then.
  void crash_after(int node, Crash how, uint64_t disk_calls);
  void restart(int node);
  /// A machine that is not part of the cluster becomes one, by way of a manager; a member goes for good.
  void join(SimNode& at, SimNode& node, NodeRole role);
  void leave(SimNode& node, bool unasked = false);
  bool up(int node) const { return nodes[static_cast<size_t>(node)]->process != nullptr; }
  /// The node that leads, if there is one now.
  SimNode* leader();
  SimNode& node(int index) { return *nodes[static_cast<size_t>(index)]; }

  void note(const std::string& text);
  /// Each node in a line, for the end of a failed run's trace.
  std::string describe() const;
  /// The first violation stops the run.
  void violate(const std::string& what);
  const std::string& violation() const { return violation_; }
  uint64_t trace_hash() const { return hash_; }
  const std::deque<std::string>& trace() const { return trace_; }
  double seconds() const { return static_cast<double>(timeline.now.time_since_epoch().count()) / 1e9; }

  /// After each event of a process: the node it happened on.
  std::function<void(SimNode&)> on_event;

 private:
  friend struct Process;
  void start_process(SimNode& node, std::optional<Manager::Start> manager, bool worker);
  void start_worker(SimNode& node);
  void bury(SimNode& node, SimTransport::Death how);
  void forget(SimNode& node);
  Result<> start_manager(SimNode& node, Manager::Start how);
  void serve_members(SimNode& node);
  void follow_wanted_role(SimNode& node);
  Task<void> found(SimNode& node);
  Task<void> admit(SimNode* at, SimNode* node, bool must);
  Task<void> settle_in(SimNode* node, bool must);
  Task<void> take_leave(SimNode* node, bool unasked);
  Task<void> follow_role(SimNode* node, NodeRole role);
  Task<Result<>> ask_leader(SimNode* node, std::string request);
  Task<Result<std::string>> on_member(SimNode* node, Peer peer, std::string bytes);
  Task<Result<std::string>> on_role(SimNode* node, Peer peer);
  void mix(uint64_t value);
  void bury_stopped();

  bool verbose_;
  int admitted_ = 0;
  bool founded_ = false;
  uint64_t hash_ = 1469598103934665603ull;
  std::deque<std::string> trace_;
  std::string violation_;
};

}  // namespace panal::sim
