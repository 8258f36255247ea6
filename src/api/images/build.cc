// docker build (the classic endpoint), its cache, and the prune of it.
#include <algorithm>

#include "api/api.h"
#include "api/body.h"
#include "base/text.h"
#include "build/builder.h"
#include "image/registry.h"
#include "model/container_json.h"

namespace panal {

namespace {

template <class T>
Result<T> json_param(const HttpRequest& r, const std::string& name) {
  const std::string text = r.param(name);
  if (text.empty() || text == "null") return T{};
  auto parsed = from_text<T>(text);
  if (!parsed) return fail(Code::kInvalid, "error reading " + name + ": " + parsed.error().message);
  return *parsed;
}

Result<> take_number(const HttpRequest& r, const std::string& name, int64_t& out) {
  const std::string text = r.param(name);
  if (text.empty()) return {};
  const auto n = parse_int(text);
  if (!n) return fail(Code::kInvalid, "invalid value for " + name + ": " + text.substr(0, 64));
  out = *n;
  return {};
}

Result<std::map<std::string, RegistryAuth>> registry_config(const std::string& header) {
  std::map<std::string, RegistryAuth> out;
  if (header.empty()) return out;
  const auto text = unbase64(header);
  const auto json = text ? parse_json(*text) : fail(Code::kInvalid, "");
  if (json && json->is_null()) return out;  // Docker's own Go client, without a login
  if (!json || !json->is_object())
    return fail(Code::kInvalid, "X-Registry-Config is no base64 of a JSON object");
  for (const auto& [registry, auth] : json->get_object()) {
    TRY(out[registry], auth_from_json(dump(auth)));
  }
  return out;
}

Result<std::map<std::string, std::optional<std::string>>> build_args(const HttpRequest& r) {
  std::map<std::string, std::optional<std::string>> out;
  const std::string text = r.param("buildargs");
  if (text.empty() || text == "null") return out;
  const auto json = parse_json(text);
  if (!json || !json->is_object()) return fail(Code::kInvalid, "error reading build args: not a JSON object");
  for (const auto& [name, value] : json->get_object()) {
    if (!value.is_null() && !value.is_string())
      return fail(Code::kInvalid, "error reading build args: " + std::string(name) + " is no string");
    out[name] = value.is_null() ? std::nullopt : std::optional(str(value));
  }
  return out;
}

Result<> take_limits(const HttpRequest& r, HostConfig& host) {
  for (auto [name, into] : {std::pair{"memory", &host.memory},
                            {"memswap", &host.memory_swap},
                            {"cpushares", &host.cpu_shares},
                            {"cpuperiod", &host.cpu_period},
                            {"cpuquota", &host.cpu_quota},
                            {"shmsize", &host.shm_size}})
    TRYV(take_number(r, name, *into));
  host.cpuset_cpus = r.param("cpusetcpus"), host.cpuset_mems = r.param("cpusetmems"),
  host.cgroup_parent = r.param("cgroupparent");
  TRY(host.ulimits, json_param<std::vector<Ulimit>>(r, "ulimits"));
  TRY(host.security_opt, json_param<std::vector<std::string>>(r, "securityopt"));
  for (auto [it, end] = r.query.equal_range("extrahosts"); it != end; ++it) {
    if (it->second.empty()) continue;
    if (!it->second.starts_with('['))
      host.extra_hosts.push_back(it->second);
    else {
      TRY(const auto list, from_text<std::vector<std::string>>(it->second));
      host.extra_hosts.insert(host.extra_hosts.end(), list.begin(), list.end());
    }
  }
  return {};
}

Result<BuildRequest> request_of(const HttpRequest& r) {
  BuildRequest out;
  if (r.param("version") == "2")
    return fail(Code::kUnsupported,
                "BuildKit is not supported: set DOCKER_BUILDKIT=0 for the classic builder");
  if (r.flag("squash")) return fail(Code::kUnsupported, "squash is not supported");
  if (!r.param("outputs").empty() && r.param("outputs") != "null" && r.param("outputs") != "[]")
    return fail(Code::kUnsupported, "outputs is not supported: the result of a build is an image");
  if (const std::string isolation = r.param("isolation"); !isolation.empty() && isolation != "default")
    return fail(Code::kInvalid, "isolation " + isolation + " is not supported on Linux");
  if (!r.param("dockerfile").empty()) out.dockerfile = r.param("dockerfile");
  out.remote = r.param("remote"), out.target = r.param("target");
  for (auto [it, end] = r.query.equal_range("t"); it != end; ++it)
    if (!it->second.empty()) out.tags.push_back(it->second);
  TRY(out.cache_from, json_param<std::vector<std::string>>(r, "cachefrom"));
  TRY(out.args, build_args(r));
  TRY(out.labels, (json_param<std::map<std::string, std::string>>(r, "labels")));
  out.no_cache = r.flag("nocache"), out.pull = r.flag("pull"), out.quiet = r.flag("q");
  out.keep_containers = !r.flag("rm", true) && !r.flag("forcerm");
  if (!r.param("platform").empty()) {
    TRY(out.platform, parse_platform(r.param("platform")));
  }
  if (!r.param("networkmode").empty()) out.network = r.param("networkmode");
  TRYV(take_limits(r, out.host));
  TRY(out.auths, registry_config(r.header("x-registry-config")));
  return out;
}

// Passes the transcript on until the build has ended; a client that is gone ends it.
Task<Result<>> tell(Api& api, Call& call, Build& build, bool quiet) {
  ApiParts& p = api.parts();
  Transcript transcript(p.loop, build.stages(), quiet);
  Result<std::string> outcome;
  call.http.on_close([&build] { build.halt(); });
  CO_TRYV(co_await call.http.begin(200, "application/json"));
  const auto work = [&]() -> Task<void> { outcome = co_await build.run(transcript); };
  Scope scope;
  scope.spawn(work());
  Result<> written;
  for (std::string text; !(text = co_await transcript.next()).empty();) {
    if (written) written = co_await call.http.write(text);
    if (!written) build.halt(), transcript.abandon();
  }
  co_await scope.join();
  CO_TRYV(written);
  std::string end;
  if (!outcome) {
    JsonObject detail{{"message", to_utf8(outcome.error().message)}};
    if (build.exit_code()) detail["code"] = build.exit_code();
    end = dump(JsonObject{{"errorDetail", detail}, {"error", to_utf8(outcome.error().message)}}) + "\r\n";
  } else {
    const std::string& id = *outcome;
    if (const auto unused = build.unused_args(); !unused.empty() && !quiet)
      end += Transcript::line("[Warning] One or more build-args [" + join(unused, " ") +
                              "] were not consumed\n");
    end += Transcript::line(quiet ? id + "\n" : "Successfully built " + id.substr(7, 12) + "\n");
    for (const auto& tag : quiet ? std::vector<std::string>{} : build.tags())
      end += Transcript::line("Successfully tagged " + tag + "\n");
  }
  CO_TRYV(co_await call.http.write(end));
  co_return co_await call.http.end();
}

Task<Result<>> build(Api& api, Call& call) {
  CO_TRY(BuildRequest request, request_of(call.request()));
  const bool quiet = request.quiet;
  const auto build = api.parts().builder.start(std::move(request));
  auto done = co_await build->open([&call] { return call.http.read_body(); });
  if (done) done = co_await tell(api, call, *build, quiet);
  co_await build->close();
  co_return done;
}

Task<Result<>> prune(Api& api, Call& call) {
  ApiParts& p = api.parts();
  const HttpRequest& r = call.request();
  CO_TRY(const Filters f, Filters::parse(r, {"until", "id"}));
  for (const char* name : {"max-used-space", "min-free-space"})
    if (!r.param(name).empty() && r.param(name) != "0")
      co_return fail(Code::kUnsupported, std::string(name) + " is not supported: use keep-storage");
  Images::BuildPrune wish;
  CO_TRYV(take_number(r, "keep-storage", wish.keep_bytes));
  CO_TRYV(take_number(r, "reserved-space", wish.keep_bytes));
  CO_TRY(const auto until, f.until(p.loop.wall_now()));
  wish.all = r.flag("all");
  wish.wanted = [&](const Image& image) {
    return (!until || image.used_at < *until) && (!f.has("id") || f.any("id", [&](const std::string& id) {
             return image.id.starts_with(id) || image.id.substr(7).starts_with(id);
           }));
  };
  wish.in_use = [&p](const std::string& id) {
    bool running = false;
    return !p.containers.user_of_image(id, running).empty();
  };
  CO_TRY(Images::BuildPruned gone, co_await p.images.prune_builds(std::move(wish)));
  if (r.flag("all") && !f.has("id") && !until)
    for (const auto& folder : p.builder.caches().all()) {
      if (folder.in_use) continue;
      const int64_t bytes = co_await p.layers.disk_usage(folder.path);
      if (auto removed = co_await p.builder.caches().remove(folder.name); removed)
        gone.ids.push_back(folder.name), gone.bytes += bytes;
    }
  p.events.publish("builder", "prune", "", {{"reclaimed", std::to_string(gone.bytes)}});
  co_await call.http.reply(
      200, dump(JsonObject{{"CachesDeleted", gone.ids.empty() ? Json(nullptr) : to_json(gone.ids)},
                           {"SpaceReclaimed", gone.bytes}}));
  co_return Result<>{};
}

}  // namespace

Task<Json> build_cache_usages(ApiParts& p) {
  JsonArray out;
  for (const auto& [id, image] : p.images.all()) {
    if (!image.hidden()) continue;
    bool running = false;
    const int64_t own = p.images.own_size(image);
    JsonObject entry{{"ID", id.substr(7, 25)},
                     {"Type", "regular"},
                     {"Description", image.history.empty() ? "" : image.history.back().created_by},
                     {"InUse", !p.containers.user_of_image(id, running).empty()},
                     {"Shared", own == 0 && image.size_bytes > 0},
                     {"Size", own},
                     {"CreatedAt", rfc3339(image.created_at)},
                     {"LastUsedAt", rfc3339(image.used_at)},
                     {"UsageCount", image.cache_hits}};
    if (!image.parent.empty()) entry["Parents"] = JsonArray{image.parent.substr(7, 25)};
    out.push_back(std::move(entry));
  }
  for (const auto& folder : p.builder.caches().all()) {
    const int64_t bytes = co_await p.layers.disk_usage(folder.path);
    out.push_back(JsonObject{{"ID", folder.name},
                             {"Type", "exec.cachemount"},
                             {"Description", "cached mount"},
                             {"InUse", folder.in_use},
                             {"Shared", false},
                             {"Size", bytes},
                             {"CreatedAt", rfc3339(p.loop.wall_now())},
                             {"LastUsedAt", nullptr},
                             {"UsageCount", 1}});
  }
  co_return out;
}

void add_build_routes(Api& api) {
  api.route("POST", "/build", [&api](Call& c) { return build(api, c); });
  api.route("POST", "/build/prune", [&api](Call& c) { return prune(api, c); });
}

}  // namespace panal
