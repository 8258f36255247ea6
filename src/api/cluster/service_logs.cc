// Logs of services and tasks: every node reads its own containers' logs, the manager that was asked merges
// them.
#include <algorithm>

#include "api/api.h"
#include "api/body.h"
#include "api/cluster/swarm_parts.h"
#include "api/containers/pump.h"
#include "base/text.h"
#include "model/cluster_json.h"

namespace panal {

struct LogRequest {
  std::string task;
  bool out = true, err = true, follow = false;
  int64_t tail = -1, since = 0, until = 0;
};
template <class A>
void fields(A& a, LogRequest& r) {
  a("Task", r.task), a("Out", r.out), a("Err", r.err), a("Follow", r.follow), a("Tail", r.tail),
      a("Since", r.since), a("Until", r.until);
}
struct LogRecord {
  int64_t time = 0;
  int stream = 1;
  std::string text;  // base64: a program may write any bytes
};
template <class A>
void fields(A& a, LogRecord& r) {
  a("T", r.time), a("S", r.stream), a("X", r.text);
}

// On the node that ran the task.
static Task<Result<>> serve_log(Api& api, RpcStream& stream) {
  ApiParts& p = api.parts();
  CO_TRY(auto first, co_await stream.read());
  if (!first) co_return fail(Code::kInvalid, "a log request without a message");
  CO_TRY(const auto request, from_text<LogRequest>(*first));
  LivePtr live;
  for (const auto& [id, candidate] : p.containers.all())
    if (auto label = candidate->c.config.labels.find("com.docker.swarm.task.id");
        label != candidate->c.config.labels.end() && label->second == request.task)
      live = candidate;
  if (!live) co_return fail(Code::kNotFound, "no container of task " + request.task + " on this node");
  CO_TRYV(readable_log(live->c));
  LogQuery q;
  q.out = request.out, q.err = request.err, q.follow = request.follow;
  if (request.tail >= 0) q.tail = static_cast<size_t>(request.tail);
  if (request.since) q.since = WallTime(Duration(request.since));
  if (request.until) q.until = WallTime(Duration(request.until));
  bool gone = false;
  const auto write = [&](const LogLine& line, const std::string& text) -> Task<Result<>> {
    LogRecord record{line.time.time_since_epoch().count(), line.stream, base64(text)};
    auto sent = co_await stream.write(to_text(record));
    if (!sent) gone = true;
    co_return sent;
  };
  co_return co_await follow_log(p, live, q, [&gone] { return gone; }, write);
}

namespace {

struct TaskSource {
  ClusterTask task;
  std::string address;
  bool local = false;
};

}  // namespace

static std::string line_text(const LogQuery& q, const LogRecord& r, const TaskSource& s) {
  std::string out;
  if (q.timestamps) out += rfc3339_nano(WallTime(Duration(r.time))) + " ";
  if (q.details)
    out += "com.docker.swarm.node.id=" + s.task.node_id +
           ",com.docker.swarm.service.id=" + s.task.service_id +
           ",com.docker.swarm.task.id=" + s.task.meta.id + " ";
  return out + unbase64(r.text).value_or("");
}

// The tasks there are now, and whether there may be more: with follow they are asked for again whenever the
// store changed.
struct Sources {
  std::vector<TaskSource> tasks;
  bool more = true;
};
static Task<Result<>> stream_logs(Api& api, Call& call, std::function<Sources(const Manager&)> sources,
                                  bool tty) {
  ApiParts& p = api.parts();
  std::list<TaskSource> known;
  CO_TRY(const LogQuery q, parse_log_query(call.request(), p.loop.wall_now()));
  std::vector<RpcStream*> open;
  call.http.on_close([&open, &p] {
    for (auto* s : open) s->cancel();
    if (const ManagerPtr m = p.swarm->manager()) m->changed().notify(p.loop);
  });
  CO_TRYV(co_await call.http.begin(
      200, tty ? "application/vnd.docker.raw-stream" : "application/vnd.docker.multiplexed-stream"));
  const auto send = [&](const LogRecord& r, const TaskSource& s) -> Task<Result<>> {
    const std::string text = line_text(q, r, s);
    co_return tty ? co_await call.http.write(text) : co_await call.http.write(stream_frame(r.stream, text));
  };
  std::multimap<int64_t, std::pair<LogRecord, const TaskSource*>> lines;
  size_t gathered_bytes = 0;
  bool broken = false;
  auto read_one = [&](const TaskSource& s, bool later) -> Task<void> {
    LogRequest request{s.task.meta.id,
                       q.out,
                       q.err,
                       q.follow,
                       q.tail && !later ? static_cast<int64_t>(*q.tail) : -1,
                       q.since ? q.since->time_since_epoch().count() : 0,
                       q.until ? q.until->time_since_epoch().count() : 0};
    auto stream = co_await p.swarm->transport().open(s.address + ":7946", "/panal.Node/Logs");
    if (!stream) co_return;
    open.push_back(stream->get());
    auto sent = co_await (*stream)->write(to_text(request));
    if (sent) (*stream)->finish();
    while (sent && !broken && !call.http.closed()) {
      auto message = co_await (*stream)->read();
      if (!message || !*message) break;
      auto record = from_text<LogRecord>(**message);
      if (!record) break;
      if (q.follow) {
        auto written = co_await send(*record, s);
        if (!written) broken = true;
      } else if ((gathered_bytes += record->text.size() + 64) < (64u << 20)) {
        lines.emplace(record->time, std::pair{std::move(*record), &s});
      }
    }
    std::erase(open, stream->get());
  };
  Scope scope;
  for (bool later = false; !broken && !call.http.closed(); later = true) {
    const ManagerPtr m = p.swarm->manager();
    if (!m) break;
    const Sources now = sources(*m);
    for (const auto& s : now.tasks)
      if (std::ranges::none_of(known, [&](const TaskSource& k) { return k.task.meta.id == s.task.meta.id; }))
        scope.spawn(read_one(known.emplace_back(s), later));
    if (!q.follow || !now.more) break;
    (void)co_await m->changed().wait(p.loop, 5s);
  }
  co_await scope.join();
  if (q.tail && lines.size() > *q.tail)
    lines.erase(lines.begin(), std::prev(lines.end(), static_cast<long>(*q.tail)));
  for (const auto& [time, line] : lines) CO_TRYV(co_await send(line.first, *line.second));
  co_return co_await call.http.end();
}

static std::optional<TaskSource> source_of(const Manager& m, const ClusterTask& t) {
  const Node* n = m.store().node(t.node_id);
  if (!n || n->state != NodeState::kReady || t.status.state < TaskState::kStarting) return std::nullopt;
  return TaskSource{t, n->address, false};
}

static Task<Result<>> service_logs(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const Service* s, find_service(*m, call.arg()));
  const auto sources = [id = s->meta.id](const Manager& now) {
    Sources out{{}, now.store().service(id) != nullptr};
    for (const auto& [task_id, t] : now.store().tasks)
      if (t.service_id == id)
        if (auto source = source_of(now, t)) out.tasks.push_back(std::move(*source));
    return out;
  };
  const bool tty = s->spec.task.container.tty;
  co_return co_await stream_logs(api, call, sources, tty);
}

static Task<Result<>> task_logs(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const ClusterTask* t, find_task(*m, call.arg()));
  const auto sources = [id = t->meta.id](const Manager& now) {
    const ClusterTask* t = now.store().task(id);
    Sources out{{}, t && !terminal(t->status.state)};
    if (t)
      if (auto source = source_of(now, *t)) out.tasks.push_back(std::move(*source));
    return out;
  };
  const bool tty = t->spec.container.tty;
  co_return co_await stream_logs(api, call, sources, tty);
}

void add_service_log_routes(Api& api) {
  api.route("GET", "/services/{}/logs", [&api](Call& c) { return service_logs(api, c); });
  api.route("GET", "/tasks/{}/logs", [&api](Call& c) { return task_logs(api, c); });
  api.parts().swarm->transport().serve_stream(
      "/panal.Node/Logs", {"manager"}, [&api](Peer, RpcStream& stream) { return serve_log(api, stream); });
}

}  // namespace panal
