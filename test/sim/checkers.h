// What must hold, apart from what is done to the cluster. RaftChecker watches every manager's log after each
// of its events and keeps the one history they all must follow; TableChecker applies that history to a store
// of its own and judges each step; SettledChecker says what is still missing once faults have stopped.
#pragma once
#include <unordered_map>

#include "sim/world.h"

namespace panal::sim {

/// Judges every write of the history on its own copy of the tables.
class TableChecker {
 public:
  explicit TableChecker(SimWorld& world) : world_(world) {}
  /// False when the write was refused, as it must then be on every manager.
  bool apply(raft::Index index, const std::string& bytes);
  const Store& store() const { return store_; }

 private:
  void task_step(const ClusterTask& old, const ClusterTask& next, WallTime written);
  void after(const Command& command);
  void fresh_task(const ClusterTask& task);
  void drained(const ClusterTask& old, const ClusterTask& next);
  void paced(const ClusterTask& old, const ClusterTask& next, WallTime written);
  void addresses();

  SimWorld& world_;
  Store store_;
  std::map<std::string, uint64_t>
      fit_since_;                         // node -> index of the write that made it active or ready again
  std::set<std::string> known_, buried_;  // ids of tasks that were ever made, and removed
  std::map<std::string, MonoTime> left_;  // task -> when it left the endpoint tables
};

class RaftChecker {
 public:
  explicit RaftChecker(SimWorld& world) : world_(world), tables_(world) {}

  /// After each event of a node.
  void look(SimNode& node);
  /// A write was acknowledged by this node, which had applied so much then.
  void acknowledged(SimNode& node, const Command& command, raft::Index applied);
  /// All pairs (index, term) in memory, and equal tables at an equal index.
  void compare_logs();
  void compare_tables();

  const TableChecker& tables() const { return tables_; }
  raft::Index last() const { return history_.size(); }
  size_t leaders() const { return leaders_.size(); }

 private:
  struct Committed {
    raft::Term term;
    uint64_t hash;
    raft::EntryType type;
  };
  void follow(SimNode& node, const raft::Replica& replica);
  void observe(SimNode& node, raft::Index index, const raft::Entry& entry);

  SimWorld& world_;
  TableChecker tables_;
  std::vector<Committed> history_;            // [i]: index i + 1
  std::map<uint64_t, raft::Index> accepted_;  // hash of a command that changed the tables -> where
  std::map<raft::Term, raft::Id> leaders_;
  std::map<std::pair<raft::Index, raft::Term>, uint64_t> entries_;
  struct Seen {
    int boot = 0;
    raft::Id id = 0;
    raft::Index upto = 0, base = 0;  // how far its log was compared, and where it began when last looked at
  };
  std::map<int, Seen> seen_;  // by node
  struct Ack {
    int node;
    uint64_t hash, index;
    std::string text;
  };
  std::vector<Ack> acks_;
};

class SettledChecker {
 public:
  SettledChecker(SimWorld& world, const RaftChecker& raft) : world_(world), raft_(raft) {}
  /// Why the cluster has not settled; empty when it has. To be asked again and again: what was true a second
  /// ago must be known to all.
  std::string lacks();

 private:
  std::string managers_differ();
  std::string members_differ();

  SimWorld& world_;
  const RaftChecker& raft_;
  std::deque<std::pair<MonoTime, uint64_t>> was_;  // the history's index over the last second
};
/// Nodes, services and tasks as the history has them, and the containers: for the end of a failed run's
/// trace.
std::string describe(SimWorld& world, const Store& store);

}  // namespace panal::sim
