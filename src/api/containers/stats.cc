// Containers: stats and top. Nothing is measured while nobody listens.
#include "api/api.h"
#include "api/body.h"
#include "base/fd.h"
#include "base/text.h"
#include "engine/top.h"

namespace panal {

static JsonObject cpu_json(const Usage& u) {
  JsonObject usage{{"total_usage", u.cpu_total_ns},
                   {"usage_in_kernelmode", u.cpu_system_ns},
                   {"usage_in_usermode", u.cpu_user_ns}};
  if (!u.per_cpu_ns.empty()) {
    JsonArray each;
    for (const uint64_t ns : u.per_cpu_ns) each.push_back(Json(ns));
    usage["percpu_usage"] = each;
  }
  JsonObject out{{"cpu_usage", usage}};
  if (u.host_cpu_ns) out["system_cpu_usage"] = u.host_cpu_ns, out["online_cpus"] = u.online_cpus;
  out["throttling_data"] = JsonObject{
      {"periods", u.periods}, {"throttled_periods", u.throttled_periods}, {"throttled_time", u.throttled_ns}};
  return out;
}

static JsonObject memory_json(const Usage& u) {
  JsonObject out;
  if (u.memory_bytes == 0 && u.memory.empty()) return out;
  JsonObject stats;
  for (const auto& [name, value] : u.memory) stats[name] = value;
  out["usage"] = u.memory_bytes, out["stats"] = stats, out["limit"] = u.memory_limit_bytes;
  if (u.v2) return out;
  out["max_usage"] = u.memory_max_bytes;
  if (u.memory_failures) out["failcnt"] = u.memory_failures;
  return out;
}

static Json counts_json(const std::vector<DeviceCount>& counts) {
  if (counts.empty()) return nullptr;
  JsonArray out;
  for (const auto& c : counts)
    out.push_back(JsonObject{{"major", c.major}, {"minor", c.minor}, {"op", c.op}, {"value", c.value}});
  return out;
}

// /proc/PID/net/dev: "  eth0: bytes packets errs drop fifo frame compressed multicast | bytes packets errs
// drop ..."
static std::optional<JsonObject> networks_json(ApiParts& p, const Container& c) {
  const Container* owner = &c;
  if (network_mode(c).starts_with("container:"))
    if (const auto other = p.containers.find(c.host.network_mode.substr(10))) owner = &(*other)->c;
  if (network_mode(*owner) == "host" || on_none(*owner) || owner->state.pid <= 0) return std::nullopt;
  static constexpr const char* kNames[] = {"rx_bytes", "rx_packets", "rx_errors", "rx_dropped",
                                           nullptr,    nullptr,      nullptr,     nullptr,
                                           "tx_bytes", "tx_packets", "tx_errors", "tx_dropped"};
  JsonObject out;
  for (const auto& line : split(
           read_file("/proc/" + std::to_string(owner->state.pid) + "/net/dev", 1 << 20).value_or(""), '\n')) {
    const size_t colon = line.find(':');
    const std::string name(trim(line.substr(0, colon)));
    if (colon == std::string::npos || name == "lo") continue;
    JsonObject counts;
    size_t column = 0;
    for (const auto& word : split(line.substr(colon + 1), ' ')) {
      if (word.empty()) continue;
      if (column < std::size(kNames) && kNames[column])
        counts[kNames[column]] = std::strtoull(word.c_str(), nullptr, 10);
      ++column;
    }
    out[name] = counts;
  }
  return out;
}

namespace {
struct Sample {
  Usage usage;
  std::optional<WallTime> at;  // none: not measured
};
}  // namespace

static Sample measure(ApiParts& p, const Container& c) {
  auto usage = p.containers.runtime().usage(p.containers.cgroup(c));
  if (!usage || !is_up(c.state.phase)) return {};
  return {std::move(*usage), p.loop.wall_now()};
}

static Json stats_json(ApiParts& p, const Container& c, const Sample& now, const Sample& before) {
  const char* never = "0001-01-01T00:00:00Z";
  const auto time = [&](const Sample& s) { return s.at ? rfc3339_nano(*s.at) : std::string(never); };
  JsonObject pids;
  if (now.at)
    pids["current"] = now.usage.pids,
    pids["limit"] = now.usage.pids_limit ? now.usage.pids_limit : UINT64_MAX;
  JsonObject blkio{{"io_service_bytes_recursive", counts_json(now.usage.io_bytes)},
                   {"io_serviced_recursive", counts_json(now.usage.io_operations)}};
  for (const char* none : {"io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive",
                           "io_merged_recursive", "io_time_recursive", "sectors_recursive"})
    blkio[none] = nullptr;
  JsonObject out{{"name", "/" + c.name},
                 {"id", c.id},
                 {"read", time(now)},
                 {"preread", time(before)},
                 {"pids_stats", pids},
                 {"blkio_stats", blkio},
                 {"num_procs", 0},
                 {"storage_stats", JsonObject{}},
                 {"cpu_stats", cpu_json(now.usage)},
                 {"precpu_stats", cpu_json(before.usage)},
                 {"memory_stats", memory_json(now.usage)}};
  if (now.at)
    if (auto networks = networks_json(p, c)) out["networks"] = std::move(*networks);
  return out;
}

static Task<Result<>> stats(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const LivePtr live, p.containers.find(call.arg()));
  const bool stream = call.request().flag("stream", true), one_shot = call.request().flag("one-shot");
  if (stream && one_shot) co_return fail(Code::kInvalid, "cannot have stream=true and one-shot=true");
  Sample before;
  if (!stream) {
    const bool running = is_up(live->c.state.phase);
    if (!one_shot && running) {
      before = measure(p, live->c);
      co_await p.loop.sleep(1s);
    }
    co_await call.http.reply(200, dump(stats_json(p, live->c, measure(p, live->c), before)));
    co_return Result<>{};
  }
  call.http.on_close([live, &p] { live->changed.notify(p.loop); });
  CO_TRYV(co_await call.http.begin(200, "application/json"));
  while (!call.http.closed() && !live->removed) {
    const Sample now = measure(p, live->c);
    CO_TRYV(co_await call.http.write(dump(stats_json(p, live->c, now, before)) + "\n"));
    before = now;
    const MonoTime due = p.loop.now() + 1s;
    while (!call.http.closed() && !live->removed && p.loop.now() < due)
      (void)co_await live->changed.wait(p.loop, due - p.loop.now());
  }
  co_return co_await call.http.end();
}

