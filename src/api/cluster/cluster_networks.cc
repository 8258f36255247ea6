#include "api/cluster/cluster_networks.h"

#include "base/text.h"
#include "node/cluster/swarm_node.h"
#include "swarm/allocator.h"

namespace panal {

static ManagerPtr manager(ApiParts& p) { return p.swarm ? p.swarm->manager() : nullptr; }

std::vector<Network> cluster_networks(ApiParts& p) {
  std::vector<Network> out;
  if (const ManagerPtr m = manager(p))
    for (const auto& [id, n] : m->store().networks) {
      Network shown = n.network;
      shown.id = id, shown.scope = "swarm";
      shown.options["com.docker.network.driver.overlay.vxlanid_list"] = std::to_string(n.vni);
      out.push_back(std::move(shown));
    }
  return out;
}

Task<Result<std::string>> create_cluster_network(ApiParts& p, NetworkWish wish) {
  const ManagerPtr m = manager(p);
  if (!m) co_return std::unexpected(p.swarm->not_manager());
  for (const auto& [key, value] : wish.network.options)
    co_return fail(Code::kUnsupported, key == "encrypted"
                                           ? "encrypted overlay networks are not supported yet: refused, so "
                                             "that nothing is sent in the clear that should not be"
                                           : "network option " + key + " is not supported yet");
  if (!wish.network.enable_ipv4)
    co_return fail(Code::kInvalid, "IPv4 cannot be disabled in a Swarm scoped network");
  if (wish.network.enable_ipv6) co_return fail(Code::kUnsupported, "EnableIPv6 is not supported yet");
  if (wish.network.name.empty()) co_return fail(Code::kInvalid, "network name cannot be empty");
  if (!valid_dns_component(wish.network.name))
    co_return fail(Code::kInvalid,
                   "rpc error: code = InvalidArgument desc = name must be valid as a DNS name component");
  for (const auto& [id, n] : m->store().networks)
    if (n.network.name == wish.network.name)
      co_return fail(Code::kConflict, "network with name " + wish.network.name + " already exists");
  if (p.networks.find(wish.network.name))
    co_return fail(Code::kConflict, "network with name " + wish.network.name + " already exists");
  ClusterNetwork n;
  n.meta.id = p.entropy.swarm_id();
  n.network = std::move(wish.network);
  n.network.driver = "overlay", n.network.scope = "swarm", n.network.created = p.loop.wall_now();
  for (const auto& pool : n.network.pools)
    if (!pool.auxiliary.empty())
      co_return fail(Code::kUnsupported, "auxiliary addresses of overlay networks are not supported yet");
  CO_TRYV(choose_overlay_subnet(m->store(), n));
  const std::string id = n.meta.id;
  Command command;
  command.time = p.loop.wall_now();
  command.put(Kind::kNetwork, std::move(n), 0);
  CO_TRYV(co_await m->propose(std::move(command)));
  co_return id;
}

Task<Result<>> remove_cluster_network(ApiParts& p, std::string id) {
  const ManagerPtr m = manager(p);
  if (!m) co_return std::unexpected(p.swarm->not_manager());
  const ClusterNetwork* n = m->store().network(id);
  if (!n) co_return fail(Code::kNotFound, "network " + id + " not found");
  if (n->network.ingress)
    co_return fail(Code::kUnsupported, "removing the ingress network is not supported yet");
  for (const auto& [sid, s] : m->store().services)
    for (const auto& attachment : s.spec.task.networks)
      if (attachment.target == id || attachment.target == n->network.name)
        co_return fail(Code::kInvalid, "rpc error: code = FailedPrecondition desc = network " + id +
                                           " is in use by service " + sid);
  // A container that has just gone is told of by its node, a moment later.
  const auto user = [&]() -> const ClusterTask* {
    for (const auto& [tid, t] : m->store().tasks)
      for (const auto& attached : t.networks)
        if (attached.network_id == id && !terminal(t.status.state)) return &t;
    return nullptr;
  };
  for (const MonoTime deadline = p.loop.now() + 2s;
       user() && is_attachment(*user()) && p.loop.now() < deadline;)
    (void)co_await m->changed().wait(p.loop, 200ms);
  if (const ClusterTask* t = user())
    co_return fail(Code::kInvalid, "rpc error: code = FailedPrecondition desc = network " + id +
                                       " is in use by task " + t->meta.id);
  Command command;
  command.time = p.loop.wall_now();
  command.remove(Kind::kNetwork, id);
  co_return co_await m->propose(std::move(command));
}

}  // namespace panal
