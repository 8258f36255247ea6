// How a node becomes a member of a swarm, how managers take others in, and how it leaves.
#include "base/fd.h"
#include "base/log.h"
#include "node/cluster/join_messages.h"
#include "node/cluster/swarm_node.h"
#include "node/networks/attachments.h"
#include "swarm/allocator.h"
#include "swarm/join_token.h"

namespace panal {

Task<Result<std::string>> SwarmNode::init(SwarmInit wish) {
  if (busy_ || changing_role_)
    co_return fail(Code::kUnavailable, "another change of this node's membership is under way");
  if (active() && !wish.force_new_cluster)
    co_return fail(Code::kUnavailable,
                   "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and "
                   "join another one.");
  busy_ = true;
  auto work = [&]() -> Task<Result<>> {
    if (wish.force_new_cluster) {
      if (!active() || identity_.raft_id == 0)
        co_return fail(Code::kInvalid, "--force-new-cluster needs a node that was a manager");
      co_await stop_parts();
      CO_TRYV(start_manager(Manager::Start::kForceNew));
    } else {
      CO_TRY(identity_.address, choose_address(wish.advertise));
      identity_.listen = wish.listen, identity_.role = NodeRole::kManager;
      identity_.node_id = parts_.entropy.swarm_id(), identity_.cluster_id = parts_.entropy.swarm_id();
      identity_.raft_id = parts_.entropy.number() >> 1 | 1;
      CO_TRY(const KeyPair ca, parts_.crypto.make_ca());
      CO_TRY(const KeyPair request, parts_.crypto.make_request());
      wish.spec.ca_certificate = ca.certificate, wish.spec.ca_key = ca.key,
      wish.spec.meta.id = identity_.cluster_id;
      Store first;
      first.cluster = wish.spec;
      CO_TRY(const std::string certificate,
             certify(first, request.certificate, identity_.node_id, NodeRole::kManager));
      CO_TRYV(use_certificate(certificate, request.key, ca.certificate));
      CO_TRYV(save_identity());
      CO_TRYV(start_manager(Manager::Start::kBootstrap));
      CO_TRYV(start_listening());
    }
    for (int tries = 0; !manager_->leads() && tries < 100; ++tries)
      (void)co_await manager_->changed().wait(parts_.loop, 100ms);
    if (!manager_->leads()) co_return fail(Code::kTimeout, "the new swarm did not come up");
    Command command;
    command.time = parts_.loop.wall_now();
    if (wish.force_new_cluster) {
      for (const auto& [id, n] :
           manager_->store().nodes) {  // the other managers are gone: they may join again as new nodes
        if (id == identity_.node_id || n.raft_id == 0) continue;
        Node other = n;
        other.raft_id = 0, other.manager_address.clear(), other.spec.role = NodeRole::kWorker;
        command.put(Kind::kNode, other);
      }
      CO_TRYV(start_listening());
    } else {
      ClusterSettings settings = wish.spec;
      settings.worker_secret = parts_.entropy.swarm_id(), settings.manager_secret = parts_.entropy.swarm_id();
      if (!wish.default_pool.empty()) settings.default_pool = wish.default_pool;
      settings.subnet_size = wish.subnet_size;
      Node self;
      self.meta.id = identity_.node_id, self.spec.role = NodeRole::kManager,
      self.spec.availability = wish.availability;
      self.description = parts_.executor.describe(), self.address = identity_.address,
      self.raft_id = identity_.raft_id;
      self.manager_address = manager_address();
      ClusterNetwork ingress;
      ingress.meta.id = parts_.entropy.swarm_id();
      ingress.network.name = kIngressName, ingress.network.driver = "overlay",
      ingress.network.scope = "swarm", ingress.network.ingress = true;
      ingress.network.created = parts_.loop.wall_now();
      Store empty;
      empty.cluster = settings;
      CO_TRYV(choose_overlay_subnet(empty, ingress));
      command.put(Kind::kCluster, settings);
      command.put(Kind::kNode, self);
      command.put(Kind::kNetwork, ingress);
    }
    CO_TRYV(co_await manager_->propose(std::move(command)));
    start_worker();
    co_return Result<>{};
  };
  auto done = co_await work();
  busy_ = false;
  if (!done) {
    if (!wish.force_new_cluster) {
      co_await stop_parts();
      forget_identity();
      (void)remove_tree(parts_.dir);
    }
    co_return std::unexpected(done.error());
  }
  co_return identity_.node_id;
}

void SwarmNode::serve_joins() {
  parts_.transport.serve("/panal.Join/Certificate", {"", "worker", "manager"},
                         [this](Peer p, std::string r) { return on_join(std::move(p), std::move(r)); });
  parts_.transport.serve("/panal.Join/Manager", {"manager"}, [this](Peer p, std::string r) {
    return on_join_manager(std::move(p), std::move(r));
  });
  parts_.transport.serve("/panal.Join/Renew", {"worker", "manager"},
                         [this](Peer p, std::string r) { return on_renew(std::move(p), std::move(r)); });
}

Task<Result<std::string>> SwarmNode::on_join(Peer, std::string bytes) {
  const ManagerPtr manager = manager_;
  if (!manager) co_return std::unexpected(not_manager());
  CO_TRY(const auto wish, from_text<JoinRequest>(bytes));
  const auto& cluster = manager->store().cluster;
  NodeRole role;
  if (!wish.secret.empty() && wish.secret == cluster.manager_secret)
    role = NodeRole::kManager;
  else if (!wish.secret.empty() && wish.secret == cluster.worker_secret)
    role = NodeRole::kWorker;
  else
    co_return fail(
        Code::kInvalid,
        "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster");
  Node n;
  n.meta.id = parts_.entropy.swarm_id(), n.spec.role = role;
  if (!wish.availability.empty() && !from_name(wish.availability, n.spec.availability))
    co_return fail(Code::kInvalid, "invalid availability " + wish.availability);
  CO_TRY(const std::string certificate, certify(manager->store(), wish.request, n.meta.id, role));
  Command command;
  command.time = parts_.loop.wall_now();
  command.put(Kind::kNode, n);
  const std::string id = n.meta.id;
  CO_TRYV(co_await manager->propose(std::move(command)));
  const JoinReply reply = reply_for(manager->store(), id, role, certificate);
  co_return to_text(reply);
}

Task<Result<std::string>> SwarmNode::on_join_manager(Peer peer, std::string bytes) {
  const ManagerPtr manager = manager_;
  if (!manager) co_return std::unexpected(not_manager());
  if (!manager->leads()) co_return fail(Code::kUnavailable, "not the leader: " + manager->leader_address());
  CO_TRY(const auto wish, from_text<ManagerRequest>(bytes));
  CO_TRYV(
      co_await manager->seat(peer.node_id, {wish.raft_id, wish.address, raft::Role::kStandby}, wish.remove));
  co_return std::string("{}");
}

Task<Result<std::string>> SwarmNode::ask_leader(std::string method, std::string request) {
  Error last{Code::kUnavailable, "no manager answered"};
  std::string hint;
  for (int tries = 0; tries < 20; ++tries) {
    auto addresses = manager_addresses();
    if (!hint.empty()) addresses.insert(addresses.begin(), std::exchange(hint, {}));
    for (const auto& address : addresses) {
      auto reply = co_await parts_.transport.call(address, method, request, 20s);
      if (reply) co_return reply;
      last = reply.error();
      if (method == kAttachMethod && last.code != Code::kUnavailable && last.code != Code::kTimeout)
        co_return std::unexpected(last);  // the leader's word
      if (last.message.starts_with("not the leader: ")) {
        hint = last.message.substr(16);
        if (!hint.empty()) break;
      }
    }
    if (hint.empty()) co_await parts_.loop.sleep(300ms);
  }
  co_return std::unexpected(last);
}

Task<Result<>> SwarmNode::join(SwarmJoin wish) {
  if (busy_) co_return fail(Code::kUnavailable, "another change of this node's membership is under way");
  if (active())
    co_return fail(Code::kUnavailable,
                   "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and "
                   "join another one.");
  if (wish.remotes.empty()) co_return fail(Code::kInvalid, "at least one remote address is required to join");
  CO_TRY(const JoinToken token, parse_join_token(wish.token));
  CO_TRY(const std::string address, choose_address(wish.advertise));
  CO_TRY(const KeyPair request, parts_.crypto.make_request());
  busy_ = true;
  auto work = [&]() -> Task<Result<>> {
    JoinRequest ask{token.secret, request.certificate, std::string(name_of(wish.availability))};
    Result<std::string> reply = fail(Code::kUnavailable, "no remote given");
    for (auto remote : wish.remotes) {
      if (remote.find(':') == std::string::npos) remote += ":" + std::to_string(kManagementPort);
      reply = co_await parts_.transport.call_pinned(remote, "/panal.Join/Certificate", to_text(ask),
                                                    token.fingerprint, 15s);
      if (reply) break;
    }
    if (!reply) co_return std::unexpected(reply.error());
    CO_TRY(const auto joined, from_text<JoinReply>(*reply));
    CO_TRY(const std::string fingerprint, parts_.crypto.fingerprint(joined.ca));
    if (fingerprint != token.fingerprint)
      co_return fail(Code::kForbidden, "the CA that the manager sent does not match the join token");
    identity_ = {joined.node_id,
                 joined.cluster_id,
                 address,
                 wish.listen,
                 joined.role == NodeRole::kManager ? parts_.entropy.number() >> 1 | 1 : 0,
                 joined.role,
                 joined.managers};
    CO_TRYV(use_certificate(joined.certificate, request.key, joined.ca));
    CO_TRYV(save_identity());
    if (joined.role == NodeRole::kManager) {
      CO_TRYV(start_manager(Manager::Start::kJoin));
      CO_TRYV(start_listening());
      ManagerRequest add{identity_.raft_id, manager_address(), false};
      CO_TRYV(co_await ask_leader("/panal.Join/Manager", to_text(add)));
      // "Joined" means that this manager has the swarm's state.
      for (int tries = 0; manager_->store().cluster.meta.id.empty() && tries < 150; ++tries)
        (void)co_await manager_->changed().wait(parts_.loop, 100ms);
    } else {
      CO_TRYV(start_listening());
    }
    start_worker();
    co_return Result<>{};
  };
  auto done = co_await work();
  busy_ = false;
  if (!done) {
    co_await stop_parts();
    forget_identity();
    (void)remove_tree(parts_.dir);
  }
  co_return done;
}

Task<Result<>> SwarmNode::leave(bool force) {
  if (!active()) co_return fail(Code::kUnavailable, "This node is not part of a swarm");
  if (busy_ || changing_role_)
    co_return fail(Code::kUnavailable, "another change of this node's membership is under way");
  if (manager_ && !force) {
    size_t voters = 0;
    for (const auto& s : manager_->replica().configuration()) voters += s.role == raft::Role::kVoter;
    std::string text = "You are attempting to leave the swarm on a node that is participating as a manager. ";
    if (voters <= 1)
      text +=
          "Removing the last manager erases all current state of the swarm. Use `--force` to ignore this "
          "message.";
    else
      text += "Removing this node leaves " + std::to_string(voters - 1) + " managers out of " +
              std::to_string(voters) +
              ". Without a Raft quorum your swarm will be inaccessible. The only way to restore a swarm that "
              "has lost consensus is to reinitialize it with `--force-new-cluster`. Use `--force` to "
              "suppress this message.";
    co_return fail(Code::kUnavailable, text);
  }
  busy_ = true;
  if (manager_ && manager_->replica().configuration().size() > 1) {
    // A manager that goes by its own will takes its vote along, so that those who stay keep their quorum.
    const ManagerRequest gone{identity_.raft_id, "", true};
    bool answered = false;
    Scope asking;
    auto ask = [&]() -> Task<void> {
      auto done = co_await ask_leader("/panal.Join/Manager", to_text(gone));
      answered = done.has_value();
    };
    if (manager_->replica().leader_id() != 0) {
      asking.spawn(ask());
      co_await asking.join();
    }
    if (!answered) log::warn("msg=\"left without telling the other managers\"");
  }
  co_await stop_parts();
  // As in Docker they are killed: nobody waits for their grace periods.
  Scope removals;
  const auto remove = [this](std::string container) -> Task<void> {
    (void)co_await parts_.executor.remove(std::move(container));
  };
  for (const auto& [task, container] : parts_.executor.existing()) removals.spawn(remove(container));
  co_await removals.join();
  parts_.executor.ask_leader = nullptr;
  co_await parts_.executor.leave();
  forget_identity();
  auto removed = remove_tree(parts_.dir);
  busy_ = false;
  co_return removed;
}

}  // namespace panal
