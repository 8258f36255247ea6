// Containers: what streams or waits - attach, logs, wait, stats, top.
#include <algorithm>

#include "api/api.h"
#include "api/body.h"
#include "api/pump.h"
#include "base/log.h"
#include "base/text.h"
#include "node/logs.h"

namespace panal {

std::string stream_frame(int stream, std::string_view data) {
  std::string out(8, '\0');
  out[0] = static_cast<char>(stream);
  for (int i = 0; i < 4; ++i) out[4 + static_cast<size_t>(i)] = static_cast<char>(data.size() >> (24 - 8 * i));
  out.append(data);
  return out;
}

// Client -> process, until the client ends or hangs up, or the detach keys are typed.
Task<void> pump_input(Stream& client, Attachment& process, std::string detach_keys, std::function<void()> on_gone) {
  std::string chunk(16384, '\0'), held;
  for (;;) {
    auto n = co_await client.read(chunk);
    if (!n || *n == 0) break;
    std::string data = held + chunk.substr(0, *n);
    held.clear();
    if (!detach_keys.empty()) {
      if (const size_t at = data.find(detach_keys); at != std::string::npos) {
        (void)co_await process.write(std::string_view(data).substr(0, at));
        on_gone();
        co_return;
      }
      for (size_t keep = std::min(detach_keys.size() - 1, data.size()); keep > 0; --keep)
        if (data.ends_with(detach_keys.substr(0, keep))) {
          held = data.substr(data.size() - keep);
          data.resize(data.size() - keep);
          break;
        }
    }
    (void)co_await process.write(data);  // a program that is gone leaves the rest unread: it is taken and dropped
  }
  process.close_stdin();
}

Task<void> pump_output(Stream& client, Attachment& process, bool raw, bool want_out, bool want_err) {
  bool client_gone = false;
  for (;;) {
    auto piece = co_await process.read();
    if (!piece || piece->data.empty()) co_return;
    if (client_gone || (piece->stream == 1 ? !want_out : !want_err)) continue;
    auto sent = raw ? co_await client.write(piece->data) : co_await client.write(stream_frame(piece->stream, piece->data));
    if (!sent) client_gone = true;  // keep draining: an unread socket would stop the container
  }
}

std::string detach_sequence(const std::string& spec, std::string& error) {
  std::string out;
  for (const auto& key : split(spec.empty() ? "ctrl-p,ctrl-q" : spec, ',')) {
    if (key.size() == 1) out += key;
    else if (key.starts_with("ctrl-") && key.size() == 6 && key[5] >= '@' && key[5] <= 'z') out += static_cast<char>(key[5] & 0x1f);
    else error = "Unknown character: '" + key + "'";
  }
  return out;
}

std::string stream_type(const HttpRequest& request, bool tty) {
  const std::string version = request.api_version.empty() ? kApiVersion : request.api_version;
  const auto minor = parse_int(version.substr(version.find('.') + 1));
  if (minor && *minor < 42) return "application/vnd.docker.raw-stream";
  return tty ? "application/vnd.docker.raw-stream" : "application/vnd.docker.multiplexed-stream";
}

Task<void> part_from(Loop& loop, Stream& client, Scope& input) {
  client.close_write();
  const TimerId patience = loop.call_after(2s, [&client] { client.close(); });
  co_await input.join();
  loop.cancel(patience);
  client.close();
}

static Task<Result<>> replay(Stream& client, const std::string& path, bool tty, bool out, bool err) {
  LogReader reader(path, 0);
  while (auto line = reader.next()) {
    if (line->stream == 1 ? !out : !err) continue;
    CO_TRYV(tty ? co_await client.write(line->text) : co_await client.write(stream_frame(line->stream, line->text)));
  }
  co_return Result<>{};
}

static Task<Result<>> attach(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const LivePtr live, p.containers.find(call.arg()));
  const HttpRequest& r = call.request();
  std::string key_error;
  const std::string keys = detach_sequence(r.param("detachKeys"), key_error);
  if (!key_error.empty()) co_return fail(Code::kInvalid, "Invalid detach keys (" + r.param("detachKeys") + ") provided: " + key_error);
  if (live->c.state.phase == Phase::kPaused) co_return fail(Code::kConflict, "container " + live->c.id + " is paused, unpause the container before attach");
  const bool tty = live->c.config.tty, stream = r.flag("stream"), logs = r.flag("logs");
  const bool in = r.flag("stdin") && live->c.config.open_stdin, out = r.flag("stdout"), err = r.flag("stderr");
  CO_TRY(Stream* client, co_await call.http.hijack(stream_type(r, tty)));
  if (logs) co_await p.loop.sleep(10ms);  // python3-docker loses what its buffer takes together with the head; dockerd is never so quick
  if (logs) CO_TRYV(co_await replay(*client, p.containers.log_path(live->c), tty, out, err));
  if (!stream) co_return Result<>{};
  // A client may end its input and still listen, so only a hang-up says that it is gone; the container need not say a word for that.
  bool gone = false;
  Attachment* process = nullptr;
  Scope watch;
  auto watcher = [&]() -> Task<void> {
    co_await client->hung_up();
    gone = true;
    if (process) process->close();
    live->changed.notify(p.loop);
  };
  watch.spawn(watcher());
  auto attachment = co_await p.containers.attach(live, in, [&gone] { return gone; });
  if (attachment && *attachment && !gone) {
    process = attachment->get();
    Scope scope;
    const std::function<void()> detach = [process] { process->close(); };
    auto input = [&]() -> Task<void> {
      if (in) co_return co_await pump_input(*client, *process, tty ? keys : "", detach);
      std::string ignored(4096, '\0');  // what a client that only listens sends is taken and dropped
      for (;;)
        if (auto n = co_await client->read(ignored); !n || *n == 0) co_return;
    };
    scope.spawn(input());
    co_await pump_output(*client, *process, tty, out, err);
    process->close();
    co_await part_from(p.loop, *client, scope);
  }
  client->close();
  co_await watch.join();
  if (!attachment) co_return std::unexpected(attachment.error());
  co_return Result<>{};
}

