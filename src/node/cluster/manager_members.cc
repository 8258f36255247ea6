// Who manages: the Raft group follows the tables. A node with the role of a manager that names its place in
// the group (raft_id) belongs into it, as a standby until its log has caught up, then with a vote. A place
// that no such node names goes, also when its node is dead.
#include <algorithm>

#include "node/cluster/manager.h"

namespace panal {

static uint64_t ms(MonoTime t) { return static_cast<uint64_t>(t.time_since_epoch() / 1ms); }

Task<Result<>> Manager::change_member(raft::Server server, bool remove) {
  Loop& loop = parts_.loop;
  const MonoTime deadline = loop.now() + 30s;
  for (;;) {
    struct State {
      Event done;
      std::optional<Result<raft::Index>> result;
    };
    auto state = std::make_shared<State>();
    replica_->change(ms(loop.now()), server, remove, [state, &loop](Result<raft::Index> r) {
      state->result = std::move(r);
      state->done.notify(loop);
    });
    while (!state->result && loop.now() < deadline && !stopping_) (void)co_await state->done.wait(loop, 1s);
    if (!state->result) co_return fail(Code::kTimeout, "the change of managers was not confirmed in time");
    if (*state->result) co_return Result<>{};
    if (state->result->error().code != Code::kConflict || loop.now() >= deadline)
      co_return std::unexpected(state->result->error());
    co_await loop.sleep(200ms);
  }
}

Task<bool> Manager::hand_over() {
  raft::Id heir = 0;
  raft::Index furthest = 0;
  for (const auto& s : replica_->configuration())
    if (const auto match = replica_->match_index(s.id); s.id != parts_.raft_id &&
                                                        s.role == raft::Role::kVoter && match &&
                                                        *match >= furthest && !silent(s.id))
      heir = s.id, furthest = *match;
  if (heir == 0) co_return false;
  replica_->transfer(ms(parts_.loop.now()), heir);
  const MonoTime deadline = parts_.loop.now() + 2s;
  while (replica_->leader() && parts_.loop.now() < deadline) (void)co_await changed_.wait(parts_.loop, 100ms);
  co_return !replica_->leader();
}

Task<Result<>> Manager::seat(std::string node_id, raft::Server server, bool remove) {
  if (remove && !can_spare(server.id))
    co_return fail(Code::kUnavailable,
                   "raft: member cannot be removed, because removing it may result in loss of quorum");
  // A leader that is to go lets another one do it. Of two voters the other one would be alone, and who is
  // alone leads without a new term: two leaders could share one.
  if (remove && server.id == parts_.raft_id) {
    (void)co_await hand_over();
    co_return fail(Code::kUnavailable, "not the leader: " + leader_address());
  }
  for (int tries = 0;; ++tries) {
    const Node* found = store_.node(node_id);
    if (!found) co_return fail(Code::kForbidden, "node " + node_id + " is not part of this swarm");
    Node n = *found;
    if (!remove && n.spec.role != NodeRole::kManager)
      co_return fail(Code::kConflict, "node " + node_id + " is not a manager");
    if (!remove)
      n.raft_id = server.id, n.manager_address = server.address;
    else if (n.raft_id == server.id)
      n.raft_id = 0, n.manager_address.clear();
    if (n.raft_id == found->raft_id && n.manager_address == found->manager_address) break;
    Command command;
    command.time = parts_.loop.wall_now();
    command.put(Kind::kNode, std::move(n), found->meta.version);
    if (auto done = co_await propose_here(std::move(command));
        !done && (done.error().code != Code::kInvalid || tries == 10))
      co_return std::unexpected(done.error());
  }
  co_return co_await change_member(std::move(server), remove);
}

// Who left is a manager by its role until its user says otherwise, but names no place in the group any more.
Result<> Manager::may_demote(const Node& node) const {
  size_t managers = 0, members = 0, reachable = 0;
  for (const auto& [id, n] : store_.nodes) {
    if (n.spec.role != NodeRole::kManager) continue;
    ++managers;
    if (n.raft_id != 0) ++members, reachable += n.state == NodeState::kReady && id != node.meta.id;
  }
  if (managers <= 1)
    return fail(
        Code::kInvalid,
        "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm");
  if (node.raft_id != 0 && reachable < (members - 1) / 2 + 1)
    return fail(Code::kInvalid,
                "rpc error: code = FailedPrecondition desc = can't remove member from the raft: this would "
                "result in a loss of quorum");
  return {};
}

std::vector<std::string> Manager::other_addresses() const {
  std::vector<std::string> out;
  for (const auto& s : replica_->configuration())
    if (s.id != parts_.raft_id) out.push_back(s.address);
  return out;
}

bool Manager::is_member(raft::Id id) const {
  return std::ranges::any_of(replica_->configuration(), [&](const raft::Server& s) { return s.id == id; });
}

bool Manager::silent(raft::Id id) const {
  const auto heard = heard_.find(id);
  return id != parts_.raft_id && (heard == heard_.end() || parts_.loop.now() - heard->second >= 3s);
}

// Of the voters that would be left, a majority is heard from.
bool Manager::can_spare(raft::Id id) const {
  size_t left = 0, here = 0;
  bool votes = false;
  for (const auto& s : replica_->configuration()) {
    if (s.role != raft::Role::kVoter) continue;
    if (s.id == id)
      votes = true;
    else
      ++left, here += !silent(s.id);
  }
  return !votes || here > left / 2;
}

bool Manager::caught_up(const raft::Server& server) const {
  const auto match = replica_->match_index(server.id);
  return server.role == raft::Role::kStandby && match && *match + 8 >= replica_->last_index();
}

std::optional<Manager::MemberChange> Manager::next_change() const {
  const auto named = [&](raft::Id id) {
    return std::ranges::any_of(store_.nodes, [&](const auto& n) {
      return n.second.raft_id == id && n.second.spec.role == NodeRole::kManager;
    });
  };
  for (const auto& server : replica_->configuration()) {
    if (server.id != parts_.raft_id && !named(server.id) && can_spare(server.id))
      return MemberChange{server, true};
    if (caught_up(server)) return MemberChange{{server.id, server.address, raft::Role::kVoter}, false};
  }
  for (const auto& [id, n] : store_.nodes)
    if (n.raft_id != 0 && n.spec.role == NodeRole::kManager && n.state == NodeState::kReady &&
        !is_member(n.raft_id))
      return MemberChange{{n.raft_id, n.manager_address, raft::Role::kStandby}, false};
  return std::nullopt;
}

Task<void> Manager::tend_members() {
  const auto change = tending_ ? std::nullopt : next_change();
  if (!change) co_return;
  tending_ = true;
  (void)co_await change_member(change->server, change->remove);
  tending_ = false;
}

}  // namespace panal
