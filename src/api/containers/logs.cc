// Containers: logs. The files and their turns are node/logs/logs.h's.
#include "api/api.h"
#include "api/body.h"
#include "api/containers/pump.h"
#include "base/text.h"

namespace panal {

Result<> readable_log(const Container& c) {
  if (c.host.log_config.type == "none")
    return fail(Code::kUnsupported, "configured logging driver does not support reading");
  return {};
}

static Task<Result<>> logs(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const LivePtr live, p.containers.find(call.arg()));
  CO_TRY(const LogQuery query, parse_log_query(call.request(), p.loop.wall_now()));
  CO_TRYV(readable_log(live->c));
  const bool tty = live->c.config.tty;
  for (Duration left; !query.follow && (left = first_moment_left(live->c, p.loop.wall_now())) > Duration{0};)
    co_await live->changed.wait(p.loop, left);
  call.http.on_close([live, &p] { live->changed.notify(p.loop); });
  CO_TRYV(co_await call.http.begin(200, stream_type(call.request(), tty)));
  const auto write = [&](const LogLine& line, const std::string& text) -> Task<Result<>> {
    co_return tty ? co_await call.http.write(text)
                  : co_await call.http.write(stream_frame(line.stream, text));
  };
  CO_TRYV(co_await follow_log(p, live, query, [&call] { return call.http.closed(); }, write));
  co_return co_await call.http.end();
}

Result<LogQuery> parse_log_query(const HttpRequest& r, WallTime now) {
  LogQuery q;
  q.out = r.flag("stdout"), q.err = r.flag("stderr"), q.follow = r.flag("follow"),
  q.timestamps = r.flag("timestamps"), q.details = r.flag("details");
  if (!q.out && !q.err) return fail(Code::kInvalid, "Bad parameters: you must choose at least one stream");
  const std::string tail = r.param("tail", "all");
  if (auto n = parse_int(tail); n && *n >= 0) q.tail = static_cast<size_t>(*n);
  for (auto [name, into] : {std::pair{"since", &q.since}, {"until", &q.until}}) {
    const std::string text = r.param(name);
    if (text.empty() || text == "0") continue;
    TRY(*into, parse_moment(text, now));
  }
  return q;
}

Task<Result<>> follow_log(ApiParts& p, LivePtr live, LogQuery q, std::function<bool()> gone,
                          LogWriter write) {
  const std::string path = p.containers.log_path(live->c);
  const auto keep = [&](const LogLine& l) {
    return (l.stream == 1 ? q.out : q.err) && (!q.since || l.time >= *q.since) &&
           (!q.until || l.time <= *q.until);
  };
  LogReader reader(path);
  std::unique_ptr<FileWatch> watch = q.follow ? p.watch_file(path) : nullptr;
  if (q.tail) CO_TRYV(co_await reader.seek_tail(p.loop, *q.tail, keep));
  const std::string details = q.details ? details_text(log_attributes(live->c)) + " " : "";
  bool line_start[3] = {true, true, true};
  if (q.follow && q.until)
    p.loop.call_after(std::max<Duration>(*q.until - p.loop.wall_now(), Duration{0}),
                      [weak = std::weak_ptr(live), &loop = p.loop] {
                        if (const auto l = weak.lock()) l->changed.notify(loop);
                      });
  for (size_t passed_over = 0;;) {
    const bool running = is_running(live->c.state.phase) || live->mutex.locked();
    for (;;) {
      const auto line = reader.next();
      if (gone()) co_return Result<>{};
      if (!line) {
        if (!co_await reader.advance(p.loop)) break;
        if (q.follow) watch = p.watch_file(path);
        continue;
      }
      if (!keep(*line)) {
        if (++passed_over % 1024 == 0) co_await p.loop.yield();  // others have their turn
        continue;
      }
      std::string text;
      if (line_start[line->stream]) {
        if (q.timestamps) text += rfc3339_nano(line->time) + " ";
        text += details;
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

void add_container_log_routes(Api& api) {
  api.route("GET", "/containers/{}/logs", [&api](Call& c) { return logs(api, c); });
}

}  // namespace panal
