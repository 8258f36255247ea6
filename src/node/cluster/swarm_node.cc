#include "node/cluster/swarm_node.h"
#include "node/networks/attachments.h"

#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "network/address.h"
#include "node/cluster/join_messages.h"
#include "swarm/allocator.h"

namespace panal {

static constexpr uint16_t kManagementPort = 2377, kPeerPort = 7946;
static constexpr size_t kMaxTables = 256 << 20;

template <class A>
void fields(A& a, SwarmNode::Identity& i) {
  a("NodeID", i.node_id), a("ClusterID", i.cluster_id), a("Address", i.address), a("Listen", i.listen),
      a("RaftID", i.raft_id), a("Role", i.role);
  manager_list(a, "Managers", i.managers);
}

// ---- tokens

// Between base 16 and base 36, digit by digit (numbers of 256 bits).
static std::string rebase(const std::string& digits, int from, int to, size_t width) {
  static constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::vector<int> number;
  for (const char c : digits) number.push_back(static_cast<int>(kDigits.find(c)));
  std::string out;
  while (!number.empty()) {
    std::vector<int> quotient;
    int rest = 0;
    for (const int d : number) {
      const int value = rest * from + d;
      if (!quotient.empty() || value / to != 0) quotient.push_back(value / to);
      rest = value % to;
    }
    out.insert(out.begin(), kDigits[static_cast<size_t>(rest)]);
    number = std::move(quotient);
  }
  if (out.size() < width) out.insert(0, width - out.size(), '0');
  return out;
}

std::string make_token(const std::string& fingerprint, const std::string& secret) {
  return "SWMTKN-1-" + rebase(fingerprint, 16, 36, 50) + "-" + secret;
}

Result<Token> parse_token(const std::string& text) {
  const auto parts = split(text, '-');
  const auto plain = [](const std::string& s) {
    return std::ranges::all_of(s, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); });
  };
  if (parts.size() != 4 || parts[0] != "SWMTKN" || parts[1] != "1" || parts[2].size() != 50 ||
      parts[3].size() != 25 || !plain(parts[2]) || !plain(parts[3]))
    return fail(Code::kInvalid, "invalid join token");
  const std::string fingerprint = rebase(parts[2], 36, 16, 64);
  if (fingerprint.size() != 64) return fail(Code::kInvalid, "invalid join token");
  return Token{fingerprint, parts[3]};
}

std::string SwarmNode::join_token(NodeRole role) const {
  if (!manager_) return {};
  const auto& c = manager_->store().cluster;
  auto fingerprint = parts_.crypto.fingerprint(c.ca_certificate);
  return fingerprint
             ? make_token(*fingerprint, role == NodeRole::kManager ? c.manager_secret : c.worker_secret)
             : "";
}

// ---- addresses and identity

Result<std::string> SwarmNode::choose_address(const std::string& advertise) const {
  TRY(const auto addresses, parts_.kernel.host_addresses());
  const size_t colon = advertise.rfind(':');
  const std::string wrong =
      "advertise address must be a non-zero IP address or network interface (with optional port number)";
  if (colon != std::string::npos) {
    const auto port = parse_int(advertise.substr(colon + 1));
    if (!port || *port <= 0 || *port > 65535) return fail(Code::kInvalid, wrong);
    if (*port != 2377)
      return fail(Code::kUnsupported,
                  "an advertise address with a port other than 2377 is not supported yet");
  }
  const std::string wanted = advertise.substr(0, colon == std::string::npos ? advertise.size() : colon);
  if (wanted.empty()) {
    if (addresses.size() == 1) return addresses[0].second;
    if (addresses.empty())
      return fail(Code::kInvalid,
                  "could not find the system's IP address - specify one with --advertise-addr");
    std::string shown;
    for (size_t i = 0; i < addresses.size(); ++i)
      shown += (i ? (i + 1 == addresses.size() ? " and " : ", ") : "") + addresses[i].second + " on " +
               addresses[i].first;
    return fail(Code::kInvalid,
                "could not choose an IP address to advertise since this system has multiple addresses (" +
                    shown + ") - specify one with --advertise-addr");
  }
  if (const auto ip = parse_ip4(wanted))
    return *ip != 0 ? Result<std::string>(wanted) : fail(Code::kInvalid, wrong);
  std::vector<std::string> on;
  for (const auto& [name, address] : addresses)
    if (name == wanted) on.push_back(address);
  if (on.size() == 1) return on[0];
  if (on.size() > 1)
    return fail(Code::kInvalid,
                "interface " + wanted + " has more than one IPv4 address (" + panal::join(on, " and ") + ")");
  return fail(Code::kInvalid, wrong);
}

