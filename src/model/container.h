// What an engine knows of a container. Field names and defaults: Docker Engine API v1.51, definitions
// ContainerConfig, HostConfig, ContainerState. `Container` is what the daemon stores; the API's views are
// derived from it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/record.h"
#include "base/time.h"
#include "model/endpoint.h"
#include "model/limits.h"

namespace panal {

/// A string map or list that tells "not given" (inherit from the image) from "given empty".
using OptStrings = std::optional<std::vector<std::string>>;

struct Empty {};

struct HealthConfig {
  std::vector<std::string> test;  // {} inherit, {"NONE"}, {"CMD", ...}, {"CMD-SHELL", command}
  int64_t interval = 0, timeout = 0, start_period = 0, start_interval = 0;  // nanoseconds, 0 = default
  int retries = 0;
  bool operator==(const HealthConfig&) const = default;
};

struct ContainerConfig {
  PANAL_RECORD(ContainerConfig);
  std::string hostname, domainname, user, image, working_dir, stop_signal;
  bool attach_stdin = false, attach_stdout = false, attach_stderr = false, tty = false, open_stdin = false,
       stdin_once = false, network_disabled = false;
  std::vector<std::string> env;
  OptStrings cmd, entrypoint;
  std::vector<std::string> shell;     // of the image: what the shell form of its commands was run with
  std::vector<std::string> on_build;  // of the image: instructions for a build that begins with it
  std::map<std::string, std::string> labels;
  std::map<std::string, Empty> volumes, exposed_ports;
  std::optional<HealthConfig> healthcheck;
  std::optional<int> stop_timeout;  // seconds
};

struct PortBinding {
  std::string host_ip, host_port;
};

struct RestartPolicy {
  std::string name;  // "", no, always, unless-stopped, on-failure
  int maximum_retry_count = 0;
};

/// One tmpfs option of a mount: a flag ("noexec") or a key and its value.
using TmpfsOptions = std::vector<std::vector<std::string>>;

struct Mount {  // API "Mount": a wish
  PANAL_RECORD(Mount);
  std::string type, source, target, consistency;  // bind, volume, tmpfs, image
  bool read_only = false;
  std::string propagation;
  bool non_recursive = false, create_mountpoint = false, ro_non_recursive = false, ro_force_recursive = false;
  bool no_copy = false;
  std::string subpath, image_subpath;
  std::map<std::string, std::string> volume_labels, driver_options;
  std::string driver_name;
  int64_t tmpfs_size_bytes = 0;
  int tmpfs_mode = 0;
  TmpfsOptions tmpfs_options;
  bool operator==(const Mount&) const;
};

struct LogConfig {
  std::string type;
  std::map<std::string, std::string> config;
  bool operator==(const LogConfig&) const = default;
};

struct HostConfig {
  PANAL_RECORD(HostConfig);
  std::vector<std::string> binds;
  std::string network_mode = "default";
  std::map<std::string, std::optional<std::vector<PortBinding>>> port_bindings;
  RestartPolicy restart_policy;
  bool auto_remove = false, privileged = false, publish_all_ports = false, readonly_rootfs = false;
  std::vector<Mount> mounts;
  std::vector<std::string> cap_add, cap_drop, dns, dns_options, dns_search, extra_hosts, group_add,
      security_opt;
  std::string pid_mode, ipc_mode, uts_mode, cgroupns_mode;
  std::map<std::string, std::string> tmpfs, sysctls;
  int64_t memory = 0, memory_swap = 0, memory_reservation = 0, nano_cpus = 0, cpu_shares = 0, cpu_period = 0,
          cpu_quota = 0;
  std::optional<int64_t> pids_limit, memory_swappiness;
  std::string cpuset_cpus, cpuset_mems;
  std::optional<bool> init, oom_kill_disable;
  std::vector<Ulimit> ulimits;
  std::vector<Device> devices;
  std::vector<DeviceRequest> device_requests;
  int64_t shm_size = 0;
  int oom_score_adj = 0;
  LogConfig log_config;
  std::vector<int> console_size;
  std::string runtime, container_id_file, isolation;
  OptStrings masked_paths, readonly_paths;
  std::vector<std::string> volumes_from, links, device_cgroup_rules;
  std::string userns_mode, cgroup_parent, volume_driver;
  std::map<std::string, std::string> annotations;
  BlkioLimits blkio;
  int64_t cpu_rt_period = 0, cpu_rt_runtime = 0;  // microseconds
};

/// A mount as resolved at creation (API "MountPoint").
struct MountPoint {
  std::string type, name, source, destination, driver, mode, propagation, subpath;
  bool rw = true;
  bool copy_up = false;  // a new volume takes the image's content at first start
  int64_t tmpfs_size_bytes = 0;
  int tmpfs_mode = 0;
  bool recursive = true;      // a bind mount with what is mounted below it
  bool ro_recursive = false;  // read-only with all that is mounted below it
  std::string image_id;       // of an image: its root file system, what is written goes with the container
  std::vector<std::string> layers;
};

struct HealthResult {
  WallTime start, end;
  int exit_code = 0;
  std::string output;
};

enum class Phase { kCreated, kRunning, kPaused, kRestarting, kRemoving, kExited, kDead };
std::string_view name_of(Phase);
bool from_name(std::string_view, Phase&);
/// Its processes are there.
inline bool is_up(Phase p) { return p == Phase::kRunning || p == Phase::kPaused; }
/// Docker's State.Running: also between two lives under a restart policy.
inline bool is_running(Phase p) { return is_up(p) || p == Phase::kRestarting; }

struct ContainerState {
  Phase phase = Phase::kCreated;
  bool oom_killed = false;
  int pid = 0;
  uint64_t pid_start = 0;  // start time of `pid` in clock ticks since boot: tells a reused pid
  int conmon_pid = 0;
  uint32_t root_uid = 0, root_gid = 0;  // on the host, of its last start; 0: it had no user namespace
  int exit_code = 0;
  std::string error;
  WallTime started_at, finished_at;
  std::string health;  // "", starting, healthy, unhealthy
  int health_failures = 0;
  std::vector<HealthResult> health_log;
};

struct Container {
  PANAL_RECORD(Container);
  std::string id, name, image_id, image_ref, path;
  std::vector<std::string> args;
  WallTime created;
  ContainerConfig config;
  HostConfig host;
  ContainerState state;
  std::vector<MountPoint> mounts;
  std::map<std::string, Endpoint> networks;  // by network name
  std::vector<PublishedPort> ports;          // while running
  std::vector<std::string> layers;           // chain ids, lowest first
  std::string hostname;
  int restart_count = 0;
  bool volumes_go = false;       // being removed, its anonymous volumes too
  bool stopped_by_user = false;  // docker stop or kill: unless-stopped stays stopped
  bool paused_to_copy = false;   // by docker commit, until it has what it copies
  bool left_none = false;        // made for network none, and taken out of it since
  bool managed_by_swarm = false;
  bool of_build = false;  // a step of docker build: nothing of it outlives the daemon
};

/// As in force: NetworkDisabled leaves a container alone, whatever its HostConfig says.
inline std::string_view network_mode(const Container& c) {
  return c.config.network_disabled ? "none" : std::string_view(c.host.network_mode);
}

/// Alone in its network namespace, and to stay so.
inline bool on_none(const Container& c) { return network_mode(c) == "none" && !c.left_none; }

}  // namespace panal
