// A manager: the replicated state, and while it leads, the loops that move it. Pure floors decide (swarm/),
// this class feeds them with events and carries their commands through Raft.
//
// Life: start() once, shutdown(), then join(): after it no coroutine of its own and no handler runs. Whoever
// keeps a ManagerPtr beyond that finds its last state, and every write refused. Lives on the loop's thread.
// The dispatcher's sessions and the acknowledgements of endpoint tables are the leader's memory only: a new
// leader learns them anew, steady state writes nothing to the log.
#pragma once
#include <functional>

#include "ports/entropy.h"
#include "ports/loop.h"
#include "ports/transport.h"
#include "raft/replica.h"
#include "store/store.h"
#include "swarm/board.h"
#include "swarm/orchestrator.h"

namespace panal {

/// What an agent says: statuses of its tasks, the tables it has programmed, signs of life.
struct AgentMessage {
  NodeDescription description;
  std::string address, manager_address;
  uint64_t raft_id = 0;
  bool hello = false;
  std::vector<std::pair<std::string, TaskStatus>> statuses;
  uint64_t ack = 0;
};
std::string encode(const AgentMessage& message);
Result<AgentMessage> decode_agent_message(const std::string& bytes);

class Manager final : public raft::StateMachine {
 public:
  struct Parts {
    Loop& loop;
    Entropy& entropy;
    Transport& transport;
    std::shared_ptr<raft::Disk> disk;
    std::function<std::unique_ptr<raft::Core>()> make_core;
    raft::Id raft_id = 0;
    std::string node_id, address;  // "192.0.2.1:2377"
    raft::Retention retention{};
  };
  explicit Manager(Parts parts);
  ~Manager() override;

  enum class Start { kBootstrap, kJoin, kRestart, kForceNew };
  Result<> start(Start how);
  void shutdown();
  Task<void> join();

  const Store& store() const { return store_; }
  bool leads() const { return replica_->ready(); }
  raft::Replica& replica() { return *replica_; }
  std::string leader_address() const;
  raft::Id raft_id() const { return parts_.raft_id; }

  /// Carries a command through Raft, here or at the leader; returns when it is applied here.
  Task<Result<>> propose(Command command);
  /// Returns when every write that was acknowledged before is applied here; fails when there is no leader to
  /// ask.
  Task<Result<>> catch_up();
  /// Waits for the store to change, or for the time to pass.
  Event& changed() { return changed_; }
  /// Leader only: adds, promotes or removes a manager of the Raft group, retrying while another change runs.
  Task<Result<>> change_member(raft::Server server, bool remove);
  /// Leader only: a node takes its place among the managers, or gives it up; first in the tables, then in the
  /// group.
  Task<Result<>> seat(std::string node_id, raft::Server server, bool remove);
  /// Leader only: makes the voter that is furthest lead instead; false when that does not come about soon.
  Task<bool> hand_over();
  /// Whether those who go on managing without this one keep their quorum.
  Result<> may_demote(const Node& node) const;
  /// The other managers, as the Raft group names them.
  std::vector<std::string> other_addresses() const;
  /// Called after each applied command, with what it touched.
  std::function<void(const std::map<Kind, std::set<std::string>>&)> on_applied;
  /// Why nothing can be written, where nothing can.
  std::string no_quorum_reason() const;

  // raft::StateMachine
  Result<> apply(raft::Index index, const std::string& command) override;
  std::string snapshot() override { return store_.snapshot(); }
  Result<> restore(const std::string& data) override { return store_.restore(data); }

 private:
  struct Session {
    std::string node_id;
    RpcStream* stream = nullptr;
    Board::Reader reader;
    uint64_t sent = 0, acked = 0, checked = 0;
    MonoTime last_heard;
    bool ended = false;
    Event wake;
  };
  struct Outbox {
    std::vector<raft::Message> messages;
    bool sending = false;
    std::string address;
  };

  void schedule_tick();
  void send(raft::Message message);
  Task<void> send_loop(raft::Id to);
  Task<Result<std::string>> on_raft(Peer peer, std::string bytes);
  Task<Result<std::string>> on_propose(Peer peer, std::string bytes);
  Task<Result<std::string>> on_index();
  Task<Result<std::string>> on_attach(Peer peer, std::string bytes);
  Task<Result<>> on_session(Peer peer, RpcStream& stream);
  Task<void> session_writer(std::shared_ptr<Session> session);
  Task<Result<>> propose_here(Command command);
  Task<void> lead();
  Command step(WallTime now);
  void note_statuses(Command& command, WallTime now);
  void note_nodes(Command& command, WallTime now);
  void note_draining();
  bool out_of_tables(const ClusterTask& task) const;
  struct MemberChange {
    raft::Server server;
    bool remove = false;
  };
  bool is_member(raft::Id id) const;
  bool silent(raft::Id id) const;
  bool can_spare(raft::Id id) const;
  bool caught_up(const raft::Server& server) const;
  std::optional<MemberChange> next_change() const;
  Task<void> tend_members();

  Parts parts_;
  Store store_;
  Board board_;  // kept while leading_
  std::unique_ptr<raft::Replica> replica_;
  Event changed_, work_;
  std::map<raft::Id, Outbox> outbox_;
  std::map<std::string, std::shared_ptr<Session>> sessions_;
  std::map<std::string, std::map<std::string, TaskStatus>> statuses_;  // node -> task -> latest news
  std::map<std::string, AgentMessage> hellos_;
  std::map<std::string, MonoTime> gone_since_,
      draining_;  // node -> since when it is silent; task -> since when it is out of the tables
  std::map<raft::Id, MonoTime> heard_;  // of the other managers
  struct Progress {
    raft::Index applied = 0;
    raft::Id leader = 0;
    bool ready = false, failed = false, promotable = false;
    bool operator==(const Progress&) const = default;
  } progress_;
  std::optional<TimerId> tick_timer_;
  bool leading_ = false, tending_ = false, stopping_ = false;
  MonoTime lead_since_;
  Scope scope_;
};

using ManagerPtr = std::shared_ptr<Manager>;

}  // namespace panal
