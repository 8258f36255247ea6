// A node follows what the managers say: who they are, what it may be, the last network tables.
#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "node/cluster/join_messages.h"
#include "node/cluster/swarm_node.h"

namespace panal {

void SwarmNode::on_assignments(const Assignments& a) {
  if (!a.managers.empty() && a.managers != identity_.managers) {
    identity_.managers = a.managers;
    (void)save_identity();
  }
  wanted_role_ = a.role;
  follow_wanted_role();
}

void SwarmNode::follow_wanted_role() {
  if (!wanted_role_ || busy_ || changing_role_) return;
  // By what the managers say, too: who was removed from the group is not told by its own log.
  const auto takes_part = [&] {
    return std::ranges::any_of(identity_.managers,
                               [&](const auto& m) { return m.first == identity_.node_id; }) &&
           std::ranges::any_of(manager_->replica().configuration(),
                               [&](const raft::Server& s) { return s.id == identity_.raft_id; });
  };
  if (identity_.role == *wanted_role_ &&
      (identity_.role == NodeRole::kWorker ? !manager_ : manager_ && takes_part()))
    return;
  changing_role_ = true;
  scope_.spawn(follow_role(*wanted_role_));
}

// Tasks and secrets stay out: a task is only run on a manager's word, and a secret never touches a disk.
void SwarmNode::keep_tables(const Assignments& a) {
  tables_ = a;
  tables_->tasks.clear(), tables_->secrets.clear(), tables_->configs.clear();
  if (std::exchange(writing_tables_, true)) return;
  scope_.spawn(write_tables());
}

Task<void> SwarmNode::write_tables() {
  co_await parts_.loop.sleep(200ms);  // changes come in flocks
  while (tables_) {
    const std::string path = tables_file(), text = encode(*std::exchange(tables_, std::nullopt));
    auto written =
        co_await blocking(parts_.loop, [path, text] { return write_file_atomic(path, text, 0600); });
    if (!written) log::warn("msg=\"keep network tables\" error=\"{}\"", written.error().message);
  }
  writing_tables_ = false;
}

// Promotion and demotion. Tasks are not touched: only this node's part in the management changes.
Task<void> SwarmNode::follow_role(NodeRole role) {
  const bool changes = identity_.role != role;
  auto work = [&]() -> Task<Result<>> {
    if (role == NodeRole::kWorker && manager_) {
      const ManagerRequest gone{identity_.raft_id, "", true};
      CO_TRYV(co_await ask_leader("/panal.Join/Manager", to_text(gone)));
      co_await stop_manager();
      identity_.raft_id = 0;  // first: whoever starts in the middle of the rest is no manager
      CO_TRYV(save_identity());
      (void)remove_tree(parts_.dir + "/raft");
    }
    if (identity_.role != role) CO_TRYV(co_await renew_certificate(role));
    if (role == NodeRole::kManager) {
      if (!manager_) {
        identity_.raft_id = parts_.entropy.number() >> 1 | 1;
        (void)remove_tree(parts_.dir + "/raft");
        CO_TRYV(save_identity());
        CO_TRYV(start_manager(Manager::Start::kJoin));
      }
      CO_TRYV(start_listening());
      const ManagerRequest add{identity_.raft_id, manager_address(), false};
      CO_TRYV(co_await ask_leader("/panal.Join/Manager", to_text(add)));
    } else {
      CO_TRYV(start_listening());
    }
    co_return Result<>{};
  };
  auto done = co_await work();
  changing_role_ = false;
  if (done && changes) log::info("msg=\"role changed\" role={}", name_of(role));
  if (!done) {
    log::warn("msg=\"change of role failed\" role={} error=\"{}\"", name_of(role), done.error().message);
    co_await parts_.loop.sleep(2s);
  }
  if (!done || wanted_role_ != role) follow_wanted_role();
}

}  // namespace panal
