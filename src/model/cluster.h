// The cluster's objects. A spec is the user's and never altered by the system; everything else is the
// system's. Field names and defaults: Docker Engine API v1.51; the task's life: SwarmKit's task model.
#pragma once
#include "model/container.h"
#include "model/image.h"

namespace panal {

using Labels = std::map<std::string, std::string>;

struct Meta {
  std::string id;
  uint64_t version = 0;  // index of the write that last changed the object
  WallTime created, updated;
  uint64_t asked = 0;  // index of the last write that a user asked for: what a stale reader is judged by
  uint64_t born = 0;   // index of the write that made it: what is older does not hang on a clock
};

// ---- nodes

enum class NodeRole { kWorker, kManager };
enum class Availability { kActive, kPause, kDrain };
enum class NodeState { kUnknown, kDown, kReady, kDisconnected };
std::string_view name_of(NodeRole);
bool from_name(std::string_view, NodeRole&);
std::string_view name_of(Availability);
bool from_name(std::string_view, Availability&);
std::string_view name_of(NodeState);
bool from_name(std::string_view, NodeState&);

struct NodeSpec {
  std::string name;
  Labels labels;
  NodeRole role = NodeRole::kWorker;
  Availability availability = Availability::kActive;
};

struct NodeDescription {
  std::string hostname, architecture, os = "linux", engine_version;
  int64_t nano_cpus = 0, memory_bytes = 0;
  Labels engine_labels;
  bool operator==(const NodeDescription&) const = default;
};

struct Node {
  PANAL_RECORD(Node);
  Meta meta;
  NodeSpec spec;
  NodeDescription description;
  NodeState state = NodeState::kUnknown;
  std::string message, address;  // where peers reach it
  // A manager's place in Raft; 0 when it is none.
  uint64_t raft_id = 0;
  std::string manager_address;  // "192.0.2.1:2377"
  bool reachable = true;        // a manager, and the leader hears from it
  uint32_t mesh_index = 0;      // its number in the routing mesh, never reused while it lives
  std::string mesh_address;     // its address in the ingress network
};

// ---- services

struct NamedReference {  // SecretReference, ConfigReference
  std::string file_name, uid, gid, id, name;
  uint32_t mode = 0444;
  bool operator==(const NamedReference&) const = default;
};

struct ContainerSpec {
  PANAL_RECORD(ContainerSpec);
  std::string image, hostname, dir, user, stop_signal, isolation;
  Labels labels;
  std::vector<std::string> command, args, env, groups, hosts, cap_add, cap_drop;
  bool tty = false, open_stdin = false, read_only = false;
  std::vector<Mount> mounts;
  std::optional<int64_t> stop_grace_period;  // nanoseconds
  std::optional<HealthConfig> health;
  std::vector<std::string> dns, dns_search, dns_options;
  std::vector<NamedReference> secrets, configs;
  std::optional<bool> init;
  std::map<std::string, std::string> sysctls;
  std::vector<Ulimit> ulimits;
  bool operator==(const ContainerSpec&) const;
};

struct ResourceLimits {
  int64_t nano_cpus = 0, memory_bytes = 0, pids = 0;
  bool operator==(const ResourceLimits&) const = default;
};

struct TaskRestartPolicy {
  std::string condition = "any";  // none, on-failure, any
  int64_t delay = 5'000'000'000, window = 0;
  uint64_t max_attempts = 0;
  bool operator==(const TaskRestartPolicy&) const = default;
};

struct Platform {
  std::string architecture, os;  // empty: any
  bool operator==(const Platform&) const = default;
};

struct Placement {
  std::vector<std::string> constraints, spread;  // spread: "node.labels.zone"
  uint64_t max_replicas = 0;
  std::vector<Platform> platforms;  // what the image is made for; empty: unknown
  bool operator==(const Placement&) const = default;
};

struct NetworkAttachment {
  std::string target;
  std::vector<std::string> aliases;
  bool operator==(const NetworkAttachment&) const = default;
};

struct LogDriver {
  std::string name;
  std::map<std::string, std::string> options;
  bool operator==(const LogDriver&) const = default;
};

struct TaskSpec {
  PANAL_RECORD(TaskSpec);
  ContainerSpec container;
  ResourceLimits limits, reservations;
  TaskRestartPolicy restart;
  Placement placement;
  std::vector<NetworkAttachment> networks;
  std::optional<LogDriver> log_driver;
  uint64_t force_update = 0;
  std::string runtime;
  bool operator==(const TaskSpec&) const = default;
};

struct UpdateConfig {
  uint64_t parallelism = 1;  // 0: all at once
  int64_t delay = 0, monitor = 5'000'000'000;
  std::string failure_action = "pause", order = "stop-first";
  double max_failure_ratio = 0;
};

struct PortConfig {
  std::string name, protocol = "tcp", mode = "ingress";
  uint32_t target = 0, published = 0;
  auto operator<=>(const PortConfig&) const = default;
};

enum class ServiceMode { kReplicated, kGlobal };

struct ServiceSpec {
  PANAL_RECORD(ServiceSpec);
  std::string name;
  Labels labels;
  TaskSpec task;
  ServiceMode mode = ServiceMode::kReplicated;
  uint64_t replicas = 1;
  std::optional<UpdateConfig> update, rollback;
  std::string endpoint_mode = "vip";
  std::vector<PortConfig> ports;
};

struct UpdateStatus {
  std::string state,
      message;  // updating, paused, completed, rollback_started, rollback_paused, rollback_completed
  WallTime started, completed;
};

struct VirtualIp {
  std::string network_id, address;  // CIDR
};

struct Service {
  PANAL_RECORD(Service);
  Meta meta;
  ServiceSpec spec;
  std::optional<ServiceSpec> previous;
  std::string registry_auth,
      previous_auth;          // X-Registry-Auth of the one who wrote the spec; only for pulls, never shown
  uint64_t spec_version = 0;  // counts what tasks must be replaced for
  std::vector<VirtualIp> vips;
  std::vector<PortConfig> ports;  // as published, with chosen numbers
  std::optional<UpdateStatus> update;
};

// ---- tasks

enum class TaskState {
  kNew,
  kPending,
  kAssigned,
  kAccepted,
  kPreparing,
  kReady,
  kStarting,
  kRunning,
  kComplete,
  kShutdown,
  kFailed,
  kRejected,
  kRemove,
  kOrphaned
};
std::string_view name_of(TaskState);
bool from_name(std::string_view, TaskState&);
/// Past running: nothing of it is alive or will be.
inline bool terminal(TaskState s) { return s > TaskState::kRunning; }

struct TaskStatus {
  TaskState state = TaskState::kNew;
  WallTime time;
  std::string message, error, container_id;
  int pid = 0;
  std::optional<int> exit_code;
  bool healthy = false;           // no health check, or it passed
  std::vector<PortConfig> ports;  // of the node, with the numbers it chose
  bool operator==(const TaskStatus&) const = default;
};

struct TaskNetwork {
  std::string network_id, address;  // CIDR
  std::vector<std::string> aliases;
};

struct ClusterTask {
  PANAL_RECORD(ClusterTask);
  Meta meta;
  std::string service_id, service_name, node_id, registry_auth;
  uint64_t slot = 0, spec_version = 0;  // slots: 1..n; 0 for global
  TaskSpec spec;
  TaskStatus status;
  TaskState desired = TaskState::kRunning;
  std::vector<TaskNetwork> networks;
  std::vector<PortConfig> ports;
  WallTime not_before;   // restart delay
  uint64_t attempt = 0;  // restarts of its slot before it, within the policy's window
  bool serving = true;   // false: out of the endpoint tables, on its way to stop
  WallTime came_up;      // when the leader first heard that it runs well, or has ended without
  WallTime turn;         // the same of the first task before it that the restart policy replaced
};

/// The place of a plain container on an attachable network: a task without a service, on the node that asked
/// for it.
constexpr const char* kAttachmentRuntime = "attachment";
inline bool is_attachment(const ClusterTask& t) { return t.spec.runtime == kAttachmentRuntime; }

// ---- the rest

struct ClusterNetwork {
  Meta meta;
  Network network;
  uint32_t vni = 0;
};

struct SecretObject {  // also configs
  Meta meta;
  std::string name, data;  // raw bytes
  Labels labels;
};

struct ClusterSettings {
  PANAL_RECORD(ClusterSettings);
  Meta meta;
  std::string name = "default";
  Labels labels;
  int64_t task_history = 5, heartbeat_ns = 5'000'000'000, cert_expiry_ns = 7'776'000'000'000'000;
  std::string worker_secret, manager_secret;  // second half of the join tokens
  std::string ca_certificate, ca_key;         // PEM
  std::vector<std::string> default_pool = {"10.0.0.0/8"};
  int subnet_size = 24;
};

}  // namespace panal
