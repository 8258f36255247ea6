// /_ping, /version, /info
#include <filesystem>

#include "api/api.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/text.h"
#include "node/cluster/swarm_view.h"
#include "node/containers/host_devices.h"

namespace panal {

static Task<Result<>> ping(Api& api, Call& call) {
  // The first word of each docker command, of run and exec too.
  api.parts().containers.runtime().expect_start();
  call.http.add_header("Builder-Version", "1");
  call.http.add_header("Cache-Control", "no-cache, no-store, must-revalidate");
  call.http.add_header("Pragma", "no-cache");
  call.http.add_header("Swarm", swarm_state(api.parts().swarm));
  co_await call.http.reply(200, "OK", "text/plain; charset=utf-8");
  co_return Result<>{};
}

static Json component_json(const Component& c) {
  return JsonObject{
      {"Name", c.name}, {"Version", c.version}, {"Details", JsonObject{{"GitCommit", c.commit}}}};
}

static Task<Result<>> version(Api& api, Call& call) {
  const SystemFacts& f = api.parts().facts;
  const auto programs = co_await api.parts().components();
  JsonArray components;
  components.push_back(JsonObject{{"Name", "Engine"},
                                  {"Version", PANAL_VERSION},
                                  {"Details", JsonObject{{"ApiVersion", kApiVersion},
                                                         {"MinAPIVersion", kMinApiVersion},
                                                         {"Arch", f.architecture},
                                                         {"Os", "linux"},
                                                         {"KernelVersion", f.kernel_version},
                                                         {"GitCommit", ""},
                                                         {"GoVersion", "none"},
                                                         {"BuildTime", ""},
                                                         {"Experimental", "false"}}}});
  for (const auto& c : programs) components.push_back(component_json(c));
  JsonObject out;
  out["Platform"] = JsonObject{{"Name", "Panal"}};
  out["Components"] = components;
  out["Version"] = PANAL_VERSION, out["ApiVersion"] = kApiVersion, out["MinAPIVersion"] = kMinApiVersion,
  out["Os"] = "linux";
  out["Arch"] = f.architecture, out["KernelVersion"] = f.kernel_version, out["GitCommit"] = "",
  out["GoVersion"] = "", out["BuildTime"] = "";
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Json registry_config(const RegistryOptions& o) {
  JsonArray networks{"::1/128", "127.0.0.0/8"}, mirrors;
  JsonObject indexes;
  for (const auto& entry : o.insecure_registries) {
    if (entry.find('/') != std::string::npos)
      networks.push_back(Json(entry));
    else
      indexes[entry] =
          JsonObject{{"Name", entry}, {"Mirrors", JsonArray{}}, {"Secure", false}, {"Official", false}};
  }
  for (const auto& mirror : o.registry_mirrors)
    mirrors.push_back(Json(mirror + (mirror.ends_with('/') ? "" : "/")));
  indexes["docker.io"] =
      JsonObject{{"Name", "docker.io"}, {"Mirrors", mirrors}, {"Secure", true}, {"Official", true}};
  return JsonObject{{"InsecureRegistryCIDRs", networks},
                    {"IndexConfigs", indexes},
                    {"Mirrors", mirrors.empty() ? Json(nullptr) : Json(mirrors)}};
}

static int open_files() {
  std::error_code error;
  int count = 0;
  for (auto it = std::filesystem::directory_iterator("/proc/self/fd", error);
       it != std::filesystem::directory_iterator(); it.increment(error))
    ++count;
  return count;
}

static Json warnings_of(const SystemFacts& f, bool forwarding, const std::vector<std::string>& of_network) {
  std::vector<std::string> all = f.warnings;
  all.insert(all.end(), of_network.begin(), of_network.end());
  const std::pair<bool, const char*> lacks[] = {{f.memory_limit, "No memory limit support"},
                                                {f.swap_limit, "No swap limit support"},
                                                {f.cpu_quota, "No cpu cfs quota support"},
                                                {f.cpu_shares, "No cpu shares support"},
                                                {f.cpu_set, "No cpuset support"},
                                                {f.pids_limit, "No pids limit support"},
                                                {forwarding, "IPv4 forwarding is disabled"}};
  for (const auto& [there, text] : lacks)
    if (!there) all.push_back(std::string("WARNING: ") + text);
  return all.empty() ? Json(nullptr) : to_json(all);
}

static void add_devices(const CdiDevices& cdi, int minor, JsonObject& out) {
  JsonArray devices;
  for (const auto& [name, spec] : cdi.by_name())
    devices.push_back(JsonObject{{"Source", "cdi"}, {"ID", name}});
  if (minor >= 50) out["DiscoveredDevices"] = devices;
  for (const auto& [file, problems] : cdi.problems)
    for (const auto& problem : problems) {
      if (out["Warnings"].is_null()) out["Warnings"] = JsonArray();
      out["Warnings"].get_array().push_back(
          Json("CDI: Error associated with spec file " + file + ": " + problem));
    }
}

static void add_containers(ApiParts& p, JsonObject& out) {
  int running = 0, paused = 0, stopped = 0;
  for (const auto& [id, live] : p.containers.all()) {
    const Phase phase = live->c.state.phase;
    if (phase == Phase::kRunning || phase == Phase::kRestarting)
      ++running;
    else if (phase == Phase::kPaused)
      ++paused;
    else
      ++stopped;
  }
  out["Containers"] = running + paused + stopped, out["ContainersRunning"] = running,
  out["ContainersPaused"] = paused, out["ContainersStopped"] = stopped;
}

static Task<Result<>> info(Api& api, Call& call) {
  ApiParts& p = api.parts();
  const auto programs = co_await p.components();
  const SystemFacts& f = p.facts;
  const bool forwarding = trim(read_file("/proc/sys/net/ipv4/ip_forward", 16).value_or("")) == "1";
  JsonObject out;
  out["ID"] = f.id;
  add_containers(p, out);
  out["Images"] = p.images.all().size(), out["Driver"] = "overlay2";
  out["DriverStatus"] =
      JsonArray{JsonArray{"Backing Filesystem", f.file_system}, JsonArray{"Supports d_type", "true"}};
  out["Plugins"] = JsonObject{{"Volume", JsonArray{"local"}},
                              {"Network", JsonArray{"bridge", "host", "null", "overlay"}},
                              {"Authorization", nullptr},
                              {"Log", JsonArray{"journald", "json-file", "local", "syslog"}}};
  out["MemoryLimit"] = f.memory_limit, out["SwapLimit"] = f.swap_limit, out["CpuCfsPeriod"] = f.cpu_quota,
  out["CpuCfsQuota"] = f.cpu_quota, out["CPUShares"] = f.cpu_shares, out["CPUSet"] = f.cpu_set;
  out["PidsLimit"] = f.pids_limit, out["IPv4Forwarding"] = forwarding, out["Debug"] = f.debug,
  out["OomKillDisable"] = f.oom_kill_disable;
  out["SystemTime"] = rfc3339(p.loop.wall_now()), out["LoggingDriver"] = f.logging_driver,
  out["CgroupDriver"] = "cgroupfs", out["CgroupVersion"] = f.cgroup_v2 ? "2" : "1";
  out["KernelVersion"] = f.kernel_version, out["OperatingSystem"] = f.operating_system,
  out["OSVersion"] = f.os_version, out["OSType"] = "linux";
  out["Architecture"] = f.architecture == "amd64"   ? "x86_64"
                        : f.architecture == "arm64" ? "aarch64"
                                                    : f.architecture;
  out["NCPU"] = f.cpus, out["MemTotal"] = f.memory_bytes,
  out["IndexServerAddress"] = "https://index.docker.io/v1/", out["DockerRootDir"] = f.data_root;
  out["Name"] = f.node_name, out["Labels"] = to_json(f.labels), out["ExperimentalBuild"] = false,
  out["ServerVersion"] = PANAL_VERSION;
  out["Runtimes"] = JsonObject{{"crun", JsonObject{{"path", "crun"}}}},
  out["DefaultRuntime"] = f.default_runtime, out["LiveRestoreEnabled"] = f.live_restore,
  out["InitBinary"] = "tini";
  out["Isolation"] = "", out["SecurityOptions"] = to_json(f.security_options),
  out["Warnings"] = warnings_of(f, forwarding, p.networks.kernel().warnings());
  auto read = [dirs = f.cdi_spec_dirs] { return read_cdi_devices(dirs); };
  const CdiDevices cdi = co_await blocking(p.loop, read);
  add_devices(cdi, api_minor(call.request()), out);
  out["NEventsListener"] = p.events.listeners(), out["NFd"] = open_files(), out["NGoroutines"] = 1,
  out["GenericResources"] = nullptr;
  const auto variable = [](const char* name) {
    return std::string(std::getenv(name) ? std::getenv(name) : "");
  };
  out["HttpProxy"] = variable("HTTP_PROXY"), out["HttpsProxy"] = variable("HTTPS_PROXY"),
  out["NoProxy"] = variable("NO_PROXY"), out["RegistryConfig"] = registry_config(p.registry.options());
  out["FirewallBackend"] = JsonObject{{"Driver", "nftables"}}, out["CDISpecDirs"] = to_json(f.cdi_spec_dirs),
  out["ContainerdCommit"] = JsonObject{{"ID", ""}};
  for (const auto& c : programs)
    if (c.name != "conmon")
      out[c.name == "tini" ? "InitCommit" : "RuncCommit"] =
          JsonObject{{"ID", c.commit.empty() ? c.version : c.commit}};
  if (api_minor(call.request()) < 49)
    for (const char* name : {"ContainerdCommit", "RuncCommit", "InitCommit"})
      if (Json* commit = out.if_contains(name)) commit->get_object()["Expected"] = commit->get_object()["ID"];
  if (api_minor(call.request()) < 50) out["BridgeNfIptables"] = false, out["BridgeNfIp6tables"] = false;
  if (!f.address_pools.empty()) {
    JsonArray pools;
    for (const auto& [base, size] : f.address_pools)
      pools.push_back(JsonObject{{"Base", base}, {"Size", size}});
    out["DefaultAddressPools"] = pools;
  }
  out["Swarm"] = swarm_info(p.swarm);
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

void add_system_routes(Api& api) {
  api.route("GET", "/_ping", [&api](Call& c) { return ping(api, c); });
  api.route("GET", "/version", [&api](Call& c) { return version(api, c); });
  api.route("GET", "/info", [&api](Call& c) { return info(api, c); });
}

}  // namespace panal
