// Containers: create, list, inspect, and the verbs that move their state.
#include <algorithm>

#include "api/api.h"
#include "api/body.h"
#include "api/containers/create_body_json.h"
#include "api/containers/view.h"
#include "base/text.h"
#include "image/index.h"
#include "model/container_json.h"

namespace panal {

Task<Result<Json>> read_json(Call& call) {
  CO_TRY(const std::string text, co_await call.http.body(kMaxJsonBody));
  const std::string type = call.request().header("content-type"),
                    kind = lower(trim(type.substr(0, type.find(';'))));
  if (!text.empty() && kind.empty())
    co_return fail(Code::kInvalid, "malformed Content-Type header (" + type + "): mime: no media type");
  if (!kind.empty() && kind != "application/json")
    co_return fail(Code::kInvalid,
                   "unsupported Content-Type header (" + type + "): must be 'application/json'");
  if (trim(text).empty()) co_return Json(JsonObject{});
  auto parsed = parse_json(text);
  if (!parsed) co_return std::unexpected(parsed.error());
  if (!parsed->is_object()) co_return fail(Code::kInvalid, "invalid JSON: the body must be an object");
  co_return std::move(*parsed);
}

// A command may be a string in old clients: {"Cmd": "ls"}.
static void accept_string_commands(Json& body) {
  for (const char* key : {"Cmd", "Entrypoint"})
    if (auto* v = const_cast<Json*>(field_of(body.get_object(), key)); v && v->is_string()) {
      Json word = *v;
      *v = JsonArray{word};
    }
}

static Task<Result<>> create(Api& api, Call& call) {
  ApiParts& p = api.parts();
  const std::string platform = call.request().param("platform");
  CO_TRY(Json body, co_await read_json(call));
  accept_string_commands(body);
  CO_TRYV(check_mount_options(body, api_minor(call.request())));
  CO_TRY(auto wish, from_json<CreateBody>(body));
  if (std::ranges::all_of(body.get_object(), [](const auto& field) {
        return field.key() == "HostConfig" || field.key() == "NetworkingConfig";
      }))
    co_return fail(Code::kInvalid, "config cannot be empty in order to create a container");
  if (!platform.empty()) {
    CO_TRY(const auto wanted, parse_platform(platform));
    if (const auto image = p.images.find(wish.config.image);
        image && !platform_fits(platform_of(**image), wanted))
      co_return fail(Code::kNotFound, "image with reference " + wish.config.image +
                                          " was found but does not provide the specified platform (" +
                                          platform + ")");
  }
  std::map<std::string, Endpoint> endpoints;
  for (auto& [name, e] : wish.networking.endpoints) endpoints[name] = e.value_or(Endpoint{});
  if (endpoints.contains("default") && wish.host.network_mode != "default" && wish.host.network_mode != "") {
    endpoints[wish.host.network_mode] = endpoints["default"];
    endpoints.erase("default");
  }
  const int minor = api_minor(call.request());
  if (minor < 44 && endpoints.size() > 1) {
    std::string names;
    for (const auto& [name, e] : endpoints) names += (names.empty() ? "" : ", ") + name;
    co_return fail(Code::kInvalid, "Container cannot be created with multiple network endpoints: " + names);
  }
  CO_TRYV(place_mac_address(wish, minor, endpoints));
  if (minor < 40 && wish.host.ipc_mode.empty()) wish.host.ipc_mode = "shareable";  // what it was then
  p.containers.runtime().expect_start();
  CO_TRY(const auto made, co_await p.containers.create(call.request().param("name"), std::move(wish.config),
                                                       std::move(wish.host), std::move(endpoints)));
  JsonArray warnings;
  for (const auto& w : made.warnings) warnings.push_back(Json(w));
  if (!wish.mac_address.empty() && minor >= 44)
    warnings.push_back(
        "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig "
        "instead.");
  co_await call.http.reply(201, dump(JsonObject{{"Id", made.id}, {"Warnings", warnings}}));
  co_return Result<>{};
}

// "80", "80/udp", "8000-8010/tcp" against a port and its protocol.
struct PortRange {
  int first = 0, last = 0;
  std::string protocol = "tcp";
};
static std::optional<PortRange> parse_port_filter(const std::string& text) {
  PortRange out;
  const size_t slash = text.find('/');
  if (slash != std::string::npos) out.protocol = lower(text.substr(slash + 1));
  const std::string numbers = text.substr(0, slash);
  const size_t dash = numbers.find('-');
  const auto first = parse_int(numbers.substr(0, dash)),
             last = dash == std::string::npos ? first : parse_int(numbers.substr(dash + 1));
  if (!first || !last || *first < 0 || *last > 65535 || *first > *last ||
      (out.protocol != "tcp" && out.protocol != "udp" && out.protocol != "sctp"))
    return std::nullopt;
  out.first = static_cast<int>(*first), out.last = static_cast<int>(*last);
  return out;
}

static Result<> check_filters(const Filters& f) {
  const auto bad = [](const std::string& key, const std::string& value) {
    return fail(Code::kInvalid, "invalid filter '" + key + "=" + value + "'");
  };
  for (const auto& v : f.get("status"))
    if (Phase phase; !from_name(v, phase)) return bad("status", v);
  for (const auto& v : f.get("exited"))
    if (!parse_int(v)) return bad("exited", v);
  for (const auto& v : f.get("health"))
    if (v != "none" && v != "starting" && v != "healthy" && v != "unhealthy") return bad("health", v);
  for (const auto& v : f.get("is-task"))
    if (v != "true" && v != "false" && v != "1" && v != "0") return bad("is-task", v);
  for (const char* key : {"publish", "expose"})
    for (const auto& v : f.get(key))
      if (!parse_port_filter(v))
        return fail(Code::kInvalid, "invalid port '" + v + "' in filter '" + key + "'");
  return {};
}

// Either is enough, as in Docker.
static bool port_fits(const Filters& f, const Container& c) {
  if (!f.has("publish") && !f.has("expose")) return true;
  const auto fits = [&](const char* key, int port, const std::string& protocol) {
    return f.has(key) && f.any(key, [&](const std::string& v) {
      const auto range = parse_port_filter(v);
      return range && port >= range->first && port <= range->last && protocol == range->protocol;
    });
  };
  for (const auto& p : c.ports)
    if (fits("publish", p.host_port, p.protocol) || fits("expose", p.port, p.protocol)) return true;
  return std::ranges::any_of(c.config.exposed_ports, [&](const auto& exposed) {
    const size_t slash = exposed.first.find('/');
    return fits("expose", std::atoi(exposed.first.c_str()),
                slash == std::string::npos ? "tcp" : exposed.first.substr(slash + 1));
  });
}

static bool listed(ApiParts& p, const Filters& f, const Container& c) {
  const auto ancestor = [&](const std::string& v) {
    const auto image = p.images.find(v);
    if (!image) return c.image_ref == v;
    for (auto it = p.images.all().find(c.image_id); it != p.images.all().end();
         it = p.images.all().find(it->second.parent))
      if (it->first == (*image)->id) return true;
    return (*image)->id == c.image_id;
  };
  return f.matches("id", c.id) && (f.matches("name", c.name) || f.matches("name", "/" + c.name)) &&
         f.any("status", [&](const std::string& v) { return name_of(c.state.phase) == v; }) &&
         f.any("exited",
               [&](const std::string& v) {
                 return c.state.phase == Phase::kExited && std::to_string(c.state.exit_code) == v;
               }) &&
         f.any(
             "health",
             [&](const std::string& v) { return (c.state.health.empty() ? "none" : c.state.health) == v; }) &&
         f.any("network",
               [&](const std::string& v) {
                 if (v == "none" ? on_none(c) : v == "host" && c.host.network_mode == v) return true;
                 return std::ranges::any_of(c.networks, [&](const auto& n) {
                   return n.first == v || n.second.network_id == v || n.second.network_id.starts_with(v);
                 });
               }) &&
         f.any("volume",
               [&](const std::string& v) {
                 return std::ranges::any_of(c.mounts, [&](const auto& m) {
                   return m.name == v || m.destination == v || (m.type == "bind" && m.source == v);
                 });
               }) &&
         f.any("ancestor", ancestor) && f.labels("label", c.config.labels) && port_fits(f, c);
}

static Task<Result<>> list(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Filters f, Filters::parse(call.request(), {"id", "name", "label", "status", "exited", "health",
                                                          "network", "volume", "ancestor", "before", "since",
                                                          "is-task", "publish", "expose", "isolation"}));
  CO_TRYV(check_filters(f));
  const int64_t limit = parse_int(call.request().param("limit", "0")).value_or(0);
  const bool all =
      call.request().flag("all") || limit > 0 || f.has("status") || f.has("exited") || f.has("health");
  std::vector<LivePtr> found;
  for (const auto& [id, live] : p.containers.all()) {
    const Phase phase = live->c.state.phase;
    if (!all && !is_running(phase)) continue;
    if (f.has("is-task") &&
        (f.get("is-task")[0] == "true" || f.get("is-task")[0] == "1") != live->c.managed_by_swarm)
      continue;
    if (listed(p, f, live->c)) found.push_back(live);
  }
  for (const char* key : {"before", "since"})
    for (const auto& name : f.get(key)) {
      CO_TRY(const LivePtr edge, p.containers.find(name));
      std::erase_if(found, [&](const LivePtr& l) {
        return std::string(key) == "before" ? l->c.created >= edge->c.created
                                            : l->c.created <= edge->c.created;
      });
    }
  std::ranges::sort(found, [](const LivePtr& a, const LivePtr& b) { return a->c.created > b->c.created; });
  if (limit > 0 && found.size() > static_cast<size_t>(limit)) found.resize(static_cast<size_t>(limit));
  JsonArray out;
  const Containers::LinkNames links = p.containers.link_names();
  for (const auto& live : found) {
    Json summary = container_summary(p, live->c, links);
    if (api_minor(call.request()) < 46) summary.get_object()["HostConfig"].get_object().erase("Annotations");
    if (call.request().flag("size")) co_await add_sizes(p, live, summary);
    out.push_back(std::move(summary));
  }
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Task<Result<>> inspect(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const LivePtr live, p.containers.find(call.arg()));
  Json out = container_inspect(p, *live);
  if (const auto main = live->c.networks.find(live->c.host.network_mode);
      main != live->c.networks.end() && !main->second.wanted_mac.empty())  // old clients read it there
    out.get_object()["Config"].get_object()["MacAddress"] = main->second.wanted_mac;
  if (call.request().flag("size")) co_await add_sizes(p, live, out);
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Result<std::optional<int>> timeout_of(const HttpRequest& request) {
  const std::string text = request.param("t");
  if (text.empty()) return std::nullopt;
  const auto n = parse_int(text);
  if (!n) return fail(Code::kInvalid, "strconv.Atoi: parsing \"" + text + "\": invalid syntax");
  return static_cast<int>(std::clamp<int64_t>(*n, -1, 1'000'000));
}

static Task<Result<>> start(Api& api, Call& call) {
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  co_return co_await api.parts().containers.start(live);
}
static Task<Result<>> stop(Api& api, Call& call) {
  CO_TRY(const auto timeout, timeout_of(call.request()));
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  co_return co_await api.parts().containers.stop(live, timeout, call.request().param("signal"));
}
static Task<Result<>> restart(Api& api, Call& call) {
  CO_TRY(const auto timeout, timeout_of(call.request()));
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  co_return co_await api.parts().containers.restart(live, timeout, call.request().param("signal"));
}
static Task<Result<>> kill(Api& api, Call& call) {
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  co_return co_await api.parts().containers.kill(live, call.request().param("signal"));
}
static Task<Result<>> pause(Api& api, Call& call) {
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  co_return co_await api.parts().containers.pause(live);
}
static Task<Result<>> unpause(Api& api, Call& call) {
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  co_return co_await api.parts().containers.unpause(live);
}
static Task<Result<>> rename(Api& api, Call& call) {
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  co_return co_await api.parts().containers.rename(live, call.request().param("name"));
}
template <class A>
void fields(A& a, UpdateWish& w) {
  HostConfig& h = w.limits;
  a("CpuShares", h.cpu_shares), a("Memory", h.memory), a("NanoCpus", h.nano_cpus),
      a("CpuPeriod", h.cpu_period), a("CpuQuota", h.cpu_quota);
  a("CpusetCpus", h.cpuset_cpus), a("CpusetMems", h.cpuset_mems),
      a("MemoryReservation", h.memory_reservation), a("MemorySwap", h.memory_swap);
  a("PidsLimit", h.pids_limit), a("RestartPolicy", w.restart_policy), a("BlkioWeight", h.blkio.weight);
  a("CpuRealtimePeriod", h.cpu_rt_period), a("CpuRealtimeRuntime", h.cpu_rt_runtime);
  for (const char* name : {"CgroupParent", "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps",
                           "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps", "Devices", "DeviceCgroupRules",
                           "DeviceRequests", "KernelMemoryTCP", "MemorySwappiness", "OomKillDisable", "Init",
                           "Ulimits", "CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth"})
    a.refuse(name, "it cannot be changed after the creation");
}

static Task<Result<>> update(Api& api, Call& call) {
  CO_TRY(const Json body, co_await read_json(call));
  CO_TRY(auto wish, from_json<UpdateWish>(body));
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  if (api_minor(call.request()) < 40) wish.limits.pids_limit.reset();  // not known then
  CO_TRY(auto warnings, co_await api.parts().containers.update(live, std::move(wish)));
  co_await call.http.reply(
      200, dump(JsonObject{{"Warnings", warnings.empty() ? Json(nullptr) : to_json(warnings)}}));
  co_return Result<>{};
}

static Task<Result<>> remove(Api& api, Call& call) {
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  if (call.request().flag("link")) co_return co_await api.parts().containers.remove_link(call.arg());
  co_return co_await api.parts().containers.remove(live, call.request().flag("force"),
                                                   call.request().flag("v"));
}

static Result<int> extent(const HttpRequest& request, const char* key, const char* name) {
  const std::string text = request.param(key);
  const auto n = parse_int(text);
  const std::string what = std::string("invalid resize ") + name + " \"" + text.substr(0, 64) + "\": ";
  if (!n && (text.empty() || text.find_first_not_of("0123456789", text[0] == '-') != std::string::npos))
    return fail(Code::kInvalid, what + "invalid syntax");
  if (!n || *n < 0 || *n > UINT32_MAX) return fail(Code::kInvalid, what + "value out of range");
  return static_cast<int>(std::min<int64_t>(*n, UINT16_MAX));  // a terminal has no more
}
Result<TerminalSize> terminal_size(const HttpRequest& request) {
  TerminalSize out;
  TRY(out.rows, extent(request, "h", "height"));
  TRY(out.columns, extent(request, "w", "width"));
  return out;
}

static Task<Result<>> resize(Api& api, Call& call) {
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  CO_TRY(const auto size, terminal_size(call.request()));
  CO_TRYV(api.parts().containers.resize(live, size.rows, size.columns));
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

static Task<Result<>> prune(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Filters f, Filters::parse(call.request(), {"label", "label!", "until"}));
  CO_TRY(const auto until, f.until(p.loop.wall_now()));
  std::vector<LivePtr> victims;
  for (const auto& [id, live] : p.containers.all()) {
    const Phase phase = live->c.state.phase;
    if (phase != Phase::kCreated && phase != Phase::kExited && phase != Phase::kDead) continue;
    if (!f.prunes(live->c.config.labels)) continue;
    if (!until || live->c.created < *until) victims.push_back(live);
  }
  JsonArray deleted;
  int64_t reclaimed = 0;
  for (const auto& live : victims) {
    const int64_t size = co_await p.layers.disk_usage(p.containers.rootfs(live->c) + "/diff");
    auto done = co_await p.containers.remove(live, false, false);
    if (done) deleted.push_back(Json(live->c.id)), reclaimed += size;
  }
  p.events.publish("container", "prune", "", {{"reclaimed", std::to_string(reclaimed)}});
  co_await call.http.reply(
      200, dump(JsonObject{{"ContainersDeleted", deleted.empty() ? Json(nullptr) : Json(deleted)},
                           {"SpaceReclaimed", reclaimed}}));
  co_return Result<>{};
}

void add_container_routes(Api& api) {
  api.route("POST", "/containers/create", [&api](Call& c) { return create(api, c); });
  api.route("GET", "/containers/json", [&api](Call& c) { return list(api, c); });
  api.route("POST", "/containers/prune", [&api](Call& c) { return prune(api, c); });
  api.route("GET", "/containers/{*}/json", [&api](Call& c) { return inspect(api, c); });
  api.route("POST", "/containers/{}/start", [&api](Call& c) { return start(api, c); });
  api.route("POST", "/containers/{}/stop", [&api](Call& c) { return stop(api, c); });
  api.route("POST", "/containers/{}/restart", [&api](Call& c) { return restart(api, c); });
  api.route("POST", "/containers/{}/kill", [&api](Call& c) { return kill(api, c); });
  api.route("POST", "/containers/{}/pause", [&api](Call& c) { return pause(api, c); });
  api.route("POST", "/containers/{}/unpause", [&api](Call& c) { return unpause(api, c); });
  api.route("POST", "/containers/{}/update", [&api](Call& c) { return update(api, c); });
  api.route("POST", "/containers/{}/rename", [&api](Call& c) { return rename(api, c); });
  api.route("POST", "/containers/{}/resize", [&api](Call& c) { return resize(api, c); });
  api.route("DELETE", "/containers/{*}", [&api](Call& c) { return remove(api, c); });
}

}  // namespace panal
