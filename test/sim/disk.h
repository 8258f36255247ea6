// A raft log on a virtual disk. What was appended counts once synced; a crash keeps any prefix of the records still on their way (the
// torn rest is what sys/disk cuts off at load). Votes and snapshots are durable on return.
#pragma once
#include "raft/replica.h"
#include "sim/random.h"
#include "sim/timeline.h"

namespace panal::sim {

/// What survives.
struct Platter {
  raft::Persistent state;
  Duration slowest = 3ms;
  int installs = 0;
  void write(raft::Index index, const raft::Entry& entry);
};

class SimDisk final : public raft::Disk {
 public:
  SimDisk(SimLoop& loop, Platter& platter, Random random) : loop_(loop), platter_(platter), random_(random) {}

  Result<raft::Persistent> load() override { return platter_.state; }
  Result<> save_vote(raft::Term term, raft::Id vote) override;
  void append(raft::Index from, std::vector<raft::Entry> entries, When when, std::function<void(Result<>)> done) override;
  Result<> save_snapshot(const raft::Snapshot& snapshot, bool reset) override;
  void drop_prefix(raft::Index index) override;

  /// The machine is off: a random prefix of what was on its way is on the platter. Later writes go nowhere.
  void die();
  /// From now on writes fail, as on a full or broken disk.
  void break_down() { broken_ = true; }

 private:
  struct Write {
    raft::Index from;
    std::vector<raft::Entry> entries;
    std::function<void(Result<>)> done;
  };
  void flush();
  void commit(std::vector<Write>& batch);

  SimLoop& loop_;
  Platter& platter_;
  Random random_;
  std::vector<Write> waiting_;
  std::shared_ptr<std::vector<Write>> in_flight_;
  uint64_t epoch_ = 0;
  bool dead_ = false, broken_ = false;
};

}  // namespace panal::sim
