// One replica of the replicated log: drives a Core, keeps the log's tail in memory, writes through RaftDisk,
// speaks through a send function, applies committed commands in order. Pure but for these ports: the daemon
// and the simulator run the same.
//
// Life: start() once; then receive(), tick() when due, propose(). The owner calls nothing from inside a
// callback. Invariant: what is acknowledged to a proposer has been applied here and is durable on a majority.
#pragma once
#include <deque>
#include <functional>
#include <map>

#include "raft/core.h"

namespace panal::raft {

struct Persistent {
  Term term = 0;
  Id vote = 0;
  std::optional<Snapshot> snapshot;
  Index log_start = 1;
  std::vector<Entry> entries;
};

/// Stable storage of one replica. append() is asynchronous and in order; everything else is durable on
/// return.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<Persistent> load() = 0;
  virtual Result<> save_vote(Term term, Id vote) = 0;
  /// Cuts the log before `from`, then appends. `done` once durable, in order; kNow: before this returns. A
  /// failure ends the replica.
  enum class When { kLater, kNow };
  virtual void append(Index from, std::vector<Entry> entries, When when,
                      std::function<void(Result<>)> done) = 0;
  /// Replaces the snapshot. With `reset` the whole log goes too, to start after it.
  virtual Result<> save_snapshot(const Snapshot& snapshot, bool reset) = 0;
  /// Entries up to `index` are no longer needed.
  virtual void drop_prefix(Index index) = 0;
};

class StateMachine {
 public:
  virtual ~StateMachine() = default;
  /// Deterministic. Returns what the proposer is told.
  virtual Result<> apply(Index index, const std::string& command) = 0;
  virtual std::string snapshot() = 0;
  virtual Result<> restore(const std::string& data) = 0;
};

/// A snapshot after so many applied entries; the last `trailing` before it stay in the log, for managers that
/// lag a little.
struct Retention {
  uint32_t snapshot_every = 4096, trailing = 1024;
};

constexpr const char* kLostWrite =
    "the leader of the swarm changed: the request may or may not have taken effect";

class Replica {
 public:
  static constexpr size_t kMaxPending = 4096;
  static constexpr size_t kMaxMessageBytes = 1 << 20;

  Replica(std::unique_ptr<Core> core, Id id, Disk& disk, StateMachine& machine,
          std::function<void(Message)> send, Retention retention = {});

  /// `bootstrap`: the first configuration of a new cluster; empty for a node that joins or restarts.
  Result<> start(uint64_t now_ms, const Configuration& bootstrap);
  /// Starts as the only voter of a new configuration, with all the log holds (swarm init
  /// --force-new-cluster).
  Result<> start_alone(uint64_t now_ms, const std::string& address);
  void receive(uint64_t now_ms, const Message& message);
  void tick(uint64_t now_ms);
  uint64_t next_tick_ms(uint64_t now_ms) const;
  /// For good: whoever waits is told, nothing is written, sent or applied any more.
  void stop();

  using Done = std::function<void(Result<Index>)>;
  void propose(uint64_t now_ms, std::string command, Done done);
  /// Changes one server: added (as standby), promoted, or removed.
  void change(uint64_t now_ms, Server server, bool remove, Done done);
  /// After this every write acknowledged before is applied here.
  void barrier(uint64_t now_ms, Done done);
  void transfer(uint64_t now_ms, Id to);

  bool leader() const { return !failed_ && core_->state() == State::kLeader; }
  /// Leader, and everything of earlier terms is applied: only now may its loops decide.
  bool ready() const { return leader() && ready_term_ == core_->term(); }
  Id leader_id() const { return failed_ ? 0 : core_->leader(); }
  State state() const { return core_->state(); }
  Term term() const { return core_->term(); }
  Index applied() const { return applied_; }
  Index commit_index() const { return core_->commit_index(); }
  Index last_index() const { return core_->last_index(); }
  const Configuration& configuration() const { return configuration_; }
  std::optional<Index> match_index(Id id) const { return core_->match_index(id); }
  bool failed() const { return failed_; }
  const std::string& failure() const { return failure_; }
  /// Called after each event, heartbeats too.
  std::function<void()> on_progress;
  /// Entry at `index` while it is in memory: for checkers.
  const Entry* entry(Index index) const;

 private:
  struct Pending {
    Term term;
    Done done;
  };
  void run(uint64_t now_ms, const std::function<Result<>(Effects&)>& event);
  void consume(uint64_t now_ms, Effects& effects);
  void send_append(Message message, uint32_t count);
  void apply_committed(uint64_t now_ms);
  void finish(Index index, Term term, Result<> result);
  void lose_pending();
  void fail_stop(std::string why);
  void take_snapshot(uint64_t now_ms);
  void install(uint64_t now_ms, Snapshot snapshot);

  std::unique_ptr<Core> core_;
  Id id_;
  Disk& disk_;
  StateMachine& machine_;
  std::function<void(Message)> send_;
  const Retention retention_;
  std::deque<Entry> log_;  // log_[0] has index log_start_
  Index log_start_ = 1, applied_ = 0, durable_ = 0;
  uint64_t epoch_ = 0;  // counts installs: completions of older appends are void
  std::optional<Snapshot> snapshot_;
  Configuration configuration_;  // as of applied_
  Index configuration_index_ = 0;
  std::map<Index, Pending> pending_;
  Term ready_term_ = 0, barrier_term_ = 0;
  uint64_t now_ms_ = 0, next_leader_tick_ms_ = 0;
  bool busy_ = false, failed_ = false;
  std::deque<std::function<Result<>(Effects&)>> queue_;
  std::string failure_;
};

}  // namespace panal::raft
