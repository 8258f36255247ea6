// Containers: attach and wait.
#include <algorithm>

#include "api/api.h"
#include "api/body.h"
#include "api/containers/pump.h"
#include "api/websocket.h"
#include "base/log.h"
#include "base/text.h"
#include "node/logs/logs.h"

namespace panal {

std::string stream_frame(int stream, std::string_view data) {
  std::string out(8, '\0');
  out[0] = static_cast<char>(stream);
  for (int i = 0; i < 4; ++i)
    out[4 + static_cast<size_t>(i)] = static_cast<char>(data.size() >> (24 - 8 * i));
  out.append(data);
  return out;
}

static Task<Result<>> write_frame(Stream& client, int stream, std::string text) {
  co_return co_await client.write(stream_frame(stream, text));
}

// Client -> process, until the client ends or hangs up, or the detach keys are typed.
Task<void> pump_input(Stream& client, Attachment& process, std::string detach_keys,
                      std::function<void()> on_gone) {
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
    (void)co_await process.write(
        data);  // a program that is gone leaves the rest unread: it is taken and dropped
  }
  process.close_stdin();
}

Task<void> pump_output(Stream& client, Attachment& process, bool raw, bool want_out, bool want_err) {
  bool client_gone = false;
  for (;;) {
    auto piece = co_await process.read();
    if (!piece || piece->data.empty()) co_return;
    if (client_gone || (piece->stream == 1 ? !want_out : !want_err)) continue;
    auto sent = raw ? co_await client.write(piece->data)
                    : co_await client.write(stream_frame(piece->stream, piece->data));
    if (!sent) client_gone = true;  // keep draining: an unread socket would stop the container
  }
}

std::string detach_sequence(const std::string& spec, std::string& error) {
  std::string out;
  for (const auto& key : split(spec.empty() ? "ctrl-p,ctrl-q" : spec, ',')) {
    if (key.size() == 1)
      out += key;
    else if (key.starts_with("ctrl-") && key.size() == 6 &&
             ((key[5] >= 'a' && key[5] <= 'z') || std::string_view("@[\\]^_").contains(key[5])))
      out += static_cast<char>(key[5] & 0x1f);
    else
      error = "Unknown character: '" + key + "'";
  }
  return out;
}

std::string stream_type(const HttpRequest& request, bool tty) {
  if (api_minor(request) < 42) return "application/vnd.docker.raw-stream";
  return tty ? "application/vnd.docker.raw-stream" : "application/vnd.docker.multiplexed-stream";
}

Task<void> part_from(Loop& loop, Stream& client, Scope& input) {
  client.close_write();
  const TimerId patience = loop.call_after(2s, [&client] { client.close(); });
  co_await input.join();
  loop.cancel(patience);
  client.close();
}

// python3-docker loses what its buffer takes together with the head; dockerd is never so quick.
Task<void> settle_reader(Loop& loop, const HttpRequest& request) {
  if (request.header("user-agent").starts_with("docker-sdk-python")) co_await loop.sleep(25ms);
}

enum class Way { kStream, kWebSocket };

static Task<Result<Stream*>> take_over(Call& call, Way way, bool tty,
                                       std::unique_ptr<WebSocketStream>& socket) {
  if (way == Way::kStream) co_return co_await call.http.hijack(stream_type(call.request(), tty));
  const std::string key = call.request().header("sec-websocket-key");
  if (lower(call.request().header("upgrade")) != "websocket" || key.empty() || key.size() > 128)
    co_return fail(Code::kInvalid, "not a websocket handshake");
  call.http.add_header("Sec-WebSocket-Accept", websocket_accept(key));
  CO_TRY(Stream * bare, co_await call.http.upgrade("websocket"));
  socket = std::make_unique<WebSocketStream>(*bare);
  co_return socket.get();
}