static Task<Result<>> logs(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const LivePtr live, p.containers.find(call.arg()));
  CO_TRY(const LogQuery query, parse_log_query(call.request(), p.loop.wall_now()));
  const bool tty = live->c.config.tty;
  CO_TRYV(co_await call.http.begin(200, stream_type(call.request(), tty)));
  call.http.on_close([live, &p] { live->changed.notify(p.loop); });
  const auto write = [&](const LogLine& line, const std::string& text) -> Task<Result<>> {
    co_return tty ? co_await call.http.write(text) : co_await call.http.write(stream_frame(line.stream, text));
  };
  CO_TRYV(co_await follow_log(p, live, query, [&call] { return call.http.closed(); }, write));
  co_return co_await call.http.end();
}

Result<LogQuery> parse_log_query(const HttpRequest& r, WallTime now) {
  LogQuery q;
  q.out = r.flag("stdout"), q.err = r.flag("stderr"), q.follow = r.flag("follow"), q.timestamps = r.flag("timestamps"), q.details = r.flag("details");
  if (!q.out && !q.err) return fail(Code::kInvalid, "Bad parameters: you must choose at least one stream");
  const std::string tail = r.param("tail", "all");
  if (auto n = parse_int(tail); n && *n >= 0) q.tail = static_cast<size_t>(*n);
  for (auto [name, into] : {std::pair{"since", &q.since}, {"until", &q.until}}) {
    const std::string text = r.param(name);
    if (text.empty() || text == "0") continue;
    *into = parse_timestamp(text, now);
    if (!*into) return fail(Code::kInvalid, "failed to parse value as time or duration: \"" + text + "\"");
  }
  return q;
}

Task<Result<>> follow_log(ApiParts& p, LivePtr live, LogQuery q, std::function<bool()> gone, LogWriter write) {
  const std::string path = p.containers.log_path(live->c);
  const auto keep = [&](const LogLine& l) { return (l.stream == 1 ? q.out : q.err) && (!q.since || l.time >= *q.since) && (!q.until || l.time <= *q.until); };
  size_t offset = 0;
  if (q.tail) {
    CO_TRY(offset, tail_offset(path, *q.tail, keep));
  }
  LogReader reader(path, offset);
  bool line_start[3] = {true, true, true};
  std::unique_ptr<FileWatch> watch;
  if (q.follow) watch = p.watch_file(path);
  for (;;) {
    const bool running = live->c.state.phase == Phase::kRunning || live->c.state.phase == Phase::kPaused || live->c.state.phase == Phase::kRestarting || live->mutex.locked();
    while (auto line = reader.next()) {
      if (gone()) co_return Result<>{};
      if (!keep(*line)) continue;
      std::string text;
      if (line_start[line->stream]) {
        if (q.timestamps) text += rfc3339_nano(line->time) + " ";
        if (q.details) text += " ";
      }
      line_start[line->stream] = line->text.ends_with('\n');
      text += line->text;
      CO_TRYV(co_await write(*line, text));
    }
    if (!q.follow || !running || live->removed || gone()) co_return Result<>{};
    if (q.until && p.loop.wall_now() > *q.until) co_return Result<>{};
    // The log was complete before the state changed, so after an end one more pass sees everything.
    co_await watch->changed(live->changed);
  }
}

