// A node's certificate: how it gets one, and a new one in time.
#include "base/log.h"
#include "base/text.h"
#include "node/cluster/join_messages.h"

namespace panal {

static constexpr Duration kFirstLook = 5s, kLookAgain = 1h,
                          kRetry = 1min;  // wall clocks step: the time is looked at again and again

WallTime renewal_time(WallTime issued, WallTime expires, uint64_t random) {
  const Duration tenth = (expires - issued) / 10;
  return issued + tenth * 5 + tenth * 3 / 1000 * static_cast<int64_t>(random % 1000);
}

Result<> SwarmNode::use_certificate(const std::string& certificate, const std::string& key,
                                    const std::string& ca) {
  TRY(const auto subject, parts_.crypto.subject(certificate));
  TRYV(parts_.transport.set_identity(certificate, key, ca));
  certificate_ = certificate, key_ = key, ca_ = ca;
  renew_at_ = renewal_time(subject.issued, subject.expires, parts_.entropy.number());
  watch_certificate(kFirstLook);
  return {};
}

void SwarmNode::forget_identity() {
  if (renewal_timer_) parts_.loop.cancel(*std::exchange(renewal_timer_, std::nullopt));
  parts_.transport.clear_identity();
  identity_ = {}, wanted_role_.reset(), listening_as_.reset();
  certificate_.clear(), key_.clear(), ca_.clear();
}

void SwarmNode::watch_certificate(Duration pause) {
  if (renewal_timer_) parts_.loop.cancel(*renewal_timer_);
  renewal_timer_ = parts_.loop.call_after(pause, [this] {
    renewal_timer_.reset();
    const Duration left = renew_at_ - parts_.loop.wall_now();
    if (left > 0s) return watch_certificate(std::min(left, kLookAgain));
    if (busy_ || changing_role_) return watch_certificate(kRetry);
    changing_role_ = true;
    scope_.spawn(renew_in_time());
  });
}

Task<void> SwarmNode::renew_in_time() {
  auto renewed = co_await renew_certificate(identity_.role);
  changing_role_ = false;
  if (renewed) {
    log::info("msg=\"certificate renewed\" node={}", identity_.node_id);
  } else {
    log::warn("msg=\"the certificate is not renewed yet\" error=\"{}\"", renewed.error().message);
    watch_certificate(kRetry);
  }
  follow_wanted_role();
}

JoinReply reply_for(const Store& store, const std::string& node_id, NodeRole role, std::string certificate) {
  JoinReply reply;
  reply.node_id = node_id, reply.cluster_id = store.cluster.meta.id,
  reply.certificate = std::move(certificate), reply.ca = store.cluster.ca_certificate, reply.role = role;
  for (const auto& [id, n] : store.nodes)
    if (!n.manager_address.empty()) reply.managers.emplace_back(id, n.manager_address);
  return reply;
}

Result<std::string> SwarmNode::certify(const Store& store, const std::string& request,
                                       const std::string& node_id, NodeRole role) const {
  const auto& cluster = store.cluster;
  return parts_.crypto.sign(request, {cluster.ca_certificate, cluster.ca_key}, node_id,
                            std::string(name_of(role)), cluster.meta.id, parts_.loop.wall_now(),
                            Duration(cluster.cert_expiry_ns));
}

// A node whose certificate ends soon, or whose role has changed, asks for a new one.
Task<Result<std::string>> SwarmNode::on_renew(Peer peer, std::string bytes) {
  const ManagerPtr manager = manager_;
  if (!manager) co_return std::unexpected(not_manager());
  CO_TRY(const auto wish, from_text<JoinRequest>(bytes));
  const Node* n = manager->store().node(peer.node_id);
  if (!n) co_return fail(Code::kForbidden, "node " + peer.node_id + " is not part of this swarm");
  CO_TRY(std::string certificate, certify(manager->store(), wish.request, n->meta.id, n->spec.role));
  co_return to_text(reply_for(manager->store(), n->meta.id, n->spec.role, std::move(certificate)));
}

Task<Result<>> SwarmNode::renew_certificate(NodeRole role) {
  CO_TRY(const KeyPair request, parts_.crypto.make_request());
  const Node* self = manager_ ? manager_->store().node(identity_.node_id) : nullptr;
  JoinReply renewed;
  if (self && self->spec.role == role) {  // a manager needs nobody else, even when its certificate has ended
    CO_TRY(std::string certificate, certify(manager_->store(), request.certificate, identity_.node_id, role));
    renewed = reply_for(manager_->store(), identity_.node_id, role, std::move(certificate));
  } else {
    const JoinRequest ask{"", request.certificate, ""};
    Result<JoinReply> reply = fail(Code::kUnavailable, "no manager answered");
    for (const auto& address : manager_addresses()) {
      auto said = co_await parts_.transport.call(address, "/panal.Join/Renew", to_text(ask), 10s);
      reply = said ? from_text<JoinReply>(*said) : std::unexpected(said.error());
      if (reply && reply->role != role)
        reply = fail(Code::kConflict,
                     address + " does not see this node as a " + std::string(name_of(role)) + " yet");
      if (reply) break;
    }
    if (!reply) co_return std::unexpected(reply.error());
    renewed = std::move(*reply);
  }
  CO_TRYV(use_certificate(renewed.certificate, request.key, renewed.ca));
  identity_.role = role;
  co_return save_identity();
}

}  // namespace panal
