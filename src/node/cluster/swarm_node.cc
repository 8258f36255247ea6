#include "node/cluster/swarm_node.h"

#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "network/address.h"
#include "node/cluster/join_messages.h"
#include "swarm/join_token.h"

namespace panal {

static constexpr uint16_t kPeerPort = 7946;
static constexpr size_t kMaxTables = 256 << 20;

template <class A>
void fields(A& a, SwarmNode::Identity& i) {
  a("NodeID", i.node_id), a("ClusterID", i.cluster_id), a("Address", i.address), a("Listen", i.listen),
      a("RaftID", i.raft_id), a("Role", i.role);
  manager_list(a, "Managers", i.managers);
}

std::string SwarmNode::join_token(NodeRole role) const {
  if (!manager_) return {};
  const auto& c = manager_->store().cluster;
  auto fingerprint = parts_.crypto.fingerprint(c.ca_certificate);
  return fingerprint
             ? make_join_token(*fingerprint, role == NodeRole::kManager ? c.manager_secret : c.worker_secret)
             : "";
}

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
  settings.id = identity_.raft_id, settings.address = manager_address();
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
  if (manager_) add(manager_->leader_address()), add(manager_address());
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
                        return manager_ ? std::pair{manager_address(), identity_.raft_id}
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

void SwarmNode::shutdown() {
  if (worker_) worker_->shutdown();
  if (manager_) manager_->shutdown();
}

}  // namespace panal
