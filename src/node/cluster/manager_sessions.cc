// The leader's dispatcher: one session per node, assignments out, statuses and acknowledgements in.
#include "model/cluster_json.h"
#include "node/cluster/manager.h"

namespace panal {

struct StatusRow {
  std::string id;
  TaskStatus status;
};
template <class A>
void fields(A& a, StatusRow& r) {
  a("Task", r.id), a("Status", r.status);
}
template <class A>
void fields(A& a, AgentMessage& m) {
  std::vector<StatusRow> rows;
  for (auto& [id, s] : m.statuses) rows.push_back({id, s});
  a.opt("Statuses", rows), a.opt("Ack", m.ack), a.opt("Hello", m.hello);
  if (m.hello)
    a("Description", m.description), a("Address", m.address), a("ManagerAddress", m.manager_address),
        a("RaftID", m.raft_id);
  m.statuses.clear();
  for (auto& r : rows) m.statuses.emplace_back(r.id, r.status);
}
std::string encode(const AgentMessage& m) {
  AgentMessage copy = m;
  return to_text(copy);
}
Result<AgentMessage> decode_agent_message(const std::string& bytes) { return from_text<AgentMessage>(bytes); }

Task<Result<>> Manager::on_session(Peer peer, RpcStream& stream) {
  if (!replica_->ready() || stopping_)
    co_return fail(Code::kUnavailable, "not the leader: " + leader_address());
  if (!store_.node(peer.node_id))
    co_return fail(Code::kForbidden, "node " + peer.node_id + " is not part of this swarm");
  CO_TRY(auto first, co_await stream.read());
  if (!first) co_return fail(Code::kInvalid, "a session without a greeting");
  CO_TRY(auto hello, decode_agent_message(*first));
  if (!replica_->ready() || stopping_)
    co_return fail(Code::kUnavailable,
                   "not the leader: " + leader_address());  // lost while the greeting was on its way
  auto session = std::make_shared<Session>();
  session->node_id = session->reader.node_id = peer.node_id, session->stream = &stream,
  session->last_heard = parts_.loop.now();
  if (auto old = sessions_.find(peer.node_id); old != sessions_.end())
    old->second->ended = true, old->second->stream->cancel(), old->second->wake.notify(parts_.loop);
  sessions_[peer.node_id] = session;
  hellos_[peer.node_id] = hello;
  work_.notify(parts_.loop);
  Scope scope;
  scope.spawn(session_writer(session));
  for (;;) {
    auto message = co_await stream.read();
    if (!message || !*message) break;
    auto parsed = decode_agent_message(**message);
    if (!parsed) break;
    session->last_heard = parts_.loop.now();
    if (parsed->ack > session->acked) session->acked = parsed->ack;
    for (auto& [id, status] : parsed->statuses) {
      auto& known = statuses_[peer.node_id];
      if (known.size() < 100'000) known[id] = std::move(status);
    }
    if (!parsed->statuses.empty() || parsed->ack) work_.notify(parts_.loop);
  }
  session->ended = true;
  session->wake.notify(parts_.loop);
  co_await scope.join();
  if (auto it = sessions_.find(peer.node_id); it != sessions_.end() && it->second == session)
    sessions_.erase(it);
  work_.notify(parts_.loop);
  co_return Result<>{};
}

Task<void> Manager::session_writer(std::shared_ptr<Session> s) {
  while (!s->ended && !stopping_) {
    if (!replica_->ready()) co_return s->stream->cancel();
    if (s->checked < store_.index || s->sent == 0) {
      const uint64_t index = s->checked = store_.index;
      if (auto news = board_.news(s->reader, index)) {
        s->sent = index;
        if (auto sent = co_await s->stream->write(std::move(*news)); !sent) co_return s->stream->cancel();
        continue;
      }
      work_.notify(parts_.loop);
      continue;
    }
    const bool woken = co_await s->wake.wait(parts_.loop, 2s);
    if (!woken &&
        !s->ended)  // a sign of life: a worker whose leader vanished without a word looks for another
      if (auto sent = co_await s->stream->write(std::string()); !sent) co_return s->stream->cancel();
  }
}

}  // namespace panal