static Task<Result<>> top(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(auto words, ps_words(call.request().param("ps_args")));
  CO_TRY(const LivePtr live, p.containers.find(call.arg()));
  const Phase phase = live->c.state.phase;
  if (phase == Phase::kRestarting)
    co_return fail(Code::kConflict,
                   "Container " + live->c.id + " is restarting, wait until the container is running");
  if (!is_up(phase)) co_return fail(Code::kConflict, "container " + live->c.id + " is not running");
  const std::set<int> pids = p.containers.runtime().processes(p.containers.cgroup(live->c));
  std::string list;
  for (const int pid : pids) list += (list.empty() ? "-q" : ",") + std::to_string(pid);
  auto narrow = words;
  narrow.push_back(list);
  auto output = co_await p.containers.runtime().ps(std::move(narrow));
  if (!output)
    output = co_await p.containers.runtime().ps(std::move(words));  // some of its options do not go with -q
  if (!output) co_return std::unexpected(output.error());
  CO_TRY(const ProcessTable table, parse_ps(*output, pids));
  JsonArray titles, processes;
  for (const auto& title : table.titles) titles.push_back(Json(title));
  for (const auto& row : table.rows) {
    JsonArray columns;
    for (const auto& column : row) columns.push_back(Json(to_utf8(column)));
    processes.push_back(std::move(columns));
  }
  p.containers.event(live->c, "top");
  co_await call.http.reply(200, dump(JsonObject{{"Titles", titles}, {"Processes", processes}}));
  co_return Result<>{};
}

void add_container_stats_routes(Api& api) {
  api.route("GET", "/containers/{}/stats", [&api](Call& c) { return stats(api, c); });
  api.route("GET", "/containers/{}/top", [&api](Call& c) { return top(api, c); });
}

}  // namespace panal
