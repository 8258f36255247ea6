// From a container to the OCI runtime's configuration (runtime-spec config.md): isolation defaults are
// Docker's. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/devices/cdi.h"
#include "engine/devices/devices.h"
#include "model/container.h"
#include "model/id_map.h"

namespace panal {

struct ResolvedUser {
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> groups;
  std::string home = "/";
};

/// "", "name", "uid", "name:group", "uid:gid" against the image's /etc/passwd and /etc/group. Docker's
/// errors.
Result<ResolvedUser> resolve_user(const std::string& user, const std::vector<std::string>& extra_groups,
                                  const std::string& passwd, const std::string& group);

struct OciInputs {
  std::string rootfs, ns_path, hosts_file, hostname_file, resolv_file;
  std::string shm_source;  // what to bind at /dev/shm; empty: a file system of its own
  ResolvedUser user;
  std::vector<std::string> held_capabilities;  // what the daemon has: a container gets no more
  uint64_t max_open_files = 1048576;           // the daemon's own hard limit
  std::string pid_ns, ipc_ns, uts_ns;          // "/proc/N/ns/.." to join, "host", or "" for one of its own
  bool cgroup_v2 = false;
  std::string seccomp;                   // "linux.seccomp", or "" for no filter
  std::string init_path;                 // docker-init or tini, for --init
  std::string cgroup;                    // "/panal/ID"
  std::string apparmor;                  // profile; "" for none
  std::string user_ns;                   // file of the user namespace; "": the host's
  IdMap ids;                             // its map
  std::vector<MountPoint> mounts_below;  // bind mounts beside the container's own
  bool own_mqueue = true;                // at /dev/mqueue
  std::vector<DeviceNode> devices;       // beside those every container has
  DeviceNumbers block_devices;           // of the limits for block devices
  OciEdits edits;                        // of device requests; its nodes are among `devices`
  std::vector<std::string> link_env;     // what --link tells of other containers
  std::map<std::string, std::string>
      sources;  // destination of a mount -> what is bound there instead of its own source
  /// Destination -> "ro", "nosuid", "nodev", "noexec": what its source is mounted with. The runtime gives a
  /// bind mount just the flags that it is told (crun 1.8); a host's read-only mount must not become writable.
  std::map<std::string, std::vector<std::string>> source_flags;
};

/// What a container does not see, and what it cannot write, unless it says otherwise.
std::vector<std::string> default_masked_paths();
std::vector<std::string> default_readonly_paths();

/// Puts "NAME=value" in the place of the entry of that name, or at the end; without `replace` an entry that
/// is there stays.
void set_env(std::vector<std::string>& env, const std::string& entry, bool replace);
/// The value of NAME in a list of "NAME=value".
std::optional<std::string> env_value(const std::vector<std::string>& env, const std::string& name);
/// Environment: PATH, HOSTNAME, TERM (tty), HOME come first as in Docker, then image and user values (already
/// merged).
std::vector<std::string> process_env(const Container& c, const ResolvedUser& user,
                                     const std::vector<std::string>& link_env = {}, bool tty = false);
bool known_capability(const std::string& name);
std::vector<std::string> capability_set(const HostConfig& host, const std::vector<std::string>& held);
std::string oci_config(const Container& c, const OciInputs& in);

struct ExecConfig {
  std::vector<std::string> cmd, env;
  std::string user, working_dir;
  bool tty = false, privileged = false;
};
std::string oci_process(const Container& c, const ExecConfig& exec, const ResolvedUser& user,
                        const std::vector<std::string>& held, int rows, int columns,
                        const std::vector<std::string>& link_env = {}, const std::string& apparmor = {});

/// "SIGTERM", "TERM", "15" -> 15.
Result<int> parse_signal(const std::string& text);

}  // namespace panal
