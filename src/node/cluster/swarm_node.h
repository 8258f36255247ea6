// This node's part in a swarm: identity, membership, and the manager and worker that follow from it.
// State on disk (below the data root): swarm/identity.json, certificate.pem (with its key), ca.pem,
// tables.json (what serves without managers), raft/. Lives on the loop's thread.
#pragma once
#include <functional>

#include "node/cluster/manager.h"
#include "node/cluster/task_executor.h"
#include "node/cluster/worker.h"
#include "ports/crypto.h"

namespace panal {

constexpr uint16_t kManagementPort = 2377;

struct SwarmInit {
  std::string listen = "0.0.0.0:2377", advertise;
  std::vector<std::string> default_pool;
  int subnet_size = 24;
  bool force_new_cluster = false;
  ClusterSettings spec;  // name, labels, history...
  Availability availability = Availability::kActive;
};

struct SwarmJoin {
  std::string listen = "0.0.0.0:2377", advertise, token;
  std::vector<std::string> remotes;
  Availability availability = Availability::kActive;
};

class SwarmNode {
 public:
  struct Parts {
    Loop& loop;
    Entropy& entropy;
    Transport& transport;
    Crypto& crypto;
    KernelNetwork& kernel;
    TaskExecutor& executor;
    ImagePeers& images;
    std::function<std::shared_ptr<raft::Disk>(const std::string& dir)> open_disk;
    std::function<std::unique_ptr<raft::Core>(const raft::Settings&)> make_core;
    std::string dir;
  };
  explicit SwarmNode(Parts parts) : parts_(std::move(parts)) {}

  /// At daemon start: takes up the part this node had.
  Task<Result<>> resume();
  Task<Result<std::string>> init(SwarmInit wish);
  Task<Result<>> join(SwarmJoin wish);
  Task<Result<>> leave(bool force);
  void shutdown();

  bool active() const { return !identity_.node_id.empty(); }
  const std::string& node_id() const { return identity_.node_id; }
  const std::string& address() const { return identity_.address; }
  /// Null on a worker and outside a swarm.
  const ManagerPtr& manager() const { return manager_; }
  std::string worker_error() const { return worker_ ? worker_->last_error() : ""; }
  std::vector<std::pair<std::string, std::string>> remote_managers() const { return identity_.managers; }
  std::string cluster_id() const { return identity_.cluster_id; }
  std::string join_token(NodeRole role) const;
  Result<Crypto::Names> issuer() const {
    return parts_.crypto.names(manager_->store().cluster.ca_certificate);
  }
  const std::string& ca() const { return ca_; }
  Error not_manager() const;
  TaskExecutor& executor() { return parts_.executor; }
  ImagePeers& images() { return parts_.images; }
  Transport& transport() { return parts_.transport; }
  /// Called for every change of the replicated state, on managers.
  std::function<void(const std::map<Kind, std::set<std::string>>&)> on_applied;

  struct Identity {
    std::string node_id, cluster_id, address, listen = "0.0.0.0:2377";
    uint64_t raft_id = 0;
    NodeRole role = NodeRole::kWorker;
    std::vector<std::pair<std::string, std::string>> managers;
  };

 private:
  Result<std::string> choose_address(const std::string& advertise) const;
  Result<> save_identity();
  Result<> use_certificate(const std::string& certificate, const std::string& key, const std::string& ca);
  Result<> start_listening();
  Result<> start_manager(Manager::Start how);
  void start_worker();
  void serve_joins();
  void on_assignments(const Assignments& a);
  void keep_tables(const Assignments& a);
  Task<void> write_tables();
  Task<void> follow_role(NodeRole role);
  void forget_identity();
  void watch_certificate(Duration pause);
  Task<void> renew_in_time();
  Task<Result<>> renew_certificate(NodeRole role);
  Result<std::string> certify(const Store& store, const std::string& request, const std::string& node_id,
                              NodeRole role) const;
  void follow_wanted_role();
  Task<Result<std::string>> on_join(Peer peer, std::string request);
  Task<Result<std::string>> on_join_manager(Peer peer, std::string request);
  Task<Result<std::string>> on_renew(Peer peer, std::string request);
  Task<Result<std::string>> ask_leader(std::string method, std::string request);
  Task<void> stop_parts();
  Task<void> stop_manager();
  std::vector<std::string> manager_addresses() const;

  std::string manager_address() const { return identity_.address + ":" + std::to_string(kManagementPort); }
  std::string tables_file() const { return parts_.dir + "/tables.json"; }

  Parts parts_;
  Identity identity_;
  std::string certificate_, key_, ca_;
  WallTime renew_at_;
  std::optional<TimerId> renewal_timer_;
  std::optional<NodeRole> listening_as_, wanted_role_;  // what the managers say
  ManagerPtr manager_;
  std::unique_ptr<Worker> worker_;
  std::optional<Assignments> tables_;  // to be written
  bool busy_ = false, changing_role_ = false, serving_ = false, writing_tables_ = false;
  Scope scope_;
};

/// When to renew: between half and four fifths of a certificate's life, as in Swarm, so that nodes do not
/// come all at once.
WallTime renewal_time(WallTime issued, WallTime expires, uint64_t random);

}  // namespace panal