Result<> SwarmNode::save_identity() {
  TRYV(make_dirs(parts_.dir, 0700));
  TRYV(write_file_atomic(parts_.dir + "/certificate.pem", certificate_ + key_,
                         0600));  // in one: they change together
  TRYV(write_file_atomic(parts_.dir + "/ca.pem", ca_, 0600));
  return write_file_atomic(parts_.dir + "/identity.json", to_text(identity_), 0600);
}

Result<> SwarmNode::start_listening() {
  if (!serving_) {
    serving_ = true;
    parts_.images.serve();
    serve_joins();
  }
  if (listening_as_ == identity_.role) return {};
  parts_.transport.stop_listening();
  listening_as_.reset();
  const size_t colon = identity_.listen.rfind(':');
  const std::string host = identity_.listen.substr(0, colon);
  const auto port = parse_int(identity_.listen.substr(colon + 1));
  TRYV(parts_.transport.listen(host, kPeerPort));
  if (identity_.role == NodeRole::kManager)
    TRYV(parts_.transport.listen(host, static_cast<uint16_t>(port.value_or(kManagementPort))));
  listening_as_ = identity_.role;
  return {};
}

Result<> SwarmNode::start_manager(Manager::Start how) {
  raft::Settings settings;
  settings.id = identity_.raft_id,
  settings.address = identity_.address + ":" + std::to_string(kManagementPort);
  settings.seed = static_cast<uint32_t>(parts_.entropy.number()), settings.election_ms = 700,
  settings.heartbeat_ms = 40;
  const auto make = parts_.make_core;
  Manager::Parts parts{parts_.loop,
                       parts_.entropy,
                       parts_.transport,
                       parts_.open_disk(parts_.dir + "/raft"),
                       [make, settings] { return make(settings); },
                       identity_.raft_id,
                       identity_.node_id,
                       settings.address};
  manager_ = std::make_shared<Manager>(std::move(parts));
  manager_->on_applied = [this](const std::map<Kind, std::set<std::string>>& touched) {
    if (on_applied) on_applied(touched);
  };
  auto started = manager_->start(how);
  if (!started) manager_.reset();
  return started;
}

std::vector<std::string> SwarmNode::manager_addresses() const {
  std::vector<std::string> out;
  const auto add = [&](const std::string& address) {
    if (!address.empty() && std::ranges::find(out, address) == out.end()) out.push_back(address);
  };
  if (manager_)
    add(manager_->leader_address()), add(identity_.address + ":" + std::to_string(kManagementPort));
  for (const auto& [id, address] : identity_.managers) add(address);
  if (manager_) std::ranges::for_each(manager_->other_addresses(), add);
  return out;
}

