// Runtime on conmon 2.1 and crun: conmon is the parent of every container and exec, holds its standard
// streams, writes its log and its exit code; the daemon may come and go. Protocol facts: conmon(8) and its
// source, tried in tests.
#pragma once
#include <map>
#include <set>

#include "ports/runtime.h"
#include "sys/crun/groups.h"
#include "sys/crun/runtime_file.h"
#include "sys/crun/slim_library.h"
#include "sys/crun/streams.h"
#include "sys/loop/async_fd.h"

namespace panal {

struct CrunPaths {
  std::string state;  // crun's --root
  std::string exits;  // conmon's --exit-dir
  std::string slim;   // panal-slim.so; "" or a file that is not there: the programs go without
  std::string conmon = "/usr/bin/conmon", crun = "/usr/bin/crun";
};

class CrunRuntime final : public Runtime {
 public:
  CrunRuntime(AsioLoop& loop, CrunPaths paths);
  ~CrunRuntime() override;

  void expect_start() override;
  Result<std::unique_ptr<Monitor>> begin(MonitorStart spec) override;
  Task<Result<int>> create(std::unique_ptr<Monitor> monitor, RuntimeCreate spec) override;
  Result<> start(const std::string& id) override;
  Task<Result<std::unique_ptr<Attachment>>> attach(const std::string& bundle, bool want_stdin) override;
  void resize(const std::string& bundle, int rows, int columns) override;
  Result<> signal(int pid, int signal) override;
  Task<Result<>> pause(const std::string& id) override;
  Task<Result<>> resume(const std::string& id) override;
  bool frozen(const std::string& cgroup) override { return group_is_frozen(cgroup); }
  Task<Result<>> update(Update update) override;
  Task<Result<>> remove(const std::string& id, const std::string& cgroup) override;
  Task<void> settle_creations() override;
  Result<std::unique_ptr<Monitor>> begin_exec(const ExecStart& spec) override;
  Task<Result<std::unique_ptr<RunningExec>>> exec(std::unique_ptr<Monitor> monitor, ExecStart spec) override;
  Task<void> gone(std::string id) override;
  Result<Usage> usage(const std::string& cgroup) override;
  std::set<int> processes(const std::string& cgroup) override;
  Task<Result<std::string>> ps(std::vector<std::string> words) override;
  void on_exit(std::function<void(std::string, int)> fn) override { on_exit_ = std::move(fn); }
  void on_oom(std::function<void(std::string)> fn) override { on_oom_ = std::move(fn); }
  void on_log_turn(std::function<void(std::string)> fn) override { on_log_turn_ = std::move(fn); }
  Result<> watch_exits() override;
  void watch(const std::string& id, const std::string& bundle, int pid) override;
  Task<int> ended_with(std::string id, std::string bundle) override;
  void clear_exit(const std::string& id) override;
  std::optional<int> recorded_exit(const std::string& id) override;
  bool oom_seen(const std::string& bundle) override;
  uint64_t process_start(int pid) override;
  const std::vector<std::string>& capabilities() const override { return capabilities_; }
  const std::string& version() const override { return version_; }

  void stop();
  auto join() { return scope_.join(); }

 private:
  Task<void> exit_loop();
  Task<void> watch_end(std::string id, std::string bundle, int pid, int memory, uint64_t life);
  Task<Result<>> verb(std::vector<std::string> words);
  Spawn conmon(const std::string& container, const std::string& dir, const StreamFix& fix);
  class WaitingConmon;
  struct Launch;
  Task<void> launch(std::shared_ptr<Launch> it, Spawn what, std::vector<Fd> theirs);
  Result<int> prepare_bundle(const std::string& id, const std::string& bundle);
  Task<void> see_off(std::shared_ptr<Launch> it);
  Result<std::unique_ptr<Monitor>> launch_monitor(std::shared_ptr<Launch> it, Spawn what);

  AsioLoop& loop_;
  CrunPaths paths_;
  RuntimeFile program_;
  bool expecting_ = false;
  void read_events(std::string_view events);
  int watch_memory(const std::string& id, int pid);
  void tell_memory_kills(int watch);
  void unwatch_memory(int watch);
  std::function<void(std::string, int)> on_exit_;
  std::function<void(std::string)> on_log_turn_, on_oom_;
  int exits_watch_ = -1;
  std::map<int, std::string> bundle_watches_;  // inotify's descriptor of a container's folder -> its id
  std::map<int, std::pair<std::string, std::string>> memory_watches_;  // of a memory.events -> id, the file
  std::unique_ptr<AsyncFd> inotify_;
  std::map<std::string, uint64_t> lives_;  // container id -> number of the life whose end is not recorded yet
  uint64_t next_life_ = 1;
  std::multiset<std::string> given_up_;  // containers and execs whose monitor ends without having made them
  Event seen_off_;
  std::map<std::string, std::string> filters_;  // seccomp profile -> its program for the kernel, base64
  std::vector<std::string> capabilities_;
  std::string version_;
  Scope scope_;
  SlimLibrary slim_;
};

/// Capabilities this process may use, by name.
std::vector<std::string> own_capabilities();

}  // namespace panal
