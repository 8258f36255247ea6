#include "sys/crun/crun_runtime.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <filesystem>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "ports/capabilities.h"
#include "sys/crun/attachment.h"
#include "sys/crun/groups.h"
#include "sys/crun/streams.h"
#include "sys/process/spawn.h"

namespace panal {

std::vector<std::string> own_capabilities() {
  std::vector<std::string> out;
  auto status = read_file("/proc/self/status");
  if (!status) return out;
  for (const auto& line : split(*status, '\n')) {
    if (!line.starts_with("CapEff:")) continue;
    const uint64_t bits = std::strtoull(line.c_str() + 7, nullptr, 16);
    for (size_t i = 0; i < kCapabilities.size(); ++i)
      if (bits >> i & 1) out.emplace_back(kCapabilities[i]);
  }
  return out;
}

CrunRuntime::CrunRuntime(AsioLoop& loop, CrunPaths paths)
    : loop_(loop),
      paths_(std::move(paths)),
      program_(paths_.crun),
      capabilities_(own_capabilities()),
      slim_(loop, scope_, paths_.slim, {paths_.conmon, paths_.crun}) {}
CrunRuntime::~CrunRuntime() = default;

// Without a locale conmon refuses arguments that are not ASCII, and keeps 0.4 MB more in memory (of files,
// which all of them share).
static constexpr const char* kLocale = "LC_CTYPE=C.UTF-8";

// conmon puts the socket over which the runtime hands it a terminal into TMPDIR, and leaves it there when it
// is killed before it has the terminal. In its own folder it goes with the container or exec. Relative: a
// socket's path has at most 107 characters.
static constexpr const char* kTemporary = "TMPDIR=.";

// What a container's conmon and an exec's have in common. The runtime's own arguments may follow.
Spawn CrunRuntime::conmon(const std::string& container, const std::string& dir, const StreamFix& fix,
                          const Fd& sync) {
  Spawn what;
  what.cwd = dir;
  const std::string program = program_.give(what, 6);
  what.argv = {paths_.conmon,
               "--api-version",
               "-c",
               container,
               "-r",
               runtime_program(fix, program),
               "-b",
               dir,
               "-p",
               dir + "/pidfile",
               "--full-attach",
               "--log-level",
               "error"};
  add_runtime_script(what.argv, fix, program);
  for (const std::string& word : {"--root=" + paths_.state, std::string("--cgroup-manager=cgroupfs")})
    what.argv.insert(what.argv.end(), {"--runtime-arg", word});
  what.env = {"_OCI_SYNCPIPE=3", kLocale, kTemporary};
  slim_.give(what);
  what.fds.emplace_back(sync.get(), 3);
  return what;
}

void CrunRuntime::expect_start() {
  if (std::exchange(expecting_, true)) return;
  loop_.offload(open_groups_for_change, [this] { expecting_ = false; });
}

// The init waits on exec.fifo; opening it for writing, writing one byte and unlinking it is all that `crun
// start` does. In this order: an init that has seen a writer come and go without a byte fails when the next
// one comes, and one whose fifo is gone never starts.
Result<> CrunRuntime::start(const std::string& id) {
  const std::string fifo = paths_.state + "/" + id + "/exec.fifo";
  Fd fd(::open(fifo.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return fail(sys_error(errno, "start container", id));
  TRYV(write_all(fd.get(), std::string_view("\0", 1)));
  ::unlink(fifo.c_str());
  return {};
}

Task<Result<std::unique_ptr<Attachment>>> CrunRuntime::attach(const std::string& bundle, bool want_stdin) {
  CO_TRY(Fd fd, co_await connect_attach(loop_, bundle + "/attach"));
  co_return std::unique_ptr<Attachment>(new ConmonAttachment(loop_, std::move(fd), want_stdin));
}

static void write_ctl(const std::string& dir, const std::string& text) {
  Fd fd(::open((dir + "/ctl").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (fd) (void)write_all(fd.get(), text);
}

void CrunRuntime::resize(const std::string& bundle, int rows, int columns) {
  write_ctl(bundle, "1 " + std::to_string(rows) + " " + std::to_string(columns) + "\n");
}

Result<> CrunRuntime::signal(int pid, int signal) {
  if (pid <= 0) return fail(Code::kConflict, "container is not running");
  if (::kill(pid, signal) != 0) return fail(sys_error(errno, "kill", std::to_string(pid)));
  return {};
}

Task<Result<>> CrunRuntime::verb(std::vector<std::string> words) {
  std::vector<std::string> argv = {paths_.crun, "--root=" + paths_.state, "--cgroup-manager=cgroupfs"};
  argv.insert(argv.end(), words.begin(), words.end());
  CO_TRY(const auto output, co_await run_program(loop_, argv, {}, 30s));
  if (output.status != 0)
    co_return fail(Code::kInternal, "crun " + words[0] + ": " + std::string(trim(output.err)));
  co_return Result<>{};
}

Task<Result<>> CrunRuntime::pause(const std::string& id) { return verb({"pause", id}); }
Task<Result<>> CrunRuntime::resume(const std::string& id) { return verb({"resume", id}); }

Task<Result<>> CrunRuntime::update(Update update) {
  const std::string file = update.bundle + "/resources.json";
  CO_TRYV(write_file(file, update.resources_json, 0600));
  CO_TRYV(co_await verb({"update", "--resources=" + file, update.id}));
  co_return lift_limits(update.cgroup, update.no_pids_limit, update.no_cpu_quota);
}

Task<Result<>> CrunRuntime::remove(const std::string& id, const std::string& cgroup) {
  clear_exit(id);
  co_await none_given_up(id);
  const std::string state = paths_.state + "/" + id;
  if (!exists(state)) {  // crun forgets a container that could not be made, but not its groups
    remove_empty_groups(cgroup);
    co_return Result<>{};
  }
  auto work = [state] { return remove_ended(state); };
  if (co_await blocking(loop_, work)) co_return Result<>{};
  co_return co_await verb({"delete", "--force", id});
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
  void resize(int rows, int columns) override {
    write_ctl(dir_, "1 " + std::to_string(rows) + " " + std::to_string(columns) + "\n");
  }
};

}  // namespace

Task<Result<std::unique_ptr<RunningExec>>> CrunRuntime::exec(ExecStart spec) {
  expect_start();
  CO_TRYV(make_dirs(spec.dir + "/exit", 0700));
  CO_TRYV(write_file(spec.dir + "/process.json", spec.process_json, 0600));
  CO_TRY(auto sync, make_pipe());
  CO_TRY(auto start, make_pipe());
  CO_TRY(auto attach, make_pipe());
  Spawn what = conmon(spec.container_id, spec.dir, fix_streams(spec), sync.second);
  what.env.push_back("_OCI_STARTPIPE=4");
  what.fds.emplace_back(start.first.get(), 4);
  what.argv.insert(what.argv.end(),
                   {"-u", spec.exec_id, "-e", "--exec-process-spec", spec.dir + "/process.json", "--exit-dir",
                    spec.dir + "/exit", "-l", "none", "--runtime-arg", "--log=" + spec.dir + "/log"});
  if (spec.attach) {
    what.argv.push_back("--exec-attach");
    what.env.push_back("_OCI_ATTACHPIPE=5");
    what.fds.push_back({attach.second.get(), 5});
  }
  if (spec.tty) what.argv.insert(what.argv.end(), {"-t", "--leave-stdin-open"});
  if (spec.open_stdin) what.argv.push_back("-i");
  CO_TRY(const int child, spawn(what));
  sync.second.reset(), start.first.reset(), attach.second.reset();
  auto result = std::make_unique<ConmonExec>(loop_, std::move(sync.first), spec.dir);
  CO_TRYV(write_all(start.second.get(), "x"));
  if (spec.attach) {
    LineReader ready(loop_, std::move(attach.first));
    const TimerId late = loop_.call_after(30s, [&ready] { ready.close(); });
    auto line = co_await ready.line();
    loop_.cancel(late);
    if (line && !line->empty()) {
      auto fd = co_await connect_attach(loop_, spec.dir + "/attach");
      if (fd)
        result->attachment_ = std::make_unique<ConmonAttachment>(loop_, std::move(*fd), spec.open_stdin);
    }
    (void)!::write(start.second.get(), "x", 1);
  }
  start.second.reset();
  const TimerId late = loop_.call_after(60s, [raw = result.get()] { raw->reader_.close(); });
  auto line = co_await result->reader_.line();
  loop_.cancel(late);
  (void)co_await wait_status(loop_, child, 10s);
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

bool CrunRuntime::oom_seen(const std::string& bundle) { return exists(bundle + "/oom"); }

}  // namespace panal