static Task<Result<>> attach(Api& api, Call& call, Way way) {
  ApiParts& p = api.parts();
  CO_TRY(const LivePtr live, p.containers.find(call.arg()));
  const HttpRequest& r = call.request();
  std::string key_error;
  const std::string keys = detach_sequence(r.param("detachKeys"), key_error);
  if (!key_error.empty())
    co_return fail(Code::kInvalid,
                   "Invalid detach keys (" + r.param("detachKeys") + ") provided: " + key_error);
  if (live->c.state.phase == Phase::kPaused)
    co_return fail(Code::kConflict,
                   "container " + live->c.id + " is paused, unpause the container before attach");
  const bool tty = live->c.config.tty, stream = r.flag("stream"), logs = r.flag("logs");
  const bool in = r.flag("stdin") && live->c.config.open_stdin, out = r.flag("stdout"),
             err = r.flag("stderr");
  if (logs) CO_TRYV(readable_log(live->c));
  const bool raw =
      tty || way == Way::kWebSocket;  // frames of that protocol tell no streams apart, as in Docker
  std::unique_ptr<WebSocketStream> socket;
  CO_TRY(Stream * client, co_await take_over(call, way, tty, socket));
  if (logs) {
    co_await settle_reader(p.loop, call.request());
    LogQuery query;
    query.out = out, query.err = err;
    const auto write = [&](const LogLine& line, const std::string& text) {
      return raw ? client->write(text) : write_frame(*client, line.stream, text);
    };
    CO_TRYV(co_await follow_log(p, live, query, [] { return false; }, write));
  }
  if (!stream) {
    if (socket) co_await socket->finish();
    co_return Result<>{};
  }
  p.containers.event(live->c, "attach");
  // A client may end its input and still listen, so only a hang-up says that it is gone; the container need
  // not say a word for that.
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
    const std::function<void()> detach = [&] {
      p.containers.event(live->c, "detach");
      process->close();
    };
    auto input = [&]() -> Task<void> {
      if (in) co_return co_await pump_input(*client, *process, tty ? keys : "", detach);
      std::string ignored(4096, '\0');  // what a client that only listens sends is taken and dropped
      for (;;)
        if (auto n = co_await client->read(ignored); !n || *n == 0) co_return;
    };
    scope.spawn(input());
    co_await pump_output(*client, *process, raw, out, err);
    process->close();
    if (socket) co_await socket->finish();
    co_await part_from(p.loop, *client, scope);
  }
  client->close();
  co_await watch.join();
  if (!attachment) co_return std::unexpected(attachment.error());
  co_return Result<>{};
}

static Task<Result<>> wait(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const LivePtr live, p.containers.find(call.arg()));
  const std::string condition = call.request().param("condition", "not-running");
  if (condition != "not-running" && condition != "next-exit" && condition != "removed")
    co_return fail(Code::kInvalid, "invalid condition: \"" + condition + "\"");
  // The headers go out at once: the CLI starts the container only after it has seen them.
  call.http.on_close([live, &p] { live->changed.notify(p.loop); });
  CO_TRYV(co_await call.http.begin(200, "application/json"));
  auto code = co_await p.containers.wait(live, condition, [&call] { return call.http.closed(); });
  if (!code) co_return std::unexpected(code.error());
  JsonObject out{{"StatusCode", *code}};
  if (!live->c.state.error.empty() && live->c.state.phase == Phase::kCreated)
    out["Error"] = JsonObject{{"Message", live->c.state.error}};
  CO_TRYV(co_await call.http.write(dump(out) + "\n"));
  co_return co_await call.http.end();
}

void add_container_stream_routes(Api& api) {
  api.route("POST", "/containers/{}/attach", [&api](Call& c) { return attach(api, c, Way::kStream); });
  api.route("GET", "/containers/{}/attach/ws", [&api](Call& c) { return attach(api, c, Way::kWebSocket); });
  api.route("POST", "/containers/{}/wait", [&api](Call& c) { return wait(api, c); });
}

}  // namespace panal
