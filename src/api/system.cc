// /_ping, /version, /info, /events, /system/df, /auth
#include <algorithm>

#include "api/api.h"
#include "base/json.h"
#include "base/text.h"
#include "node/swarm_view.h"

namespace panal {

static Task<Result<>> ping(Api& api, Call& call) {
  call.http.add_header("Builder-Version", "1");
  call.http.add_header("Cache-Control", "no-cache, no-store, must-revalidate");
  call.http.add_header("Pragma", "no-cache");
  call.http.add_header("Swarm", swarm_state(api.parts().swarm));
  co_await call.http.reply(200, "OK", "text/plain; charset=utf-8");
  co_return Result<>{};
}

static Task<Result<>> version(Api& api, Call& call) {
  const SystemFacts& f = api.parts().facts;
  JsonObject out;
  JsonArray components;
  components.push_back(JsonObject{{"Name", "Engine"}, {"Version", PANAL_VERSION}, {"Details", JsonObject{{"ApiVersion", kApiVersion}, {"MinAPIVersion", kMinApiVersion}, {"Arch", f.architecture}, {"Os", "linux"}, {"KernelVersion", f.kernel_version}, {"GitCommit", ""}, {"GoVersion", "none"}, {"BuildTime", ""}, {"Experimental", "false"}}}});
  components.push_back(JsonObject{{"Name", "crun"}, {"Version", f.runtime_version}, {"Details", JsonObject{{"GitCommit", ""}}}});
  out["Platform"] = JsonObject{{"Name", "Panal"}};
  out["Components"] = components;
  out["Version"] = PANAL_VERSION, out["ApiVersion"] = kApiVersion, out["MinAPIVersion"] = kMinApiVersion, out["Os"] = "linux";
  out["Arch"] = f.architecture, out["KernelVersion"] = f.kernel_version, out["GitCommit"] = "", out["GoVersion"] = "", out["BuildTime"] = "";
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Json registry_config(const RegistryOptions& o) {
  JsonArray networks{"::1/128", "127.0.0.0/8"}, mirrors;
  JsonObject indexes;
  for (const auto& entry : o.insecure_registries) {
    if (entry.find('/') != std::string::npos) networks.push_back(Json(entry));
    else indexes[entry] = JsonObject{{"Name", entry}, {"Mirrors", JsonArray{}}, {"Secure", false}, {"Official", false}};
  }
  for (const auto& mirror : o.registry_mirrors) mirrors.push_back(Json(mirror + (mirror.ends_with('/') ? "" : "/")));
  indexes["docker.io"] = JsonObject{{"Name", "docker.io"}, {"Mirrors", mirrors}, {"Secure", true}, {"Official", true}};
  return JsonObject{{"InsecureRegistryCIDRs", networks}, {"IndexConfigs", indexes}, {"Mirrors", mirrors.empty() ? Json(nullptr) : Json(mirrors)}};
}

static Task<Result<>> info(Api& api, Call& call) {
  ApiParts& p = api.parts();
  int running = 0, paused = 0, stopped = 0;
  for (const auto& [id, live] : p.containers.all()) {
    const Phase phase = live->c.state.phase;
    if (phase == Phase::kRunning || phase == Phase::kRestarting) ++running;
    else if (phase == Phase::kPaused) ++paused;
    else ++stopped;
  }
  JsonObject out;
  out["ID"] = p.facts.id, out["Containers"] = running + paused + stopped, out["ContainersRunning"] = running, out["ContainersPaused"] = paused;
  out["ContainersStopped"] = stopped, out["Images"] = p.images.all().size(), out["Driver"] = "overlay2";
  out["DriverStatus"] = JsonArray{JsonArray{"Backing Filesystem", "extfs"}, JsonArray{"Supports d_type", "true"}};
  out["Plugins"] = JsonObject{{"Volume", JsonArray{"local"}}, {"Network", JsonArray{"bridge", "host", "null", "overlay"}}, {"Authorization", nullptr}, {"Log", JsonArray{"json-file", "local"}}};
  out["MemoryLimit"] = true, out["SwapLimit"] = true, out["CpuCfsPeriod"] = true, out["CpuCfsQuota"] = true, out["CPUShares"] = true, out["CPUSet"] = true;
  out["PidsLimit"] = true, out["IPv4Forwarding"] = true, out["Debug"] = p.facts.debug, out["OomKillDisable"] = !p.facts.cgroup_v2;
  out["SystemTime"] = rfc3339(p.loop.wall_now()), out["LoggingDriver"] = "json-file", out["CgroupDriver"] = "cgroupfs", out["CgroupVersion"] = p.facts.cgroup_v2 ? "2" : "1";
  out["KernelVersion"] = p.facts.kernel_version, out["OperatingSystem"] = p.facts.operating_system, out["OSVersion"] = p.facts.os_version, out["OSType"] = "linux";
  out["Architecture"] = p.facts.architecture == "amd64" ? "x86_64" : p.facts.architecture == "arm64" ? "aarch64" : p.facts.architecture;
  out["NCPU"] = p.facts.cpus, out["MemTotal"] = p.facts.memory_bytes, out["IndexServerAddress"] = "https://index.docker.io/v1/", out["DockerRootDir"] = p.facts.data_root;
  out["Name"] = p.facts.node_name, out["Labels"] = JsonArray{}, out["ExperimentalBuild"] = false, out["ServerVersion"] = PANAL_VERSION;
  out["Runtimes"] = JsonObject{{"crun", JsonObject{{"path", "crun"}}}}, out["DefaultRuntime"] = "crun", out["LiveRestoreEnabled"] = true, out["InitBinary"] = "tini";
  out["Isolation"] = "", out["SecurityOptions"] = to_json(p.facts.security_options), out["Warnings"] = p.facts.warnings.empty() ? Json(nullptr) : to_json(p.facts.warnings), out["NEventsListener"] = 0, out["NFd"] = 0, out["NGoroutines"] = 0;
  out["HttpProxy"] = "", out["HttpsProxy"] = "", out["NoProxy"] = "", out["RegistryConfig"] = registry_config(p.registry.options());
  out["ContainerdCommit"] = JsonObject{{"ID", ""}}, out["RuncCommit"] = JsonObject{{"ID", ""}}, out["InitCommit"] = JsonObject{{"ID", ""}};
  out["Swarm"] = swarm_info(p.swarm);
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Json event_json(const EngineEvent& e) {
  JsonObject attributes;
  for (const auto& [key, value] : e.attributes) attributes[key] = value;
  JsonObject out;
  if (e.type == "container" || e.type == "image") out["status"] = e.action, out["id"] = e.id;
  if (e.type == "container") {
    auto it = e.attributes.find("image");
    if (it != e.attributes.end()) out["from"] = it->second;
  }
  out["Type"] = e.type, out["Action"] = e.action, out["Actor"] = JsonObject{{"ID", e.id}, {"Attributes", attributes}}, out["scope"] = e.scope;
  out["time"] = e.time.time_since_epoch() / 1s, out["timeNano"] = e.time.time_since_epoch().count();
  return out;
}

static bool wanted(const Filters& f, const EngineEvent& e) {
  const auto name = e.attributes.find("name");
  const auto by_kind = [&](const std::string& kind) {
    return f.any(kind, [&](const std::string& v) { return e.type == kind && (e.id == v || e.id.starts_with(v) || (name != e.attributes.end() && name->second == v)); });
  };
  for (const char* kind : {"container", "volume", "network", "service", "node", "secret", "config"})
    if (!by_kind(kind)) return false;
  std::map<std::string, std::string> labels = e.attributes;
  const auto image = e.attributes.find("image");
  const bool image_fits = f.any("image", [&](const std::string& v) { return (image != e.attributes.end() && image->second == v) || (e.type == "image" && e.id == v); });
  return f.exact("type", e.type) && f.exact("scope", e.scope) && image_fits && f.labels("label", labels) &&
         f.any("event", [&](const std::string& v) { return e.action == v || e.action.starts_with(v + ":"); });
}

static Task<Result<>> events(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Filters filters, Filters::parse(call.request(), {"container", "event", "image", "label", "type", "volume", "network", "scope", "service", "node", "secret", "config", "daemon", "plugin"}));
  const WallTime now = p.loop.wall_now();
  std::optional<WallTime> since, until;
  for (auto [name, into] : {std::pair{"since", &since}, {"until", &until}}) {
    const std::string text = call.request().param(name);
    if (text.empty()) continue;
    *into = parse_timestamp(text, now);
    if (!*into) co_return fail(Code::kInvalid, "failed to parse value as time or duration: \"" + text + "\"");
  }
  uint64_t at = since ? p.events.oldest() : p.events.next();
  CO_TRYV(co_await call.http.begin(200, "application/json"));
  call.http.on_close([&p] { p.events.changed().notify(p.loop); });
  while (!call.http.closed()) {
    if (at < p.events.oldest()) co_return fail(Code::kCancelled, "the reader is too slow: events were lost");  // cut, not silently skipped
    while (at < p.events.next() && !call.http.closed()) {
      const EngineEvent e = p.events.at(at++);
      if ((since && e.time < *since) || (until && e.time > *until) || !wanted(filters, e)) continue;
      CO_TRYV(co_await call.http.write(dump(event_json(e)) + "\n"));
      if (at < p.events.oldest()) break;
    }
    std::optional<Duration> left;
    if (until) {
      if (p.loop.wall_now() >= *until) break;
      left = *until - p.loop.wall_now();
    }
    if (at == p.events.next()) (void)co_await p.events.changed().wait(p.loop, left);
  }
  co_return co_await call.http.end();
}

static Task<Result<>> disk_usage(Api& api, Call& call) {
  ApiParts& p = api.parts();
  JsonArray images, containers, volumes;
  int64_t layers_size = 0;
  std::set<std::string> counted;
  for (const auto& [id, image] : p.images.all()) {
    for (const auto& chain : image.chain_ids)
      if (const Layer* l = p.images.layer(chain); l && counted.insert(chain).second) layers_size += l->size_bytes;
    int64_t users = 0;
    for (const auto& [cid, live] : p.containers.all()) users += live->c.image_id == id;
    JsonArray tags;
    for (const auto& t : image.tags) tags.push_back(Json(t));
    images.push_back(JsonObject{{"Id", id}, {"ParentId", ""}, {"RepoTags", tags}, {"RepoDigests", JsonArray{}}, {"Created", image.created_at.time_since_epoch() / 1s}, {"Size", image.size_bytes}, {"SharedSize", p.images.shared_size(image)}, {"Labels", nullptr}, {"Containers", users}});
  }
  std::vector<LivePtr> all;  // copies: the tables may change while folders are measured
  std::vector<Volume> every;
  for (const auto& [id, live] : p.containers.all()) all.push_back(live);
  for (const auto& [name, v] : p.volumes.all()) every.push_back(v);
  for (const auto& live : all) {
    const std::string& id = live->c.id;
    const int64_t size = co_await p.layers.disk_usage(p.containers.rootfs(live->c) + "/diff");
    containers.push_back(JsonObject{{"Id", id}, {"Names", JsonArray{"/" + live->c.name}}, {"Image", live->c.image_ref}, {"ImageID", live->c.image_id}, {"Command", live->c.path}, {"Created", live->c.created.time_since_epoch() / 1s}, {"Ports", JsonArray{}}, {"SizeRw", size}, {"SizeRootFs", size}, {"Labels", JsonObject{}}, {"State", name_of(live->c.state.phase)}, {"Status", name_of(live->c.state.phase)}, {"HostConfig", JsonObject{}}, {"NetworkSettings", nullptr}, {"Mounts", JsonArray{}}});
  }
  for (const auto& v : every) {
    const std::string& name = v.name;
    const int64_t size = co_await p.layers.disk_usage(v.mountpoint);
    volumes.push_back(JsonObject{{"Name", name}, {"Driver", v.driver}, {"Mountpoint", v.mountpoint}, {"Labels", JsonObject{}}, {"Scope", "local"}, {"Options", nullptr}, {"CreatedAt", rfc3339(v.created)}, {"UsageData", JsonObject{{"Size", size}, {"RefCount", p.containers.users_of_volume(name).size()}}}});
  }
  co_await call.http.reply(200, dump(JsonObject{{"LayersSize", layers_size}, {"Images", images}, {"Containers", containers}, {"Volumes", volumes}, {"BuildCache", JsonArray{}}}));
  co_return Result<>{};
}

void add_system_routes(Api& api) {
  api.route("GET", "/_ping", [&api](Call& c) { return ping(api, c); });
  api.route("GET", "/version", [&api](Call& c) { return version(api, c); });
  api.route("GET", "/info", [&api](Call& c) { return info(api, c); });
  api.route("GET", "/events", [&api](Call& c) { return events(api, c); });
  api.route("GET", "/system/df", [&api](Call& c) { return disk_usage(api, c); });
}

}  // namespace panal
