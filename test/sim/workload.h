// What users do to the cluster, and what happens to it: requests at random managers, and faults. Both stop on
// command.
#pragma once
#include "sim/checkers.h"

namespace panal::sim {

/// Services come, change and go, as api/cluster/services.cc writes them.
class Workload {
 public:
  Workload(SimWorld& world, RaftChecker& raft);
  void begin();
  void stop() { on_ = false; }
  /// Once faults have stopped: makes every node active again. True when nothing is left to ask for.
  bool repair();
  int asked = 0, acknowledged = 0, refused = 0;
  bool membership = false;  // nodes join, leave, are promoted and demoted

 private:
  void next();
  void act(SimNode& at);
  std::optional<Command> create(SimNode& at);
  std::optional<Command> change(SimNode& at);
  std::optional<Command> change_node(SimNode& at);
  std::optional<Command> create_network(SimNode& at);
  std::optional<Command> change_members(SimNode& at);
  std::optional<Change> bury(const Node& node);
  ServiceSpec random_spec(const Store& store);
  void submit(SimNode& at, Command command, std::string what);
  Task<void> carry(SimNode* at, Command command, std::string what);

  SimWorld& world_;
  RaftChecker& raft_;
  Random random_;
  bool on_ = false, repairing_ = false;
  int names_ = 0;
};

struct FaultPlan {
  bool crashes = false, partitions = false, loss = false, clocks = false, skew = false, stalls = false,
       disks = false, errors = false, membership = false, trouble = false;
  Duration pause = 4s;  // between faults, on average
  static FaultPlan draw(Random& random);
  std::string text() const;
};

class Faults {
 public:
  Faults(SimWorld& world, FaultPlan plan);
  void begin();
  /// The manager that was kept away is back. Asked before heal(), so that every run installs a snapshot.
  bool lagged() const { return lagged_; }
  /// Everything works again from here on; one manager starts anew from its snapshot.
  void heal();

 private:
  void next();
  void strike();
  void crash();
  void lag();
  void disk_error();
  void await_compaction(int victim, raft::Index had);
  void partition();
  Duration hours_off();
  void step_clock(SimNode& node, Duration by);
  void step_any_clock();
  void stall();

  SimWorld& world_;
  const FaultPlan plan_;
  Random random_;
  bool on_ = false, lagged_ = false;
};

}  // namespace panal::sim
