// Exec: processes started in a running container.
#include "api/api.h"
#include "api/body.h"
#include "api/containers/pump.h"
#include "base/text.h"

namespace panal {

struct ExecBody {
  ExecConfig config;
  bool in = false, out = false, err = false;
  std::string keys;
  std::vector<int> console;
};
template <class A>
void fields(A& a, ExecBody& b) {
  a("AttachStdin", b.in), a("AttachStdout", b.out), a("AttachStderr", b.err), a("DetachKeys", b.keys),
      a("Tty", b.config.tty), a("Env", b.config.env);
  a("Cmd", b.config.cmd), a("Privileged", b.config.privileged), a("User", b.config.user),
      a("WorkingDir", b.config.working_dir), a("ConsoleSize", b.console);
}
struct ExecStartBody {
  bool detach = false, tty = false;
  std::vector<int> console;
};
template <class A>
void fields(A& a, ExecStartBody& b) {
  a("Detach", b.detach), a("Tty", b.tty), a("ConsoleSize", b.console);
}

static Task<Result<>> create(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Json json, co_await read_json(call));
  CO_TRY(const LivePtr live, p.containers.find(call.arg()));
  CO_TRY(auto body, from_json<ExecBody>(json));
  std::string key_error;
  (void)detach_sequence(body.keys, key_error);
  if (!key_error.empty())
    co_return fail(Code::kInvalid, "Invalid detach keys (" + body.keys + ") provided: " + key_error);
  CO_TRY(const std::string id,
         co_await p.containers.exec_create(live, std::move(body.config), body.in, body.out, body.err));
  if (auto exec = p.containers.find_exec(id)) {
    if (body.console.size() == 2) (*exec)->rows = body.console[0], (*exec)->columns = body.console[1];
    (*exec)->detach_keys = body.keys;
  }
  co_await call.http.reply(201, dump(JsonObject{{"Id", id}}));
  co_return Result<>{};
}

static Task<Result<>> start(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Json json, co_await read_json(call));
  CO_TRY(auto exec, p.containers.find_exec(call.arg()));
  CO_TRY(const auto body, from_json<ExecStartBody>(json));
  if (body.console.size() == 2) exec->rows = body.console[0], exec->columns = body.console[1];
  if (body.detach) {
    CO_TRYV(co_await p.containers.exec_start(exec, true));
    co_await call.http.reply(200, "");
    co_return Result<>{};
  }
  const bool tty = exec->config.tty;
  if (exec->started) co_return fail(Code::kConflict, "exec command " + exec->id + " has already run");
  CO_TRY(const LivePtr live, p.containers.find(exec->container_id));
  if (live->c.state.phase != Phase::kRunning)
    co_return fail(Code::kConflict, "container " + live->c.id + " is not running");
  const bool raw = body.tty;  // as the client reads it, whatever the program has
  // The connection is taken over before the program runs: clients read from then on.
  CO_TRY(Stream * client, co_await call.http.hijack(stream_type(call.request(), raw)));
  auto started = co_await p.containers.exec_start(exec, false);
  if (!started) {
    const std::string text = started.error().message + "\r\n";
    (void)co_await client->write(raw ? text : stream_frame(1, text));
    client->close_write();
    co_return Result<>{};
  }
  co_await settle_reader(p.loop, call.request());
  const auto running = *started;
  Attachment* process = running ? running->attachment() : nullptr;
  if (!process) co_return Result<>{};
  Scope scope;
  bool detached = false;
  const std::function<void()> detach = [process, &detached] {
    detached = true;
    process->close();
  };
  auto input = [&]() -> Task<void> {
    std::string ignored;
    const std::function<void()> typed = [&] {
      p.containers.event(live->c, "exec_detach", {{"execID", exec->id}});
      detach();
    };
    co_await pump_input(*client, *process, tty ? detach_sequence(exec->detach_keys, ignored) : "", typed);
  };
  scope.spawn(input());
  Scope watch;
  auto watcher = [&]() -> Task<void> {
    co_await client->hung_up();
    detach();  // the program goes on, as in Docker; its monitor takes what it still says
    exec->ended.notify(p.loop);
  };
  watch.spawn(watcher());
  co_await pump_output(*client, *process, raw, exec->attach_stdout, exec->attach_stderr);
  // The exit code is known before the client is told of the end: `docker exec` asks for it right after.
  while (exec->running && !detached) (void)co_await exec->ended.wait(p.loop, 10s);
  co_await part_from(p.loop, *client, scope);
  co_await watch.join();
  co_return Result<>{};
}

static Task<Result<>> inspect(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(auto exec, p.containers.find_exec(call.arg()));
  JsonArray args;
  for (size_t i = 1; i < exec->config.cmd.size(); ++i) args.push_back(Json(exec->config.cmd[i]));
  JsonObject process{{"tty", exec->config.tty},
                     {"entrypoint", exec->config.cmd[0]},
                     {"arguments", args},
                     {"privileged", exec->config.privileged},
                     {"user", exec->config.user}};
  JsonObject out{{"ID", exec->id},
                 {"Running", exec->running},
                 {"ExitCode", exec->exit_code ? Json(*exec->exit_code) : Json(nullptr)},
                 {"ProcessConfig", process},
                 {"OpenStdin", exec->attach_stdin},
                 {"OpenStderr", exec->attach_stderr},
                 {"OpenStdout", exec->attach_stdout},
                 {"CanRemove", false},
                 {"ContainerID", exec->container_id},
                 {"DetachKeys", exec->detach_keys},
                 {"Pid", exec->pid}};
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Task<Result<>> resize(Api& api, Call& call) {
  CO_TRY(const auto size, terminal_size(call.request()));
  CO_TRY(auto exec, api.parts().containers.find_exec(call.arg()));
  if (!exec->running) co_return fail(Code::kConflict, "exec process is not running");
  exec->process->resize(size.rows, size.columns);
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

void add_exec_routes(Api& api) {
  api.route("POST", "/containers/{}/exec", [&api](Call& c) { return create(api, c); });
  api.route("POST", "/exec/{}/start", [&api](Call& c) { return start(api, c); });
  api.route("GET", "/exec/{}/json", [&api](Call& c) { return inspect(api, c); });
  api.route("POST", "/exec/{}/resize", [&api](Call& c) { return resize(api, c); });
}

}  // namespace panal
