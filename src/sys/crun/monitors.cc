// A container's or exec's monitor from its launch to the made container or the running process. Both conmon
// and the runtime that it starts load before anybody knows the configuration: config.json, or an exec's
// process, is a pipe until then, on which the runtime waits. If the daemon gives it up, or dies, the runtime
// reads an empty configuration: it fails before it has made anything, and conmon ends with it.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "sys/crun/attachment.h"
#include "sys/crun/crun_runtime.h"

namespace panal {

struct CrunRuntime::Launch {
  std::string id, bundle;
  Fd sync;    // conmon's answers; their end is conmon's
  Fd config;  // for the configuration
  Fd left;    // the pipe's other end
  Fd attach;  // an exec's: tells that it can be attached to
  bool of_exec = false, unwanted = false;
  Result<int> child = 0;
  bool done = false;
  Event ready;
};

class CrunRuntime::WaitingConmon final : public Monitor {
 public:
  WaitingConmon(CrunRuntime& runtime, std::shared_ptr<Launch> launch)
      : runtime_(runtime), launch_(std::move(launch)) {}
  ~WaitingConmon() override {
    if (launch_) runtime_.scope_.spawn(runtime_.see_off(std::move(launch_)));
  }
  bool waits() const override {
    pollfd sync{launch_->sync.get(), POLLIN, 0};
    return !launch_->done || (launch_->child && ::poll(&sync, 1, 0) == 0);
  }
  const std::shared_ptr<Launch>& launch() const { return launch_; }
  void is_answered() { launch_.reset(); }

