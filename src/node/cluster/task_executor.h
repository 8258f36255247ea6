// Tasks on the real engine: containers, overlay networks, endpoint tables, secrets.
#pragma once
#include "node/cluster/executor.h"
#include "node/containers/containers.h"
#include "node/images/peers.h"

namespace panal {

inline constexpr const char* kServiceLabel = "com.docker.swarm.service.id";  // of each task's container

class TaskExecutor final : public Executor {
 public:
  struct Parts {
    Loop& loop;
    Containers& containers;
    Networks& networks;
    ImagePeers& images;
    NodeDescription description;
    std::string secrets_dir;  // on a memory-backed file system
    IdMap ids;                // userns-remap
  };
  explicit TaskExecutor(Parts parts);

  void set_node(std::string node_id, std::string address) {
    node_id_ = std::move(node_id), address_ = std::move(address), interrupted_ = false;
  }
  /// Takes the cluster's networks out of the kernel when the node leaves.
  Task<void> leave();

  Task<Result<std::string>> prepare(ClusterTask task) override;
  void give_up(const std::string& task_id) override;
  Task<Result<>> start(std::string container_id) override;
  Task<Result<Exit>> wait(std::string container_id, std::function<void(bool, int)> on_health) override;
  void interrupt() override;
  Task<Result<>> stop(std::string container_id) override;
  Task<Result<>> remove(std::string container_id) override;
  std::map<std::string, std::string> existing() override;
  Stage stage(const std::string& container_id) override;
  std::vector<PortConfig> host_ports(const std::string& container_id) override;
  Task<Result<>> program(const Assignments& assignments) override;
  /// A place on an attachable network for a plain container, from the leader.
  Task<Result<Networks::ClusterPlace>> attach(const Container& c, std::string network, const Endpoint& wish);
  void detach(const std::string& id);
  Attachment attachment(const std::string& id) override;
  std::function<Task<Result<std::string>>(std::string method, std::string request)>
      ask_leader;  // in a swarm only
  NodeDescription describe() override { return parts_.description; }

 private:
  Task<Result<std::string>> make_container(ClusterTask task);
  Task<Result<>> ensure_networks(const ClusterTask& task);
  Task<Result<>> write_secrets(const ClusterTask& task, HostConfig& host);
  Task<Result<>> program_network(NetworkTable table);
  Task<Result<>> program_vips();
  Task<Result<>> program_mesh(const Assignments& a);
  std::set<uint16_t> awaited_ports(const Container& c) const;
  bool holds_network(const std::string& network_id) const;
  Task<Result<>> ensure_overlay(const ClusterNetwork& network);
  std::optional<std::vector<std::string>> names(const std::string& network_id, const std::string& name) const;
  std::string expand(std::string text, const ClusterTask& task) const;

  Parts parts_;
  std::string node_id_, address_;
  Assignments now_;
  std::set<std::string> overlays_;
  std::map<std::string, std::string>
      attachments_;  // of this process: task id -> network id, empty until the leader answers
  std::map<std::string, std::shared_ptr<Halt>> fetching_;  // images, by task
  bool mesh_ready_ = false, interrupted_ = false;
  AsyncMutex mutex_;
  Event programmed_;
};

}  // namespace panal