void SwarmNode::start_worker() {
  parts_.executor.set_node(identity_.node_id, identity_.address);
  parts_.executor.ask_leader = [this](std::string method, std::string request) {
    return ask_leader(std::move(method), std::move(request));
  };
  Worker::Parts parts{parts_.loop,
                      parts_.transport,
                      parts_.executor,
                      identity_.node_id,
                      identity_.address,
                      [this] { return manager_addresses(); },
                      [this](const Assignments& a) { on_assignments(a); },
                      [this] {
                        return manager_ ? std::pair{identity_.address + ":" + std::to_string(kManagementPort),
                                                    identity_.raft_id}
                                        : std::pair{std::string(), uint64_t{0}};
                      }};
  parts.on_programmed = [this](const Assignments& a) { keep_tables(a); };
  if (auto text = read_file(tables_file(), kMaxTables)) {
    if (auto last = decode_assignments(*text))
      parts.last = std::move(*last);
    else
      log::warn("msg=\"the last network tables are lost\" error=\"{}\"", last.error().message);
  }
  worker_ = std::make_unique<Worker>(std::move(parts));
  worker_->start();
}

Task<Result<>> SwarmNode::resume() {
  auto text = read_file(parts_.dir + "/identity.json");
  if (!text) co_return Result<>{};
  CO_TRY(identity_, from_text<Identity>(*text));
  CO_TRY(const std::string certificate, read_file(parts_.dir + "/certificate.pem"));
  CO_TRY(const std::string ca, read_file(parts_.dir + "/ca.pem"));
  const size_t key = certificate.find("-----BEGIN PRIVATE KEY-----");
  CO_TRYV(use_certificate(certificate.substr(0, key), key == std::string::npos ? "" : certificate.substr(key),
                          ca));
  // The certificate decides what this node may be; a change of role that a crash cut short is made again.
  CO_TRY(const auto subject, parts_.crypto.subject(certificate));
  identity_.role = subject.role == name_of(NodeRole::kManager) && identity_.raft_id != 0 ? NodeRole::kManager
                                                                                         : NodeRole::kWorker;
  if (identity_.role == NodeRole::kManager) CO_TRYV(start_manager(Manager::Start::kRestart));
  CO_TRYV(start_listening());
  start_worker();
  co_return Result<>{};
}

Error SwarmNode::not_manager() const {
  if (!active())
    return {Code::kUnavailable,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect "
            "this node to swarm and try again."};
  return {Code::kUnavailable,
          "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. "
          "Please run this command on a manager node or promote the current node to a manager."};
}

// ---- init

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
      self.manager_address = identity_.address + ":" + std::to_string(kManagementPort);
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

// ---- join

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
  CO_TRY(const Token token, parse_token(wish.token));
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
      ManagerRequest add{identity_.raft_id, address + ":" + std::to_string(kManagementPort), false};
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

// ---- following what the managers say

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
      const ManagerRequest add{identity_.raft_id, identity_.address + ":" + std::to_string(kManagementPort),
                               false};
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

// ---- leave

Task<void> SwarmNode::stop_parts() {
  if (worker_) {
    worker_->shutdown();
    co_await worker_->join();
    worker_.reset();
    tables_.reset();
    while (writing_tables_) co_await parts_.loop.sleep(10ms);  // its folder may go next
  }
  co_await stop_manager();
}

// From its shutdown on nobody new finds it.
Task<void> SwarmNode::stop_manager() {
  const ManagerPtr manager = std::exchange(manager_, nullptr);
  if (!manager) co_return;
  manager->shutdown();
  co_await manager->join();
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
    if (!manager_->no_quorum_reason().empty() && manager_->replica().leader_id() != 0) {
      asking.spawn(ask());
      co_await asking.join();
    }
    if (!answered) log::warn("msg=\"left without telling the other managers\"");
  }
  co_await stop_parts();
  for (const auto& [task, container] : parts_.executor.existing()) {
    (void)co_await parts_.executor.stop(container);
    (void)co_await parts_.executor.remove(container);
  }
  parts_.executor.ask_leader = nullptr;
  co_await parts_.executor.leave();
  forget_identity();
  auto removed = remove_tree(parts_.dir);
  busy_ = false;
  co_return removed;
}

void SwarmNode::shutdown() {
  if (worker_) worker_->shutdown();
  if (manager_) manager_->shutdown();
}

}  // namespace panal
