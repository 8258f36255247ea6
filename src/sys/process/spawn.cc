#include "sys/process/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>

#include "sys/loop/async_fd.h"

extern char** environ;

namespace panal {

Result<int> spawn(const Spawn& what) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  std::array<bool, 3> given{};
  for (const auto& [ours, theirs] : what.fds)
    if (theirs < 3) given[static_cast<size_t>(theirs)] = true;
  for (int n = 0; n < 3; ++n)
    if (!given[static_cast<size_t>(n)])
      posix_spawn_file_actions_addopen(&actions, n, "/dev/null", n == 0 ? O_RDONLY : O_WRONLY, 0);
  // Targets may collide with sources: first move everything out of the way, then to its place.
  std::vector<Fd> high;
  for (const auto& [ours, theirs] : what.fds) {
    high.emplace_back(::fcntl(ours, F_DUPFD_CLOEXEC, 100));
    if (!high.back()) {
      const int error = errno;
      posix_spawn_file_actions_destroy(&actions);
      return fail(sys_error(error, "exec", what.argv[0]));
    }
    posix_spawn_file_actions_adddup2(&actions, high.back().get(), theirs);
  }
  if (!what.cwd.empty()) posix_spawn_file_actions_addchdir_np(&actions, what.cwd.c_str());

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (const int s : {SIGPIPE, SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&defaults, s);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                           (what.own_group ? POSIX_SPAWN_SETPGROUP : 0)));

  std::vector<char*> argv, env;
  for (const auto& a : what.argv) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const auto replaced = [&what](std::string_view ours) {
    return std::ranges::any_of(what.env, [&](const std::string& e) {
      return ours.starts_with(std::string_view(e).substr(0, e.find('=') + 1));
    });
  };
  for (char** e = environ; *e; ++e)
    if (!replaced(*e)) env.push_back(*e);
  for (const auto& e : what.env) env.push_back(const_cast<char*>(e.c_str()));
  env.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), env.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error) return fail(sys_error(error, "exec", what.argv[0]));
  return pid;
}

Task<Result<int>> wait_status(AsioLoop& loop, int pid, std::optional<Duration> timeout) {
  auto ended = co_await wait_pid(loop, pid, timeout);
  if (!ended && ended.error().code == Code::kTimeout) {
    ::kill(pid, SIGKILL);
    (void)co_await wait_pid(loop, pid);
    int status = 0;
    ::waitpid(pid, &status, 0);
    co_return std::unexpected(ended.error());
  }
  int status = 0;
  while (!ended &&
         ::waitpid(pid, &status, WNOHANG) == 0) {  // no descriptor left to wait with: look now and then
    co_await loop.sleep(20ms);
    if (::waitpid(pid, &status, WNOHANG) == pid)
      co_return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  if (ended && ::waitpid(pid, &status, 0) != pid) co_return fail(sys_error(errno, "waitpid"));
  co_return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static Task<void> drain(AsioLoop& loop, Fd fd, std::string& into) {
  FdStream stream(loop, std::move(fd));
  std::array<char, 16384> chunk;
  for (;;) {
    auto n = co_await stream.read(chunk);
    if (!n || *n == 0) co_return;
    if (into.size() < 16u << 20) into.append(chunk.data(), *n);
  }
}

static Task<void> fill(AsioLoop& loop, Fd fd, std::string data) {
  FdStream stream(loop, std::move(fd));
  (void)co_await stream.write(data);
}

Task<Result<Output>> run_program(AsioLoop& loop, std::vector<std::string> argv, std::string input,
                                 Duration timeout) {
  CO_TRY(auto in, make_pipe());
  CO_TRY(auto out, make_pipe());
  CO_TRY(auto err, make_pipe());
  Spawn what;
  what.argv = std::move(argv), what.own_group = true;
  const std::string name = what.argv[0];
  what.fds = {{in.first.get(), 0}, {out.second.get(), 1}, {err.second.get(), 2}};
  CO_TRY(const int pid, spawn(what));
  in.first.reset(), out.second.reset(), err.second.reset();
  Output result;
  Scope scope;
  scope.spawn(fill(loop, std::move(in.second), std::move(input)));
  scope.spawn(drain(loop, std::move(out.first), result.out));
  scope.spawn(drain(loop, std::move(err.first), result.err));
  auto status = co_await wait_status(loop, pid, timeout);
  if (!status) ::kill(-pid, SIGKILL);  // whom it has started hold its pipes
  co_await scope.join();
  if (!status) co_return fail(wrap(name, status.error()));
  result.status = *status;
  co_return std::move(result);
}

}  // namespace panal