 private:
  CrunRuntime& runtime_;
  std::shared_ptr<Launch> launch_;
};

static constexpr int kConfigPipe = 7;  // in conmon and the runtime
static std::string config_path() { return "/proc/self/fd/" + std::to_string(kConfigPipe); }

Result<std::unique_ptr<Monitor>> CrunRuntime::launch_monitor(std::shared_ptr<Launch> it, Spawn what) {
  TRY(auto sync, make_pipe());
  TRY(auto config, make_pipe());
  what.fds.emplace_back(sync.second.get(), 3);
  what.fds.emplace_back(config.first.get(), kConfigPipe);
  std::vector<Fd> theirs;  // it is spawned later, when others may have closed theirs
  for (auto& [ours, number] : what.fds) {
    theirs.emplace_back(::fcntl(ours, F_DUPFD_CLOEXEC, 3));
    if (!theirs.back()) return fail(sys_error(errno, "exec", what.argv[0]));
    ours = theirs.back().get();
  }
  it->sync = std::move(sync.first), it->config = std::move(config.second), it->left = std::move(config.first);
  scope_.spawn(launch(it, std::move(what), std::move(theirs)));
  return std::make_unique<WaitingConmon>(*this, std::move(it));
}

Result<std::unique_ptr<Monitor>> CrunRuntime::begin(MonitorStart spec) {
  expect_start();
  Spawn what = conmon(spec.id, spec.bundle, fix_streams(spec));
  what.argv.insert(
      what.argv.end(),
      {"-u", spec.id, "-n", spec.id, "-P", spec.bundle + "/conmon.pid", "--exit-dir", paths_.exits, "-l",
       spec.log_path.empty() ? "none" : "k8s-file:" + spec.log_path, "--no-sync-log"});
  if (spec.log_max_bytes > 0)
    what.argv.insert(what.argv.end(), {"--log-size-max", std::to_string(spec.log_max_bytes)});
  if (spec.tty) what.argv.push_back("-t");
  if (spec.open_stdin) what.argv.push_back("-i");
  if (spec.tty || (spec.open_stdin && !spec.stdin_once)) what.argv.push_back("--leave-stdin-open");
  auto it = std::make_shared<Launch>();
  it->id = spec.id, it->bundle = spec.bundle;
  return launch_monitor(std::move(it), std::move(what));
}

// On a thread: until the program is loaded the kernel keeps whoever starts it waiting.
Task<void> CrunRuntime::launch(std::shared_ptr<Launch> it, Spawn what, std::vector<Fd> theirs) {
  while (given_up_.contains(it->id) && !it->unwanted) co_await seen_off_.wait(loop_);  // an earlier one
  if (it->unwanted)
    it->child = fail(Code::kCancelled, "nobody needs this monitor");
  else if (!it->of_exec)
    it->child = prepare_bundle(it->id, it->bundle);
  if (it->child) it->child = co_await blocking(loop_, [&what] { return spawn(what); });
  theirs.clear();
  it->done = true;
  it->ready.notify(loop_);
  if (it->child) (void)co_await wait_status(loop_, *it->child);  // conmon leaves its first process soon
}

Result<int> CrunRuntime::prepare_bundle(const std::string& id, const std::string& bundle) {
  for (const char* stale : {"/config.json", "/attach", "/ctl", "/winsz", "/oom"})
    ::unlink((bundle + stale).c_str());
  for (const auto& name : list_dir(bundle))
    if (name.starts_with("conmon-term.")) ::unlink((bundle + "/" + name).c_str());
  clear_exit(id);
  const std::string file = bundle + "/config.json";
  if (::symlink(config_path().c_str(), file.c_str()) != 0) return fail(sys_error(errno, "symlink", file));
  return 0;
}

// conmon, and with it the runtime that it has started.
static void end_by_force(const std::string& id, const std::string& bundle) {
  const auto pid = parse_int(trim(read_file(bundle + "/conmon.pid", 64).value_or("")));
  if (!pid || *pid <= 1) return;
  const auto words = read_file("/proc/" + std::to_string(*pid) + "/cmdline", 65536);
  if (!words || !words->contains(id)) return;
  log::warn("msg=\"a container monitor that nobody needs does not end by itself\" container={}", id);
  ::kill(static_cast<pid_t>(*pid), SIGKILL);
}

// Without a configuration it ends by itself.
Task<void> CrunRuntime::see_off(std::shared_ptr<Launch> it) {
  given_up_.insert(it->id);
  it->unwanted = true;
  it->config.reset();
  seen_off_.notify(loop_);
  while (!it->done) co_await it->ready.wait(loop_);
  if (it->child) {
    LineReader reader(loop_, std::move(it->sync));
    const TimerId deadline = loop_.call_after(10s, [&reader] { reader.close(); });
    auto line = co_await reader.line();
    while (line && !line->empty()) line = co_await reader.line();
    loop_.cancel(deadline);
    if (!line) end_by_force(it->id, it->bundle);
  }
  given_up_.erase(given_up_.find(it->id));
  seen_off_.notify(loop_);
}

Task<void> CrunRuntime::gone(std::string id) {
  while (given_up_.contains(id)) co_await seen_off_.wait(loop_);
}

// The pipe takes all of it at once: nobody may ever read there.
static Result<> make_room(const Fd& pipe, size_t bytes) {
  if (::fcntl(pipe.get(), F_GETPIPE_SZ) < static_cast<int>(bytes) &&
      ::fcntl(pipe.get(), F_SETPIPE_SZ, static_cast<int>(bytes)) < 0)
    return fail(sys_error(errno, "hand over a configuration of " + std::to_string(bytes) + " bytes"));
  return {};
}

// A runtime that has opened config.json already reads the pipe, one that comes later the file, and so does
// whoever opens it a second time.
static Result<> give_config(const std::string& bundle, Fd pipe, const std::string& text) {
  const std::string file = bundle + "/config.json", fresh = file + ".new";
  TRYV(make_room(pipe, text.size()));
  TRYV(write_file(fresh, text, 0600));
  if (::rename(fresh.c_str(), file.c_str()) != 0) return fail(sys_error(errno, "rename", fresh));
  return write_all(pipe.get(), text);
}

// conmon keeps its end for as long as it lives: what nobody has read would stay in the kernel's memory.
static void empty(const Fd& pipe) {
  int bytes = 0;
  if (::ioctl(pipe.get(), FIONREAD, &bytes) != 0) return;
  std::string into(static_cast<size_t>(std::max(bytes, 0)), 0);
  if (!into.empty()) (void)!::read(pipe.get(), into.data(), into.size());
}

// crun compiles a seccomp profile anew for each container, which takes a third of a start. What it made for
// the first container with a profile is handed to the next ones by an annotation (crun(1),
// run.oci.seccomp_bpf_data); a runtime that does not know that compiles.
static constexpr size_t kMostFilters = 64, kBiggestFilter = 256 << 10;

Task<Result<int>> CrunRuntime::create(std::unique_ptr<Monitor> monitor, RuntimeCreate spec) {
  auto& conmon = static_cast<WaitingConmon&>(*monitor);
  const auto it = conmon.launch();
  if (const auto known = filters_.find(spec.seccomp); known != filters_.end())
    spec.annotations.emplace("run.oci.seccomp_bpf_data", known->second);
  if (!spec.annotations.empty())
    spec.config_json.insert(spec.config_json.rfind('}'), ",\"annotations\":" + to_text(spec.annotations));
  while (!it->done) co_await it->ready.wait(loop_);
  if (!it->child) co_return std::unexpected(it->child.error());
  CO_TRYV(give_config(it->bundle, std::move(it->config), spec.config_json));
  conmon.is_answered();
  LineReader reader(loop_, std::move(it->sync));
  const TimerId deadline = loop_.call_after(60s, [&reader] { reader.close(); });
  auto line = co_await reader.line();
  loop_.cancel(deadline);
  empty(it->left);
  if (!line) co_return fail(Code::kTimeout, "the container monitor gave no answer: " + line.error().message);
  CO_TRY(const auto answer, parse_conmon_line(*line));
  if (answer.data <= 0)
    co_return std::unexpected(
        runtime_error(answer.message.empty() ? "the runtime gave no reason" : answer.message, spec.program));
  watch(it->id, it->bundle, static_cast<int>(answer.data));
  if (!spec.seccomp.empty() && !filters_.contains(spec.seccomp))
    if (const auto made = read_file(paths_.state + "/" + it->id + "/seccomp.bpf", kBiggestFilter);
        made && !made->empty() && made->size() % 8 == 0) {
      if (filters_.size() >= kMostFilters) filters_.clear();
      filters_[spec.seccomp] = base64(*made);
    }
  co_return static_cast<int>(answer.data);
}

namespace {

class ConmonExec final : public RunningExec {
 public:
  ConmonExec(AsioLoop& loop, Fd sync, std::string dir)
      : reader_(loop, std::move(sync)), dir_(std::move(dir)) {}
  LineReader reader_;
  std::string dir_;
  std::unique_ptr<Attachment> attachment_;
  int pid_ = 0;

