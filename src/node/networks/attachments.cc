#include "node/networks/attachments.h"

#include "base/log.h"
#include "node/cluster/swarm_node.h"

namespace panal {

static constexpr Duration kAllocationLimit = 15s;

static const ClusterNetwork* find_network(const Store& store, const std::string& name) {
  for (const auto& [id, n] : store.networks)
    if (id == name || n.network.name == name) return &n;
  return nullptr;
}

// ---- the leader's side

Task<Result<std::string>> Manager::on_attach(Peer peer, std::string bytes) {
  if (!replica_->ready() || stopping_)
    co_return fail(Code::kUnavailable, "not the leader: " + leader_address());
  CO_TRY(const auto wish, from_text<AttachRequest>(bytes));
  const ClusterNetwork* n = find_network(store_, wish.network);
  if (!n) co_return fail(Code::kNotFound, "network " + wish.network + " not found");
  if (!n->network.attachable || n->network.ingress)
    co_return fail(Code::kForbidden, "Could not attach to network " + wish.network +
                                         ": rpc error: code = PermissionDenied desc = network " +
                                         wish.network + " not manually attachable");
  if (!store_.node(peer.node_id))
    co_return fail(Code::kForbidden, "node " + peer.node_id + " is not part of this swarm");
  if (wish.id.size() != 25 || wish.name.size() > 255 || wish.aliases.size() > 256)
    co_return fail(Code::kInvalid, "malformed wish for an attachment");
  const std::string network_id = n->meta.id;
  if (const ClusterTask* known = store_.task(wish.id); known && known->node_id != peer.node_id)
    co_return fail(Code::kForbidden, "the attachment is another node's");
  if (!store_.task(wish.id)) {
    ClusterTask t;
    t.meta.id = wish.id, t.meta.created = parts_.loop.wall_now();
    t.service_name = wish.name, t.node_id = peer.node_id, t.spec.runtime = kAttachmentRuntime;
    t.status.time = t.meta.created, t.status.container_id = wish.container_id;
    t.networks = {{network_id, wish.address, wish.aliases}};
    Command command;
    command.time = t.meta.created;
    command.put(Kind::kTask, std::move(t), 0);
    CO_TRYV(co_await propose_here(std::move(command)));
    work_.notify(parts_.loop);
  }
  const MonoTime deadline = parts_.loop.now() + kAllocationLimit;
  while (parts_.loop.now() < deadline && replica_->ready()) {
    const ClusterTask* t = store_.task(wish.id);
    const ClusterNetwork* network = store_.network(network_id);
    if (!t || !network) co_return fail(Code::kNotFound, "network " + wish.network + " not found");
    if (t->status.state == TaskState::kRejected) co_return fail(Code::kForbidden, t->status.error);
    if (t->status.state != TaskState::kNew) {
      AttachReply reply{*network, t->networks.at(0).address};
      co_return to_text(reply);
    }
    (void)co_await changed_.wait(parts_.loop, 1s);
  }
  co_return fail(Code::kUnavailable, "not the leader: " + leader_address());
}

// ---- the asking node's side

Task<Result<Networks::ClusterPlace>> TaskExecutor::attach(const Container& c, std::string network,
                                                          const Endpoint& wish) {
  if (!ask_leader) co_return fail(Code::kNotFound, "network " + network + " not found");
  AttachRequest request{wish.attachment, network, c.id, c.name, wish.ipam.ipv4_address, wish.aliases};
  for (const std::string& name : {c.id.substr(0, 12), c.hostname})
    if (!name.empty() && name != c.name && std::ranges::find(request.aliases, name) == request.aliases.end())
      request.aliases.push_back(name);
  attachments_[wish.attachment] = "";
  const auto ask = [&]() -> Task<Result<Networks::ClusterPlace>> {
    CO_TRY(const std::string bytes, co_await ask_leader(kAttachMethod, to_text(request)));
    CO_TRY(const auto reply, from_text<AttachReply>(bytes));
    auto held = co_await mutex_.lock(parts_.loop);
    attachments_[wish.attachment] = reply.network.meta.id;
    CO_TRYV(co_await ensure_overlay(reply.network));
    co_return Networks::ClusterPlace{reply.network.network.name, reply.address};
  };
  auto place = co_await ask();
  if (!place) detach(wish.attachment);
  co_return place;
}

void TaskExecutor::detach(const std::string& id) {
  attachments_.erase(id);
  if (on_attachments) on_attachments();
}

// What this process attached, and what an earlier one did: the containers' records tell.
Executor::Attachment TaskExecutor::attachment(const std::string& id) {
  for (const auto& [container_id, live] : parts_.containers.all())
    for (const auto& [name, e] : live->c.networks) {
      if (e.attachment != id || e.index < 0) continue;
      const Phase phase = live->c.state.phase;
      return is_up(phase)                ? Attachment::kRunning
             : attachments_.contains(id) ? Attachment::kComing
                                         : Attachment::kNone;
    }
  return attachments_.contains(id) ? Attachment::kComing : Attachment::kNone;
}

bool TaskExecutor::holds_network(const std::string& network_id) const {
  return std::ranges::any_of(attachments_, [&](const auto& a) { return a.second == network_id; });
}

// ---- what its agent tells the managers

void Worker::note_attachments() {
  for (auto& [id, known] : attachments_) {
    const auto now = parts_.executor.attachment(id);
    const TaskState state = now == Executor::Attachment::kRunning ? TaskState::kRunning
                            : now == Executor::Attachment::kNone  ? TaskState::kShutdown
                                                                  : TaskState::kAssigned;
    if (state <= known.state) continue;
    known.state = state, known.healthy = state == TaskState::kRunning;
    known.message = state == TaskState::kRunning ? "started" : "shutdown";
    unsent_[id] = known;
    news_.notify(parts_.loop);
  }
}

void Worker::assign_attachments(const Assignments& a) {
  std::map<std::string, TaskStatus> next;
  for (const auto& t : a.tasks)
    if (is_attachment(t)) {
      TaskStatus fresh;
      fresh.state = TaskState::kAssigned;
      auto it = attachments_.find(t.meta.id);
      next.emplace(t.meta.id, it != attachments_.end() ? it->second : fresh);
    }
  attachments_ = std::move(next);
  note_attachments();
}

}  // namespace panal
