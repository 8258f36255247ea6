// Processes started in a running container: exec, and the health checks built on it.
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "node/containers/containers.h"

namespace panal {

Task<Result<std::string>> Containers::exec_create(LivePtr live, ExecConfig config, bool in, bool out,
                                                  bool err) {
  if (live->c.state.phase == Phase::kPaused)
    co_return fail(Code::kConflict,
                   "Container " + live->c.name + " is paused, unpause the container before exec");
  if (live->c.state.phase != Phase::kRunning)
    co_return fail(Code::kConflict, "container " + live->c.id + " is not running");
  if (config.cmd.empty()) co_return fail(Code::kInvalid, "No exec command specified");
  // A client asks for the exit code after the end, so one that has just ended stays.
  for (const auto& [most, age] : {std::pair<size_t, Duration>{256, 60s}, {4096, 5s}})
    if (live->execs.size() >= most)
      std::erase_if(live->execs, [&](const auto& e) {
        const bool over = !e.second->running && loop_.now() - e.second->idle_since > age;
        if (over) execs_.erase(e.first);
        return over;
      });
  if (live->execs.size() >= 4096)
    co_return fail(Code::kConflict, "too many exec instances in this container");
  runtime_.expect_start();
  auto exec = std::make_shared<ExecSession>();
  exec->id = early_.new_exec_id(live->c.id, config.tty, in, in || out || err),
  exec->container_id = live->c.id, exec->idle_since = loop_.now(), exec->config = std::move(config);
  exec->attach_stdin = in, exec->attach_stdout = out, exec->attach_stderr = err;
  live->execs[exec->id] = exec;
  execs_[exec->id] = live;
  event(live->c, "exec_create: " + panal::join(exec->config.cmd, " "), {{"execID", exec->id}});
  co_return exec->id;
}

Result<std::shared_ptr<ExecSession>> Containers::find_exec(const std::string& id) const {
  auto it = execs_.find(id);
  if (it != execs_.end())
    if (auto live = it->second.lock())
      if (auto exec = live->execs.find(id); exec != live->execs.end()) return exec->second;
  return fail(Code::kNotFound, "No such exec instance: " + id);
}

Task<Result<std::shared_ptr<RunningExec>>> Containers::exec_start(std::shared_ptr<ExecSession> exec,
                                                                  bool detach) {
  if (exec->started)
    co_return fail(Code::kConflict, exec->running ? "exec command " + exec->id + " is already running"
                                                  : "exec command " + exec->id + " has already run");
  CO_TRY(const LivePtr live, find(exec->container_id));
  if (live->c.state.phase != Phase::kRunning)
    co_return fail(Code::kConflict, "container " + live->c.id + " is not running");
  exec->started = true, exec->idle_since = loop_.now();
  auto process = co_await exec_process(live, exec, detach);
  if (!process && !exec->exit_code) exec->exit_code = 126;  // as a shell's for what cannot be run
  co_return process;
}

Task<Result<std::shared_ptr<RunningExec>>> Containers::exec_process(LivePtr live,
                                                                    std::shared_ptr<ExecSession> exec,
                                                                    bool detach) {
  const std::string root =
      "/proc/" + std::to_string(live->c.state.pid) + "/root";  // the mount may be another life's
  const std::string& user_text = exec->config.user.empty() ? live->c.config.user : exec->config.user;
  auto passwd = layers_.read_in_root(root, "/etc/passwd"), group = layers_.read_in_root(root, "/etc/group");
  CO_TRY(const ResolvedUser user,
         resolve_user(user_text, live->c.host.group_add, passwd.value_or(""), group.value_or("")));
  ExecStart start;
  start.container_id = live->c.id, start.exec_id = exec->id, start.container_bundle = dir(live->c);
  start.dir = early_.exec_dir(exec->id);
  start.program = exec->config.cmd[0], start.tty = exec->config.tty,
  start.open_stdin = exec->attach_stdin && !detach, start.attach = !detach, start.uid = user.uid,
  start.root_uid = live->c.state.root_uid, start.root_gid = live->c.state.root_gid;
  const ExecStart like = start;
  CO_TRY(const std::string apparmor, co_await apparmor_profile(live->c));
  auto monitor = co_await early_.take_exec(like);
  if (!monitor) {
    (void)remove_tree(like.dir);
    co_return std::unexpected(monitor.error());
  }
  const uint64_t life = live->exits;
  start.process_json = oci_process(live->c, exec->config, user, runtime_.capabilities(), exec->rows,
                                   exec->columns, link_env(live->c), apparmor);
  auto running = co_await runtime_.exec(std::move(*monitor), std::move(start));
  if (!running) {
    const std::string& text = running.error().message;
    exec->exit_code =
        text.find("not found") != std::string::npos || text.find("no such file") != std::string::npos ? 127
                                                                                                      : 126;
    co_await runtime_.gone(exec->id);
    (void)remove_tree(like.dir);
    std::string reason = text;  // the same words, without what belongs to a container's creation
    const std::string head =
        "failed to create task for container: failed to create shim task: OCI runtime create failed: ";
    if (reason.starts_with(head))
      reason = "OCI runtime exec failed: exec failed: " + reason.substr(head.size());
    co_return fail(Code::kInvalid, reason);
  }
  exec->process = std::move(*running);
  exec->pid = exec->process->pid(), exec->running = true;
  event(live->c, "exec_start: " + panal::join(exec->config.cmd, " "), {{"execID", exec->id}});
  if (!exec->of_health && live->exits == life && live->c.state.phase == Phase::kRunning)
    early_.exec_started(like);
  const auto process = exec->process;  // it may have ended before this returns
  scope_.spawn(watch_exec(live, exec));
  co_return process;
}

Task<void> Containers::watch_exec(LivePtr live, std::shared_ptr<ExecSession> exec) {
  const auto process = exec->process;
  auto code = co_await process->wait();
  exec->exit_code = code.value_or(137);
  exec->running = false, exec->pid = 0, exec->idle_since = loop_.now();
  exec->process.reset();  // whoever still reads its output holds it
  exec->ended.notify(loop_);
  (void)remove_tree(early_.exec_dir(exec->id));
  if (!live->removed)
    event(live->c, "exec_die", {{"execID", exec->id}, {"exitCode", std::to_string(*exec->exit_code)}});
}

Task<Result<std::pair<int, std::string>>> Containers::exec_run(LivePtr live, ExecConfig config,
                                                               Duration timeout) {
  CO_TRY(const std::string id, co_await exec_create(live, std::move(config), false, true, true));
  CO_TRY(auto exec, find_exec(id));
  exec->of_health = true;
  auto started = co_await exec_start(exec, false);
  if (!started) {
    live->execs.erase(id), execs_.erase(id);
    co_return std::unexpected(started.error());
  }
  bool late = false;
  const TimerId deadline = loop_.call_after(timeout, [this, exec, &late] {
    late = true;
    if (exec->pid > 0) (void)runtime_.signal(exec->pid, 9);
  });
  std::string output;
  const auto process = *started;
  while (process && process->attachment()) {
    auto piece = co_await process->attachment()->read();
    if (!piece || piece->data.empty()) break;
    if (output.size() < 4096) output += piece->data.substr(0, 4096 - output.size());
  }
  output = to_utf8(output);
  while (exec->running) (void)co_await exec->ended.wait(loop_);
  loop_.cancel(deadline);
  const int code = exec->exit_code.value_or(137);
  live->execs.erase(id), execs_.erase(id);
  if (late)
    co_return fail(Code::kTimeout, "Health check exceeded timeout (" + go_duration(timeout) + ")" +
                                       (output.empty() ? "" : ": " + output));
  co_return std::pair{code, output};
}

// Docker's health state machine: starting until the first success, failures inside the start period do not
// count.
Task<void> Containers::health_loop(LivePtr live, uint64_t life) {
  const HealthConfig h = *live->c.config.healthcheck;
  const auto or_default = [](int64_t ns, Duration fallback) { return ns > 0 ? Duration(ns) : fallback; };
  const Duration interval = or_default(h.interval, 30s), timeout = or_default(h.timeout, 30s),
                 start_interval = or_default(h.start_interval, 5s);
  const int retries = h.retries > 0 ? h.retries : 3;
  const auto alive = [&] { return live->exits == life && !live->removed && !stopping_; };
  while (alive()) {
    const bool in_start = live->c.state.health == "starting" && h.start_period > 0 &&
                          loop_.wall_now() - live->c.state.started_at < Duration(h.start_period);
    const MonoTime due = loop_.now() + (in_start ? start_interval : interval);
    while (alive() && loop_.now() < due) (void)co_await live->changed.wait(loop_, due - loop_.now());
    if (!alive()) co_return;
    if (live->c.state.phase != Phase::kRunning) continue;
    ExecConfig config;
    if (h.test[0] == "CMD-SHELL")
      config.cmd =
          live->c.config.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : live->c.config.shell,
      config.cmd.push_back(h.test.size() > 1 ? h.test[1] : "");
    else
      config.cmd.assign(h.test.begin() + 1, h.test.end());
    HealthResult result;
    result.start = loop_.wall_now();
    auto run = co_await exec_run(live, config, timeout);
    if (!alive()) co_return;
    result.end = loop_.wall_now();
    result.exit_code = run ? run->first : -1;
    result.output = run ? run->second : run.error().message;
    ContainerState& s = live->c.state;
    const std::string before = s.health;
    s.health_log.push_back(result);
    if (s.health_log.size() > 5) s.health_log.erase(s.health_log.begin());
    if (result.exit_code == 0) {
      s.health = "healthy", s.health_failures = 0;
    } else if (!(s.health == "starting" && h.start_period > 0 &&
                 result.start - s.started_at < Duration(h.start_period))) {
      if (++s.health_failures >= retries) s.health = "unhealthy";
    }
    if (s.health != before) {
      event(live->c, "health_status: " + s.health);
      (void)co_await store(live->c);
      changed(live);
    }
  }
}

}  // namespace panal
