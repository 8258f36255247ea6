#include "api/containers/view.h"

#include "model/container_json.h"

namespace panal {

std::string status_text(const Container& c, WallTime now) {
  const ContainerState& s = c.state;
  const std::string ago = human_duration(now - s.finished_at) + " ago";
  switch (s.phase) {
    case Phase::kCreated:
      return "Created";
    case Phase::kRemoving:
      return "Removal In Progress";
    case Phase::kDead:
      return "Dead";
    case Phase::kPaused:
      return "Up " + human_duration(now - s.started_at) + " (Paused)";
    case Phase::kRestarting:
      return "Restarting (" + std::to_string(s.exit_code) + ") " + ago;
    case Phase::kExited:
      return "Exited (" + std::to_string(s.exit_code) + ") " + ago;
    case Phase::kRunning: {
      const std::string up = "Up " + human_duration(now - s.started_at);
      if (s.health.empty()) return up;
      return up + (s.health == "starting" ? " (health: starting)" : " (" + s.health + ")");
    }
  }
  return "";
}

Json mount_json(const MountPoint& m) {
  JsonObject out{{"Type", m.type}};
  if (!m.name.empty()) out["Name"] = m.name;
  out["Source"] = m.source, out["Destination"] = m.destination;
  if (!m.driver.empty()) out["Driver"] = m.driver;
  out["Mode"] = m.mode, out["RW"] = m.rw, out["Propagation"] = m.propagation;
  return out;
}

// What --tmpfs asked for stands in HostConfig.Tmpfs alone.
static bool shown(const Container& c, const MountPoint& m) {
  return m.type != "tmpfs" || std::ranges::none_of(c.host.tmpfs, [&](const auto& asked) {
           return asked.first == m.destination || asked.first == m.destination + "/";
         });
}

static Json ports_map(const Container& c) {
  JsonObject out;
  if (!is_up(c.state.phase)) return out;
  for (const auto& [port, nothing] : c.config.exposed_ports) out[port] = nullptr;
  for (const auto& p : c.ports) {
    if (p.routed) continue;
    const std::string key = std::to_string(p.port) + "/" + p.protocol;
    if (!out.contains(key) || out[key].is_null()) out[key] = JsonArray{};
    out[key].get_array().push_back(
        JsonObject{{"HostIp", p.host_ip}, {"HostPort", std::to_string(p.host_port)}});
  }
  return out;
}

static Json endpoint_json(const Endpoint& e) {
  Json out = to_json(e);
  auto& o = out.get_object();
  o.erase("PanalIndex"), o.erase("PanalMac"), o.erase("PanalAttachment");
  if (e.links.empty()) o["Links"] = nullptr;
  if (e.driver_opts.empty()) o["DriverOpts"] = nullptr;
  if (o.at("IPAMConfig").get_object().empty()) o["IPAMConfig"] = nullptr;
  if (e.aliases.empty()) o["Aliases"] = nullptr;
  if (!o.contains("DNSNames")) o["DNSNames"] = nullptr;
  return out;
}

static Json networks_json(ApiParts& p, const Container& c) {
  JsonObject out;
  if (c.config.network_disabled) return out;
  if (c.host.network_mode == "host" || on_none(c)) {
    Endpoint e;
    if (const auto network = p.networks.find(c.host.network_mode)) e.network_id = (*network)->id;
    out[c.host.network_mode] = endpoint_json(e);
  }
  for (const auto& [name, e] : c.networks)
    if (name != kEgressBridge || c.managed_by_swarm || c.host.network_mode == name)
      out[name] = endpoint_json(e);
  return out;
}

static Json state_json(const Container& c) {
  const ContainerState& s = c.state;
  const bool running = is_running(s.phase);
  JsonObject out{{"Status", name_of(s.phase)},
                 {"Running", running},
                 {"Paused", s.phase == Phase::kPaused},
                 {"Restarting", s.phase == Phase::kRestarting},
                 {"OOMKilled", s.oom_killed},
                 {"Dead", s.phase == Phase::kDead},
                 {"Pid", s.pid},
                 {"ExitCode", s.exit_code},
                 {"Error", s.error},
                 {"StartedAt", rfc3339(s.started_at)},
                 {"FinishedAt", rfc3339(s.finished_at)}};
  if (!s.health.empty()) {
    JsonArray log;
    for (const auto& r : s.health_log)
      log.push_back(JsonObject{{"Start", rfc3339(r.start)},
                               {"End", rfc3339(r.end)},
                               {"ExitCode", r.exit_code},
                               {"Output", r.output}});
    out["Health"] = JsonObject{{"Status", s.health}, {"FailingStreak", s.health_failures}, {"Log", log}};
  }
  return out;
}

// What clients read also where nobody has asked for it.
static Json host_json(const HostConfig& host) {
  Json out = to_json(host);
  JsonObject& o = out.get_object();
  for (const char* key : {"PidsLimit", "MemorySwappiness"}) o.emplace(key, nullptr);
  for (const char* key : {"CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth"}) o.emplace(key, 0);
  o.emplace("ConsoleSize", JsonArray{0, 0}), o.emplace("Cgroup", "");
  return out;
}

Json container_inspect(ApiParts& p, const LiveContainer& live) {
  const Container& c = live.c;
  const std::string dir = p.containers.dir(c);
  JsonArray mounts, execs, args;
  for (const auto& m : c.mounts)
    if (shown(c, m)) mounts.push_back(mount_json(m));
  for (const auto& [id, exec] : live.execs)
    if (exec->running || !exec->started) execs.push_back(Json(id));
  for (const auto& a : c.args) args.push_back(Json(a));
  JsonObject out;
  out["Id"] = c.id, out["Created"] = rfc3339(c.created), out["Path"] = c.path, out["Args"] = args,
  out["State"] = state_json(c), out["Image"] = c.image_id;
  for (const auto& [key, file] :
       {std::pair{"ResolvConfPath", "/resolv.conf"}, {"HostnamePath", "/hostname"}, {"HostsPath", "/hosts"}})
    out[key] = c.config.network_disabled ? "" : dir + file;
  out["LogPath"] = c.host.log_config.type == "json-file" ? p.containers.log_path(c) : "";
  out["Name"] = "/" + c.name, out["RestartCount"] = c.restart_count, out["Driver"] = "overlay2",
  out["Platform"] = "linux", out["MountLabel"] = "", out["ProcessLabel"] = "";
  out["AppArmorProfile"] = p.containers.apparmor_of(c),
  out["ExecIDs"] = execs.empty() ? Json(nullptr) : Json(execs), out["HostConfig"] = host_json(c.host);
  out["GraphDriver"] = JsonObject{{"Name", "overlay2"},
                                  {"Data", JsonObject{{"MergedDir", p.containers.rootfs(c) + "/merged"},
                                                      {"UpperDir", p.containers.rootfs(c) + "/diff"},
                                                      {"WorkDir", p.containers.rootfs(c) + "/work"}}}};
  out["Mounts"] = mounts;
  Json config = to_json(c.config);
  config.get_object()["Hostname"] = c.hostname;
  if (c.config.volumes.empty()) config.get_object()["Volumes"] = nullptr;
  config.get_object()["OnBuild"] = nullptr;
  out["Config"] = config;
  const bool up = is_up(c.state.phase);
  JsonObject network{{"Bridge", ""},
                     {"SandboxID", up ? c.id : ""},
                     {"SandboxKey", up ? p.networks.namespace_path(c.id) : ""},
                     {"Ports", ports_map(c)},
                     {"HairpinMode", false},
                     {"LinkLocalIPv6Address", ""},
                     {"LinkLocalIPv6PrefixLen", 0},
                     {"SecondaryIPAddresses", nullptr},
                     {"SecondaryIPv6Addresses", nullptr}};
  const auto bridge = c.networks.find("bridge");
  const Endpoint none;
  const Endpoint& e = bridge == c.networks.end() ? none : bridge->second;
  network["EndpointID"] = e.endpoint_id, network["Gateway"] = e.gateway,
  network["GlobalIPv6Address"] = e.ip6_address, network["GlobalIPv6PrefixLen"] = e.ip6_prefix_len;
  network["IPAddress"] = e.ip_address, network["IPPrefixLen"] = e.ip_prefix_len,
  network["IPv6Gateway"] = e.gateway6, network["MacAddress"] = e.mac_address;
  network["Networks"] = networks_json(p, c);
  out["NetworkSettings"] = network;
  return out;
}

Json container_summary(ApiParts& p, const Container& c, const Containers::LinkNames& links) {
  JsonArray ports, mounts;
  const bool up = is_up(c.state.phase);
  std::set<std::string> published;
  for (const auto& port : c.ports) {
    if (port.routed) continue;
    ports.push_back(JsonObject{{"IP", port.host_ip},
                               {"PrivatePort", port.port},
                               {"PublicPort", port.host_port},
                               {"Type", port.protocol}});
    published.insert(std::to_string(port.port) + "/" + port.protocol);
  }
  for (const auto& [port, nothing] : c.config.exposed_ports) {
    const size_t slash = port.find('/');
    if (up && !published.contains(port))
      ports.push_back(JsonObject{{"PrivatePort", std::atoi(port.c_str())},
                                 {"Type", slash == std::string::npos ? "tcp" : port.substr(slash + 1)}});
  }
  for (const auto& m : c.mounts)
    if (shown(c, m)) mounts.push_back(mount_json(m));
  std::string command = c.path;
  for (const auto& a : c.args) command += a.find(' ') == std::string::npos ? " " + a : " '" + a + "'";
  std::vector<std::string> names = {"/" + c.name};
  for (auto [at, end] = links.equal_range(c.name); at != end; ++at) names.push_back(at->second);
  const auto image = p.images.all().find(c.image_id);
  auto by_name = p.images.find(c.image_ref);
  const bool name_holds = by_name && (*by_name)->id == c.image_id && image != p.images.all().end();
  JsonObject host{{"NetworkMode", c.host.network_mode}};
  if (!c.host.annotations.empty()) host["Annotations"] = to_json(c.host.annotations);
  JsonObject out{{"Id", c.id},
                 {"Names", to_json(names)},
                 {"Image", name_holds ? c.image_ref : c.image_id},
                 {"ImageID", c.image_id},
                 {"Command", command},
                 {"Created", c.created.time_since_epoch() / 1s},
                 {"Ports", ports},
                 {"Labels", to_json(c.config.labels)},
                 {"State", name_of(c.state.phase)},
                 {"Status", status_text(c, p.loop.wall_now())},
                 {"HostConfig", host},
                 {"NetworkSettings", JsonObject{{"Networks", networks_json(p, c)}}},
                 {"Mounts", mounts}};
  return out;
}

Task<void> add_sizes(ApiParts& p, LivePtr live, Json& view) {
  const int64_t size = co_await p.layers.disk_usage(p.containers.rootfs(live->c) + "/diff");
  const auto image = p.images.all().find(live->c.image_id);
  view.get_object()["SizeRw"] = size;
  view.get_object()["SizeRootFs"] = size + (image == p.images.all().end() ? 0 : image->second.size_bytes);
}

}  // namespace panal