static Task<Result<>> wait(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const LivePtr live, p.containers.find(call.arg()));
  const std::string condition = call.request().param("condition", "not-running");
  if (condition != "not-running" && condition != "next-exit" && condition != "removed") co_return fail(Code::kInvalid, "invalid condition: \"" + condition + "\"");
  // The headers go out at once: the CLI starts the container only after it has seen them.
  CO_TRYV(co_await call.http.begin(200, "application/json"));
  call.http.on_close([live, &p] { live->changed.notify(p.loop); });
  auto code = co_await p.containers.wait(live, condition, [&call] { return call.http.closed(); });
  if (!code) co_return std::unexpected(code.error());
  JsonObject out{{"StatusCode", *code}};
  if (!live->c.state.error.empty() && live->c.state.phase == Phase::kCreated) out["Error"] = JsonObject{{"Message", live->c.state.error}};
  CO_TRYV(co_await call.http.write(dump(out) + "\n"));
  co_return co_await call.http.end();
}

static Json stats_json(ApiParts& p, const Container& c, const Usage& u, const Usage& before) {
  const auto cpu = [](const Usage& x) {
    return JsonObject{{"cpu_usage", JsonObject{{"total_usage", x.cpu_total_ns}, {"usage_in_kernelmode", x.cpu_system_ns}, {"usage_in_usermode", x.cpu_user_ns}}},
                      {"system_cpu_usage", x.host_cpu_ns}, {"online_cpus", x.online_cpus}, {"throttling_data", JsonObject{{"periods", 0}, {"throttled_periods", 0}, {"throttled_time", 0}}}};
  };
  return JsonObject{{"read", rfc3339(p.loop.wall_now())}, {"preread", "0001-01-01T00:00:00Z"}, {"id", c.id}, {"name", "/" + c.name}, {"num_procs", 0},
                    {"pids_stats", JsonObject{{"current", u.pids}}}, {"cpu_stats", cpu(u)}, {"precpu_stats", cpu(before)},
                    {"memory_stats", JsonObject{{"usage", u.memory_bytes}, {"max_usage", u.memory_max_bytes}, {"limit", u.memory_limit_bytes}, {"stats", JsonObject{{"total_inactive_file", u.memory_cache_bytes}, {"inactive_file", u.memory_cache_bytes}}}}},
                    {"blkio_stats", JsonObject{{"io_service_bytes_recursive", JsonArray{}}}}, {"networks", JsonObject{}}, {"storage_stats", JsonObject{}}};
}

static Task<Result<>> stats(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const LivePtr live, p.containers.find(call.arg()));
  const bool stream = call.request().flag("stream", true), one_shot = call.request().flag("one-shot");
  auto usage = [&] { return p.containers.runtime().usage(live->c.id).value_or(Usage{}); };
  Usage before;
  if (!stream) {
    if (!one_shot) {
      before = usage();
      co_await p.loop.sleep(1s);
    }
    co_await call.http.reply(200, dump(stats_json(p, live->c, usage(), before)));
    co_return Result<>{};
  }
  CO_TRYV(co_await call.http.begin(200, "application/json"));
  call.http.on_close([live, &p] { live->changed.notify(p.loop); });
  while (!call.http.closed() && !live->removed) {
    const Usage now = usage();
    CO_TRYV(co_await call.http.write(dump(stats_json(p, live->c, now, before)) + "\n"));
    before = now;
    const MonoTime due = p.loop.now() + 1s;
    while (!call.http.closed() && p.loop.now() < due) (void)co_await live->changed.wait(p.loop, due - p.loop.now());
  }
  co_return co_await call.http.end();
}

static Task<Result<>> top(Api& api, Call& call) {
  ApiParts& p = api.parts();
  const std::string args = call.request().param("ps_args", "-ef");
  if (args != "-ef" && args != "aux" && args != "ef") co_return fail(Code::kUnsupported, "ps arguments other than -ef are not supported yet: " + args);
  CO_TRY(const LivePtr live, p.containers.find(call.arg()));
  if (live->c.state.phase != Phase::kRunning) co_return fail(Code::kConflict, "container " + live->c.id + " is not running");
  CO_TRY(const auto rows, co_await p.containers.runtime().top(live->c.id, live->c.state.pid));
  JsonArray processes;
  for (const auto& row : rows) {
    JsonArray columns;
    for (const auto& column : row) columns.push_back(Json(column));
    processes.push_back(std::move(columns));
  }
  co_await call.http.reply(200, dump(JsonObject{{"Titles", JsonArray{"UID", "PID", "PPID", "CMD"}}, {"Processes", processes}}));
  co_return Result<>{};
}

void add_container_stream_routes(Api& api) {
  api.route("POST", "/containers/{}/attach", [&api](Call& c) { return attach(api, c); });
  api.route("GET", "/containers/{}/logs", [&api](Call& c) { return logs(api, c); });
  api.route("POST", "/containers/{}/wait", [&api](Call& c) { return wait(api, c); });
  api.route("GET", "/containers/{}/stats", [&api](Call& c) { return stats(api, c); });
  api.route("GET", "/containers/{}/top", [&api](Call& c) { return top(api, c); });
}

}  // namespace panal