  int pid() const override { return pid_; }
  Attachment* attachment() override { return attachment_.get(); }
  Task<Result<int>> wait() override {
    CO_TRY(const std::string line, co_await reader_.line());
    CO_TRY(const auto answer, parse_conmon_line(line));
    co_return static_cast<int>(answer.data);
  }
  void resize(int rows, int columns) override { resize_terminal(dir_, rows, columns); }
};

}  // namespace

Result<std::unique_ptr<Monitor>> CrunRuntime::begin_exec(const ExecStart& spec) {
  expect_start();
  TRYV(make_dirs(spec.dir + "/exit", 0700));
  Spawn what = conmon(spec.container_id, spec.dir, fix_streams(spec));
  what.argv.insert(what.argv.end(), {"-u", spec.exec_id, "-P", spec.dir + "/conmon.pid", "-e",
                                     "--exec-process-spec", config_path(), "--exit-dir", spec.dir + "/exit",
                                     "-l", "none", "--runtime-arg", "--log=" + spec.dir + "/log"});
  if (spec.tty) what.argv.insert(what.argv.end(), {"-t", "--leave-stdin-open"});
  if (spec.open_stdin) what.argv.push_back("-i");
  auto it = std::make_shared<Launch>();
  it->id = spec.exec_id, it->bundle = spec.dir, it->of_exec = true;
  if (!spec.attach) return launch_monitor(std::move(it), std::move(what));
  TRY(auto attach, make_pipe());
  what.argv.push_back("--exec-attach");
  what.env.push_back("_OCI_ATTACHPIPE=5");
  what.fds.emplace_back(attach.second.get(), 5);
  it->attach = std::move(attach.first);
  return launch_monitor(std::move(it), std::move(what));
}

Task<Result<std::unique_ptr<RunningExec>>> CrunRuntime::exec(std::unique_ptr<Monitor> monitor,
                                                             ExecStart spec) {
  auto& conmon = static_cast<WaitingConmon&>(*monitor);
  const auto it = conmon.launch();
  while (!it->done) co_await it->ready.wait(loop_);
  if (!it->child) co_return std::unexpected(it->child.error());
  std::unique_ptr<ConmonAttachment> attachment;
  if (spec.attach) {
    LineReader ready(loop_, std::move(it->attach));
    const TimerId late = loop_.call_after(30s, [&ready] { ready.close(); });
    auto line = co_await ready.line();
    loop_.cancel(late);
    if (line && !line->empty())
      if (auto fd = co_await connect_attach(loop_, spec.dir + "/attach"))
        attachment = std::make_unique<ConmonAttachment>(loop_, std::move(*fd), spec.open_stdin);
  }
  CO_TRYV(make_room(it->config, spec.process_json.size()));
  CO_TRYV(write_all(it->config.get(), spec.process_json));
  it->config.reset();
  conmon.is_answered();
  auto result = std::make_unique<ConmonExec>(loop_, std::move(it->sync), spec.dir);
  result->attachment_ = std::move(attachment);
  const TimerId late = loop_.call_after(60s, [raw = result.get()] { raw->reader_.close(); });
  auto line = co_await result->reader_.line();
  loop_.cancel(late);
  if (!line) co_return std::unexpected(line.error());
  auto answer = parse_conmon_line(*line);
  if (!answer || answer->data < 0) {
    // A terminal exec that could not start leaves its reason in crun's own log only.
    std::string reason = answer ? answer->message : std::string();
    if (reason.empty()) reason = read_file(spec.dir + "/log").value_or("the runtime gave no reason");
    co_return std::unexpected(runtime_error(reason, spec.program));
  }
  result->pid_ = static_cast<int>(answer->data);
  co_return std::unique_ptr<RunningExec>(std::move(result));
}

}  // namespace panal
