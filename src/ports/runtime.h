// The OCI runtime as the engine sees it: monitors that outlive the daemon. Implemented by sys/crun (conmon +
// crun) and by the simulator's fake containers.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "ports/stream.h"

namespace panal {

struct MonitorStart {
  std::string id;
  std::string bundle;  // folder for config.json, log and sockets
  bool tty = false, open_stdin = false, stdin_once = false;
  bool mapped_users = false;  // in a user namespace
  std::string log_path;       // empty: output is not kept
  int64_t log_max_bytes =
      0;  // of the log file; then the monitor begins a new one (node/logs/log_files.h); 0: no limit
};
/// A container's monitor that waits for the word to make it. Destroyed before that it ends, and remove()
/// waits until nothing of it is left.
class Monitor {
 public:
  virtual ~Monitor() = default;
  /// False: it has ended before its time.
  virtual bool waits() const = 0;
};
struct RuntimeCreate {
  std::string config_json;  // OCI runtime configuration
  std::string program;      // its first word: errors name it
  std::string seccomp;      // the filter in config_json, or empty: the runtime may keep its compiled form
  std::map<std::string, std::string> annotations;
};

/// Output of a container or exec, and the way to its standard input.
class Attachment {
 public:
  virtual ~Attachment() = default;
  struct Piece {
    int stream = 1;  // 1 stdout, 2 stderr
    std::string data;
  };
  /// Next output; an empty piece is the end: everything has been delivered.
  virtual Task<Result<Piece>> read() = 0;
  virtual Task<Result<>> write(std::string_view data) = 0;
  virtual void close_stdin() = 0;
  virtual void close() = 0;
};

struct ExecStart {
  std::string container_id, exec_id;
  std::string container_bundle;
  std::string dir;           // a folder of its own
  std::string process_json;  // OCI process object
  std::string program;
  bool tty = false, open_stdin = false, attach = true;
  uint32_t uid = 0;                     // its user, inside
  uint32_t root_uid = 0, root_gid = 0;  // of the container's root on the host, in a user namespace
};

class RunningExec {
 public:
  virtual ~RunningExec() = default;
  virtual int pid() const = 0;
  /// Null when started without attach.
  virtual Attachment* attachment() = 0;
  /// Exit code, once.
  virtual Task<Result<int>> wait() = 0;
  virtual void resize(int rows, int columns) = 0;
};

/// One counter of a block device.
struct DeviceCount {
  uint64_t major = 0, minor = 0;
  std::string op;  // read, write, ...
  uint64_t value = 0;
};
/// What a container has used, as the kernel's control groups count it.
struct Usage {
  bool v2 = false;
  uint64_t cpu_total_ns = 0, cpu_system_ns = 0, cpu_user_ns = 0, host_cpu_ns = 0;
  std::vector<uint64_t> per_cpu_ns;  // v1
  uint64_t periods = 0, throttled_periods = 0, throttled_ns = 0;
  uint64_t memory_bytes = 0, memory_max_bytes = 0, memory_limit_bytes = 0, memory_failures = 0;
  std::map<std::string, uint64_t> memory;  // memory.stat
  uint64_t pids = 0, pids_limit = 0;       // limit 0: none
  std::vector<DeviceCount> io_bytes, io_operations;
  int online_cpus = 1;
};

class Runtime {
 public:
  virtual ~Runtime() = default;
  /// Something is about to be started: what takes the kernel a while begins now. Costs nothing when nothing
  /// comes of it.
  virtual void expect_start() = 0;
  /// Starts the container's monitor, which makes itself ready while its root and network are made, or
  /// earlier.
  virtual Result<std::unique_ptr<Monitor>> begin(MonitorStart spec) = 0;
  /// Creates the container (its init waits); returns the pid of its init.
  virtual Task<Result<int>> create(std::unique_ptr<Monitor> monitor, RuntimeCreate spec) = 0;
  /// Lets the init run its program.
  virtual Result<> start(const std::string& id) = 0;
  virtual Task<Result<std::unique_ptr<Attachment>>> attach(const std::string& bundle, bool want_stdin) = 0;
  virtual void resize(const std::string& bundle, int rows, int columns) = 0;
  virtual Result<> signal(int pid, int signal) = 0;
  virtual Task<Result<>> pause(const std::string& id) = 0;
  virtual Task<Result<>> resume(const std::string& id) = 0;
  /// Whether a control group stands still, or is about to.
  virtual bool frozen(const std::string& cgroup) = 0;
  struct Update {
    std::string id, bundle, cgroup;
    std::string resources_json;                        // OCI "resources"
    bool no_pids_limit = false, no_cpu_quota = false;  // what the runtime has no word for
  };
  /// New limits for a running container.
  virtual Task<Result<>> update(Update update) = 0;
  /// Removes what the runtime keeps of a stopped container (kills it first if it must), and its control
  /// group.
  virtual Task<Result<>> remove(const std::string& id, const std::string& cgroup) = 0;
  /// Waits for creations that a daemon's death left to themselves: afterwards remove() finds all of what they
  /// made.
  virtual Task<void> settle_creations() = 0;
  /// As begin(), for an exec: of all but its process and program.
  virtual Result<std::unique_ptr<Monitor>> begin_exec(const ExecStart& spec) = 0;
  /// The rest, in `spec`, must be what the monitor began with.
  virtual Task<Result<std::unique_ptr<RunningExec>>> exec(std::unique_ptr<Monitor> monitor,
                                                          ExecStart spec) = 0;
  /// Waits for the end of a monitor that was destroyed before its time; of a container or exec.
  virtual Task<void> gone(std::string id) = 0;
  /// Of a control group, "/panal/ID".
  virtual Result<Usage> usage(const std::string& cgroup) = 0;
  virtual std::set<int> processes(const std::string& cgroup) = 0;
  /// Output of the host's ps.
  virtual Task<Result<std::string>> ps(std::vector<std::string> words) = 0;
  /// `fn(id, exit_code)` for every container that ends, also those that ended while the daemon was away
  /// (after watch_exits()).
  virtual void on_exit(std::function<void(std::string id, int exit_code)> fn) = 0;
  virtual Result<> watch_exits() = 0;
  /// `fn(id)` when a process of a container was killed for want of memory, the first time in its life.
  virtual void on_oom(std::function<void(std::string id)> fn) = 0;
  /// `fn(id)` after a container's monitor has turned its log over; once for several turns in a row.
  virtual void on_log_turn(std::function<void(std::string id)> fn) = 0;
  /// Tells of the end of a container found running although its monitor was killed: the kernel knows the end,
  /// nobody its code (137).
  virtual void watch(const std::string& id, const std::string& bundle, int pid) = 0;
  /// Exit code of a container that has ended, waiting a little for a monitor that is about to write it; 137
  /// when nobody knows.
  virtual Task<int> ended_with(std::string id, std::string bundle) = 0;
  /// Forgets the exit record of a container, before it is started again or after removal.
  virtual void clear_exit(const std::string& id) = 0;
  virtual std::optional<int> recorded_exit(const std::string& id) = 0;
  virtual bool oom_seen(const std::string& bundle) = 0;
  /// Start time of a process in clock ticks since boot, 0 when it is gone: tells a reused pid.
  virtual uint64_t process_start(int pid) = 0;
  /// Capabilities the daemon itself holds ("CAP_CHOWN"): a container cannot get others.
  virtual const std::vector<std::string>& capabilities() const = 0;
  virtual const std::string& version() const = 0;
};

}  // namespace panal
