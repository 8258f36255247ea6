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
Spawn CrunRuntime::conmon(const std::string& container, const std::string& dir, const StreamFix& fix) {
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

void CrunRuntime::resize(const std::string& bundle, int rows, int columns) {
  resize_terminal(bundle, rows, columns);
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
  co_await gone(id);
  const std::string state = paths_.state + "/" + id;
  if (!exists(state)) {  // crun forgets a container that could not be made, but not its groups
    remove_empty_groups(cgroup);
    co_return Result<>{};
  }
  auto work = [state] { return remove_ended(state); };
  if (co_await blocking(loop_, work)) co_return Result<>{};
  co_return co_await verb({"delete", "--force", id});
}

bool CrunRuntime::oom_seen(const std::string& bundle) { return exists(bundle + "/oom"); }

}  // namespace panal
