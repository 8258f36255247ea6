// A node's place in the cluster: joining, promotion, demotion, leaving. The steps are those of
// node/cluster/swarm_node.cc, which does not run here itself because it needs certificates and a kernel; a
// saved identity is SimNode's role and raft_id.
#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "sim/world.h"

namespace panal::sim {

static constexpr const char *kMemberMethod = "/panal.Join/Manager", *kRoleMethod = "/panal.Join/Renew";

static std::unexpected<Error> gone() { return fail(Code::kCancelled, "the process is gone"); }
static std::string member_request(const SimNode& n, bool remove) {
  return std::to_string(n.raft_id) + " " + n.address + ":2377 " + (remove ? "remove" : "add");
}

std::vector<std::string> SimNode::manager_addresses() const {
  std::vector<std::string> out;
  const auto add = [&](const std::string& a) {
    if (!a.empty() && std::ranges::find(out, a) == out.end()) out.push_back(a);
  };
  const auto m = manager();
  if (m) add(m->leader_address()), add(address + ":2377");
  for (const auto& [id, a] : managers) add(a);
  if (m) std::ranges::for_each(m->other_addresses(), add);
  return out;
}

void SimWorld::serve_members(SimNode& n) {
  SimNode* node = &n;
  n.process->transport.serve(kMemberMethod, {"manager"}, [this, node](Peer p, std::string b) {
    return on_member(node, std::move(p), std::move(b));
  });
  n.process->transport.serve(kRoleMethod, {"worker", "manager"},
                             [this, node](Peer p, std::string) { return on_role(node, std::move(p)); });
}

Task<Result<std::string>> SimWorld::on_role(SimNode* n, Peer peer) {
  const ManagerPtr m = n->manager();
  if (!m) co_return fail(Code::kUnavailable, "not a manager");
  const Node* object = m->store().node(peer.node_id);
  if (!object) co_return fail(Code::kForbidden, "node " + peer.node_id + " is not part of this swarm");
  co_return std::string(name_of(object->spec.role));
}

Task<Result<std::string>> SimWorld::on_member(SimNode* n, Peer peer, std::string bytes) {
  const ManagerPtr m = n->manager();
  if (!m) co_return fail(Code::kUnavailable, "not a manager");
  if (!m->leads()) co_return fail(Code::kUnavailable, "not the leader: " + m->leader_address());
  const auto words = split(bytes, ' ');
  CO_TRYV(co_await m->seat(
      peer.node_id, {std::strtoull(words.at(0).c_str(), nullptr, 10), words.at(1), raft::Role::kStandby},
      words.at(2) == "remove"));
  co_return std::string("{}");
}

Task<Result<>> SimWorld::ask_leader(SimNode* n, std::string request) {
  Error last{Code::kUnavailable, "no manager answered"};
  std::string hint;
  for (int tries = 0; tries < 20 && !n->process->dying; ++tries) {
    auto addresses = n->manager_addresses();
    if (!hint.empty()) addresses.insert(addresses.begin(), std::exchange(hint, {}));
    for (const auto& address : addresses) {
      auto reply = co_await n->process->transport.call(address, kMemberMethod, request, 20s);
      if (reply) co_return Result<>{};
      last = reply.error();
      if (last.message.starts_with("not the leader: ")) {
        hint = last.message.substr(16);
        if (!hint.empty()) break;
      }
    }
    if (hint.empty()) co_await n->process->loop.sleep(300ms);
  }
  co_return std::unexpected(last);
}

// ---- promotion and demotion

void SimWorld::follow_wanted_role(SimNode& n) {
  Process& p = *n.process;
  if (!p.wanted_role || p.changing_role || p.dying) return;
  const auto takes_part = [&] {
    return std::ranges::any_of(n.managers, [&](const auto& m) { return m.first == n.node_id; }) &&
           std::ranges::any_of(p.manager->replica().configuration(),
                               [&](const raft::Server& s) { return s.id == n.raft_id; });
  };
  if (n.role == *p.wanted_role && (n.role == NodeRole::kWorker ? !p.manager : p.manager && takes_part()))
    return;
  p.changing_role = true;
  p.scope.spawn(follow_role(&n, *p.wanted_role));
}

Task<void> SimWorld::follow_role(SimNode* n, NodeRole role) {
  Process& p = *n->process;
  auto work = [&]() -> Task<Result<>> {
    if (role == NodeRole::kWorker && p.manager) {
      CO_TRYV(co_await ask_leader(n, member_request(*n, true)));
      if (p.dying) co_return gone();
      const ManagerPtr manager = std::exchange(p.manager, nullptr);
      p.log.reset();  // its disk goes with it
      manager->shutdown();
      co_await manager->join();
      if (p.dying) co_return gone();
      n->raft_id = 0;
      n->files->wipe();
    }
    if (n->role != role) {
      Result<std::string> said = fail(Code::kUnavailable, "no manager answered");
      for (const auto& address : n->manager_addresses()) {
        said = co_await p.transport.call(address, kRoleMethod, "", 10s);
        if (said && *said != name_of(role))
          said = fail(Code::kConflict,
                      address + " does not see this node as a " + std::string(name_of(role)) + " yet");
        if (said) break;
      }
      if (!said) co_return std::unexpected(said.error());
      if (p.dying) co_return gone();
      n->role = role;
      p.transport.set_role(std::string(name_of(role)));
    }
    if (role == NodeRole::kManager) {
      if (!p.manager) {
        n->raft_id = p.entropy.number() >> 1 | 1;
        n->files->wipe();
        CO_TRYV(start_manager(*n, Manager::Start::kJoin));
      }
      CO_TRYV(co_await ask_leader(n, member_request(*n, false)));
    }
    co_return Result<>{};
  };
  auto done = co_await work();
  if (p.dying) co_return;
  p.changing_role = false;
  if (done) {
    log::info("msg=\"role changed\" role={}", name_of(role));
  } else {
    log::warn("msg=\"change of role failed\" role={} error=\"{}\"", name_of(role), done.error().message);
    co_await p.loop.sleep(2s);
  }
  if (!done || p.wanted_role != role) follow_wanted_role(*n);
}

// ---- joining and leaving

Task<void> SimWorld::admit(SimNode* at, SimNode* n, bool must) {
  Process& p = *at->process;
  const ManagerPtr m = at->manager();
  Node object;
  object.meta.id = n->node_id, object.spec.role = n->role;
  Command command;
  command.time = p.loop.wall_now();
  command.put(Kind::kNode, object);
  auto done = co_await m->propose(std::move(command));
  if (!done || p.dying) {
    n->joining = false;
    if (must) violate("join: " + (done ? std::string("the manager is gone") : done.error().message));
    co_return;
  }
  std::vector<std::pair<std::string, std::string>> managers;
  for (const auto& [id, other] : m->store().nodes)
    if (!other.manager_address.empty()) managers.emplace_back(id, other.manager_address);
  n->managers = managers;
  loop.post([this, n, must] {
    n->member = true;
    start_process(*n, n->role == NodeRole::kManager ? std::optional(Manager::Start::kJoin) : std::nullopt,
                  false);
    if (n->process) n->process->scope.spawn(settle_in(n, must));
  });
}

Task<void> SimWorld::settle_in(SimNode* n, bool must) {
  Result<> done;
  if (n->role == NodeRole::kManager) done = co_await ask_leader(n, member_request(*n, false));
  n->joining = false;
  if (n->process->dying) co_return;
  if (done) {
    ++admitted_;
    start_worker(*n);
  } else if (must) {
    violate("join of a manager: " + done.error().message);
  } else {
    loop.post([this, n] { forget(*n); });
  }
}

void SimWorld::join(SimNode& at, SimNode& n, NodeRole role) {
  CHECK(!n.member && !n.joining && !n.process);
  n.joining = true;
  n.node_id = at.process->entropy.swarm_id(), n.role = role;
  n.raft_id = role == NodeRole::kManager ? at.process->entropy.number() >> 1 | 1 : 0;
  note("n" + std::to_string(n.index + 1) + " joins as " + n.node_id + ", a " + std::string(name_of(role)));
  at.process->scope.spawn(admit(&at, &n, false));
}

void SimWorld::leave(SimNode& n, bool unasked) {
  if (n.process->changing_role || n.joining) return;
  n.process->changing_role = true;
  note("n" + std::to_string(n.index + 1) + " leaves");
  n.process->scope.spawn(take_leave(&n, unasked));
}

// A manager that is not let go stays: a cluster that lost its quorum to those who left is its users' doing,
// not its own.
Task<void> SimWorld::take_leave(SimNode* n, bool unasked) {
  Process& p = *n->process;
  Result<> let_go;
  if (p.manager && !unasked) let_go = co_await ask_leader(n, member_request(*n, true));
  if (p.dying) co_return;
  if (let_go) {
    loop.post([this, n] { forget(*n); });
    co_return;
  }
  log::warn("msg=\"not let go\" error=\"{}\"", let_go.error().message);
  co_await follow_role(n, NodeRole::kManager);
}

void SimWorld::forget(SimNode& n) {
  if (!n.member) return;
  note("n" + std::to_string(n.index + 1) + " is no longer " + n.node_id);
  if (n.process) bury(n, SimTransport::Death::kProcess);
  n.member = n.joining = false;
  n.role = NodeRole::kWorker, n.raft_id = 0;
  n.managers.clear();
  n.files->wipe();
  n.machine->containers.clear(), n.machine->tables.reset();
}

}  // namespace panal::sim
