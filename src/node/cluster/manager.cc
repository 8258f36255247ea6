#include "node/cluster/manager.h"

#include "base/log.h"
#include "node/networks/attachments.h"
#include "raft/codec.h"
#include "swarm/update.h"

namespace panal {

static constexpr Duration kNodeGrace = 5s, kLeaderGrace = 15s, kSilence = 15s, kDrainLimit = 5s;
static constexpr const char *kRaftMethod = "/panal.Raft/Send", *kProposeMethod = "/panal.Manager/Propose",
                            *kIndexMethod = "/panal.Manager/Index",
                            *kSessionMethod = "/panal.Dispatcher/Session";

static uint64_t ms(MonoTime t) { return static_cast<uint64_t>(t.time_since_epoch() / 1ms); }

Manager::Manager(Parts parts) : parts_(std::move(parts)) {
  replica_ = std::make_unique<raft::Replica>(
      parts_.make_core(), parts_.raft_id, *parts_.disk, *this,
      [this](raft::Message m) { send(std::move(m)); }, parts_.retention);
  replica_->on_progress = [this] {
    schedule_tick();
    const Progress now{replica_->applied(), replica_->leader_id(), replica_->ready(), replica_->failed(),
                       std::ranges::any_of(replica_->configuration(),
                                           [this](const raft::Server& s) { return caught_up(s); })};
    if (std::exchange(progress_, now) == now) return;  // a heartbeat
    changed_.notify(parts_.loop);
    if (replica_->ready() && !leading_ && !stopping_) {
      leading_ = true;
      scope_.spawn(lead());
    }
    work_.notify(parts_.loop);
  };
}
Manager::~Manager() = default;

Result<> Manager::start(Start how) {
  const uint64_t now = ms(parts_.loop.now());
  raft::Configuration first;
  if (how == Start::kBootstrap) first = {{parts_.raft_id, parts_.address, raft::Role::kVoter}};
  if (auto started =
          how == Start::kForceNew ? replica_->start_alone(now, parts_.address) : replica_->start(now, first);
      !started) {
    shutdown();
    return started;
  }
  parts_.transport.serve(kRaftMethod, {"manager"},
                         [this](Peer p, std::string b) { return on_raft(std::move(p), std::move(b)); });
  parts_.transport.serve(kProposeMethod, {"manager"},
                         [this](Peer p, std::string b) { return on_propose(std::move(p), std::move(b)); });
  parts_.transport.serve(kIndexMethod, {"manager"}, [this](Peer, std::string) { return on_index(); });
  parts_.transport.serve(kAttachMethod, {"manager", "worker"},
                         [this](Peer p, std::string b) { return on_attach(std::move(p), std::move(b)); });
  parts_.transport.serve_stream(kSessionMethod, {"manager", "worker"},
                                [this](Peer p, RpcStream& s) { return on_session(std::move(p), s); });
  return {};
}

void Manager::shutdown() {
  stopping_ = true;
  if (tick_timer_) parts_.loop.cancel(*std::exchange(tick_timer_, std::nullopt));
  for (auto& [id, s] : sessions_) s->stream->cancel(), s->ended = true, s->wake.notify(parts_.loop);
  replica_->stop();
  changed_.notify(parts_.loop);
  work_.notify(parts_.loop);
}
Task<void> Manager::join() {
  for (const char* method : {kRaftMethod, kProposeMethod, kIndexMethod, kAttachMethod, kSessionMethod})
    co_await parts_.transport.unserve(method);
  co_await scope_.join();
}

void Manager::schedule_tick() {
  if (stopping_) return;
  if (tick_timer_) parts_.loop.cancel(*tick_timer_);
  const uint64_t now = ms(parts_.loop.now()), due = replica_->next_tick_ms(now);
  tick_timer_ = parts_.loop.call_after(std::chrono::milliseconds(due - now), [this] {
    tick_timer_.reset();
    replica_->tick(ms(parts_.loop.now()));
    schedule_tick();
  });
}

Result<> Manager::apply(raft::Index index, const std::string& bytes) {
  TRY(const Command command, decode_command(bytes));
  auto applied = store_.apply(index, command);
  auto touched = std::exchange(store_.touched, {});
  if (leading_) board_.update(store_, touched);
  if (applied && on_applied) on_applied(touched);
  return applied;
}

// ---- messages to other managers: one call at a time per peer, what gathers meanwhile goes together; a peer
// that does not answer loses them

void Manager::send(raft::Message message) {
  auto& box = outbox_[message.to];
  if (!message.address.empty()) box.address = message.address;
  if (box.messages.size() >= 256) box.messages.erase(box.messages.begin(), box.messages.begin() + 128);
  const raft::Id to = message.to;
  box.messages.push_back(std::move(message));
  if (!box.sending && !stopping_) {
    box.sending = true;
    scope_.spawn(send_loop(to));
  }
}

Task<void> Manager::send_loop(raft::Id to) {
  co_await parts_.loop.yield();
  while (!stopping_ && !outbox_[to].messages.empty()) {
    const auto batch = std::exchange(outbox_[to].messages, {});
    const std::string address = outbox_[to].address;
    auto sent = co_await parts_.transport.call(address, kRaftMethod, raft::encode_batch(batch), 5s);
    if (!sent) {
      outbox_[to].messages.clear();
      co_await parts_.loop.sleep(50ms);
    }
  }
  outbox_[to].sending = false;
}

Task<Result<std::string>> Manager::on_raft(Peer peer, std::string bytes) {
  CO_TRY(const auto messages, raft::decode_batch(bytes));
  for (const auto& given : messages) {
    raft::Message m = given;
    if (m.to != parts_.raft_id) continue;
    heard_[m.from] = parts_.loop.now();
    m.address = peer.address + ":2377";  // until the configuration tells it: the management port is fixed
    for (const auto& s : replica_->configuration())
      if (s.id == m.from) m.address = s.address;
    replica_->receive(ms(parts_.loop.now()), m);
    schedule_tick();
  }
  co_return std::string();
}

// ---- writes

std::string Manager::leader_address() const {
  const raft::Id id = replica_->leader_id();
  for (const auto& [node_id, n] : store_.nodes)
    if (id != 0 && n.raft_id == id) return n.manager_address;
  for (const auto& s : replica_->configuration())
    if (id != 0 && s.id == id) return s.address;
  auto box = outbox_.find(id);
  return box == outbox_.end() ? "" : box->second.address;
}

std::string Manager::no_quorum_reason() const {
  if (replica_->failed()) return "the replicated log of this manager has stopped: " + replica_->failure();
  return "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few "
         "managers are online. Make sure more than half of the managers are online.";
}

Task<Result<>> Manager::propose_here(Command command) {
  struct State {
    Event done;
    std::optional<Result<raft::Index>> result;
  };
  auto state = std::make_shared<State>();
  Loop& loop = parts_.loop;
  replica_->propose(ms(loop.now()), encode(command), [state, &loop](Result<raft::Index> r) {
    state->result = std::move(r);
    state->done.notify(loop);
  });
  const MonoTime deadline = loop.now() + 20s;
  while (!state->result) {
    if (loop.now() >= deadline || stopping_) co_return fail(Code::kUnavailable, no_quorum_reason());
    (void)co_await state->done.wait(loop, deadline - loop.now());
  }
  if (*state->result) co_return Result<>{};
  Error& error = state->result->error();
  if (error.message == raft::kLostWrite && replica_->leader_id() == 0)
    error.message = no_quorum_reason() + " The request may or may not have taken effect.";
  co_return std::unexpected(std::move(error));
}

Task<Result<>> Manager::propose(Command command) {
  if (command.empty()) co_return Result<>{};
  const MonoTime deadline = parts_.loop.now() + 15s;
  for (;;) {
    if (stopping_) co_return fail(Code::kUnavailable, "this node is leaving the swarm");
    if (replica_->leader()) co_return co_await propose_here(std::move(command));
    const std::string leader = leader_address();
    if (!leader.empty()) {
      auto reply = co_await parts_.transport.call(leader, kProposeMethod, encode(command), 10s);
      if (reply) {
        const uint64_t index = std::strtoull(reply->c_str(), nullptr, 10);
        while (store_.index < index && parts_.loop.now() < deadline && !stopping_)
          (void)co_await changed_.wait(parts_.loop, 500ms);
        if (store_.index < index)
          co_return fail(
              Code::kTimeout,
              "the leader of the swarm has written the change, but it has not reached this manager in time");
        co_return Result<>{};
      }
      // Only a refusal before anything was written may be tried again; the rest is the caller's to know.
      if (reply.error().code != Code::kUnavailable ||
          reply.error().message.find("not the leader") == std::string::npos) {
        if (reply.error().message.find("dial tcp") == std::string::npos)
          co_return std::unexpected(reply.error());
      }
    }
    if (parts_.loop.now() >= deadline) co_return fail(Code::kUnavailable, no_quorum_reason());
    (void)co_await changed_.wait(parts_.loop, 300ms);
  }
}

Task<Result<std::string>> Manager::on_propose(Peer, std::string bytes) {
  if (!replica_->leader()) co_return fail(Code::kUnavailable, "not the leader");
  CO_TRY(Command command, decode_command(bytes));
  CO_TRYV(co_await propose_here(std::move(command)));
  co_return std::to_string(store_.index);
}

Task<Result<std::string>> Manager::on_index() {
  if (!replica_->ready()) co_return fail(Code::kUnavailable, "not the leader");
  co_return std::to_string(store_.index);
}

// A leader answers from its own store: for the length of an election timeout a deposed one may do so too, as
// SwarmKit's.
Task<Result<>> Manager::catch_up() {
  const MonoTime deadline = parts_.loop.now() + 5s;
  while (!stopping_) {
    if (replica_->ready()) co_return Result<>{};
    if (const std::string leader = leader_address(); !leader.empty() && !replica_->leader()) {
      if (auto reply = co_await parts_.transport.call(leader, kIndexMethod, "", 2s)) {
        const uint64_t index = std::strtoull(reply->c_str(), nullptr, 10);
        while (store_.index < index && parts_.loop.now() < deadline && !stopping_)
          (void)co_await changed_.wait(parts_.loop, 500ms);
        if (store_.index >= index) co_return Result<>{};
      }
    }
    if (parts_.loop.now() >= deadline) break;
    (void)co_await changed_.wait(parts_.loop, 100ms);
  }
  co_return fail(Code::kUnavailable, no_quorum_reason());
}

// ---- the leader's loop

// In this leader's memory, by its monotonic clock: no step of a wall clock makes a task stop early, or keeps
// it.
void Manager::note_draining() {
  const auto known = std::exchange(draining_, {});
  for (const auto& [id, t] : store_.tasks) {
    if (t.serving || t.desired > TaskState::kRunning) continue;
    auto it = known.find(id);
    draining_[id] = it == known.end() ? parts_.loop.now() : it->second;
  }
}

bool Manager::out_of_tables(const ClusterTask& task) const {
  if (auto since = draining_.find(task.meta.id);
      since != draining_.end() && parts_.loop.now() - since->second >= kDrainLimit)
    return true;
  // Tables without the task are those made from an index at or past the write that took it out.
  for (const auto& [id, n] : store_.nodes) {
    if (n.state != NodeState::kReady) continue;
    auto it = sessions_.find(id);
    if (it == sessions_.end()) return false;  // its kernel goes on with the tables it had
    const Session& s = *it->second;
    if (s.checked < task.meta.version || s.acked < s.sent) return false;
  }
  return true;
}

// The time of a status is when the leader heard of it: restarts and updates wait by it, and a worker's clock
// may be hours off.
void Manager::note_statuses(Command& command, WallTime now) {
  for (auto& [node_id, news] : std::exchange(statuses_, {}))
    for (auto& [task_id, status] : news) {
      const ClusterTask* t = store_.task(task_id);
      if (!t) continue;
      status.time = t->status.time;
      if (t->node_id != node_id || terminal(t->status.state) || status.state < t->status.state ||
          status == t->status)
        continue;  // a state never moves back
      ClusterTask next = *t;
      note_status(next, std::move(status), now);
      command.put(Kind::kTask, next);
    }
}

void Manager::note_nodes(Command& command, WallTime) {
  const MonoTime now = parts_.loop.now();
  for (const auto& [id, n] : store_.nodes) {
    auto session = sessions_.find(id);
    const bool here = session != sessions_.end() && now - session->second->last_heard < kSilence;
    Node next = n;
    if (here) {
      gone_since_.erase(id);
      next.state = NodeState::kReady, next.message.clear();
      if (auto hello = hellos_.find(id); hello != hellos_.end()) {
        next.description = hello->second.description;
        if (!hello->second.address.empty()) next.address = hello->second.address;
        if (hello->second.raft_id != 0 && hello->second.raft_id == next.raft_id)
          next.manager_address = hello->second.manager_address;
        hellos_.erase(hello);
      }
    } else {
      const auto [it, fresh] = gone_since_.try_emplace(id, now);
      if (now - it->second >= kNodeGrace && now - lead_since_ >= kLeaderGrace && n.state != NodeState::kDown)
        next.state = NodeState::kDown, next.message = "heartbeat failure";
    }
    if (n.spec.role == NodeRole::kWorker && n.raft_id != 0 && !is_member(n.raft_id))
      next.raft_id = 0, next.manager_address.clear();  // demoted, and could not say so itself
    if (n.raft_id != 0) {  // a follower answers every heartbeat; who was silent when this manager was elected
                           // is gone until it speaks
      const Duration silence = now - heard_[n.raft_id];
      next.reachable =
          n.raft_id == parts_.raft_id || silence < 1s || (silence < 3s && heard_[n.raft_id] >= lead_since_);
    }
    if (next.state != n.state || next.reachable != n.reachable || next.message != n.message ||
        !(next.description == n.description) || next.address != n.address ||
        next.manager_address != n.manager_address || next.raft_id != n.raft_id)
      command.put(Kind::kNode, next);
  }
}

Command Manager::step(WallTime now) {
  Command command;
  command.time = now;
  note_statuses(command, now);
  note_nodes(command, now);
  if (!command.empty()) return command;  // news first: what follows from them is decided on the next turn
  note_draining();
  const Situation situation{[this](const ClusterTask& t) { return out_of_tables(t); }};
  return reconcile(store_, now, parts_.entropy, situation);
}

Task<void> Manager::lead() {
  lead_since_ = parts_.loop.now();
  gone_since_.clear(), draining_.clear();
  board_.rebuild(store_);
  log::info("msg=\"leading the swarm\" node={} term={}", parts_.node_id, replica_->term());
  while (replica_->ready() && !stopping_) {
    const WallTime now = parts_.loop.wall_now();
    const auto news = statuses_;
    const auto greetings = hellos_;
    Command command = step(now);
    if (!command.empty()) {
      command.base_index = store_.index;
      auto done = co_await propose_here(std::move(command));
      if (!done) {  // what was heard is not lost with the plan
        for (const auto& [node, statuses] : news)
          for (const auto& [task, status] : statuses) statuses_[node].try_emplace(task, status);
        for (const auto& [node, hello] : greetings) hellos_.try_emplace(node, hello);
        if (done.error().code == Code::kConflict) continue;
        log::warn("msg=\"leader's write failed\" error=\"{}\"", done.error().message);
        co_await parts_.loop.sleep(100ms);
      }
      for (auto& [id, s] : sessions_) s->wake.notify(parts_.loop);
      continue;
    }
    for (auto& [id, s] : sessions_) s->wake.notify(parts_.loop);
    scope_.spawn(tend_members());
    std::optional<Duration> left = 2s;
    if (auto due = next_deadline(store_, now))
      left = std::min<Duration>(*left, std::max<Duration>(*due - now, 10ms));
    for (const auto& [id, since] : gone_since_)
      if (const Duration due = std::max(since + kNodeGrace, lead_since_ + kLeaderGrace) - parts_.loop.now();
          due > 0s)
        left = std::min(*left, due);
    (void)co_await work_.wait(parts_.loop, left);
    co_await parts_.loop.sleep(10ms);  // news come in flocks
  }
  leading_ = false;
  for (auto& [id, s] : sessions_) s->stream->cancel();
  log::info("msg=\"no longer leading\" node={}", parts_.node_id);
}

}  // namespace panal
