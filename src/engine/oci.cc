#include "engine/oci.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "engine/oci_mounts_json.h"
#include "engine/resources_json.h"
#include "engine/security.h"
#include "ports/capabilities.h"

namespace panal {

static constexpr std::array<const char*, 14> kDefaultCapabilities = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
    "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
    "CAP_KILL",    "CAP_AUDIT_WRITE"};
static constexpr std::array<const char*, 12> kMaskedPaths = {
    "/proc/asound",      "/proc/acpi",          "/proc/interrupts", "/proc/kcore",
    "/proc/keys",        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
    "/proc/sched_debug", "/proc/scsi",          "/sys/firmware",    "/sys/devices/virtual/powercap"};
static constexpr std::array<const char*, 5> kReadonlyPaths = {"/proc/bus", "/proc/fs", "/proc/irq",
                                                              "/proc/sys", "/proc/sysrq-trigger"};

static std::string cap_name(const std::string& name) {
  std::string upper;
  for (const char c : name) upper += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return upper.starts_with("CAP_") || upper == "ALL" ? upper : "CAP_" + upper;
}

std::vector<std::string> default_masked_paths() { return {kMaskedPaths.begin(), kMaskedPaths.end()}; }
std::vector<std::string> default_readonly_paths() { return {kReadonlyPaths.begin(), kReadonlyPaths.end()}; }

bool known_capability(const std::string& name) {
  const std::string wanted = cap_name(name);
  return wanted == "ALL" || std::ranges::find(kCapabilities, wanted) != kCapabilities.end();
}

std::vector<std::string> capability_set(const HostConfig& host, const std::vector<std::string>& held) {
  std::set<std::string> out;
  const std::set<std::string> have(held.begin(), held.end());
  const auto named = [](const std::vector<std::string>& list, const std::string& name) {
    return std::ranges::any_of(list, [&](const std::string& item) { return cap_name(item) == name; });
  };
  if (host.privileged || named(host.cap_add, "ALL"))
    out = have;
  else if (!named(host.cap_drop, "ALL"))
    out.insert(kDefaultCapabilities.begin(), kDefaultCapabilities.end());
  for (const auto& add : host.cap_add) out.insert(cap_name(add));
  if (!host.privileged)
    for (const auto& drop : host.cap_drop)
      if (!named(host.cap_add, cap_name(drop))) out.erase(cap_name(drop));
  std::vector<std::string> result;
  for (const auto& name : out)
    if (have.contains(name)) result.push_back(name);
  return result;
}

std::optional<std::string> env_value(const std::vector<std::string>& env, const std::string& name) {
  const auto at = std::ranges::find_if(env, [&](const std::string& e) { return e.starts_with(name + "="); });
  return at == env.end() ? std::nullopt : std::optional(at->substr(name.size() + 1));
}

void set_env(std::vector<std::string>& env, const std::string& entry, bool replace) {
  const std::string key = entry.substr(0, entry.find('=') + 1);
  for (auto& e : env)
    if (e.starts_with(key)) {
      if (replace) e = entry;
      return;
    }
  env.push_back(entry);
}

// "NAME=value" sets, "NAME" alone takes away what was set before.
static void apply_env(std::vector<std::string>& env, const std::vector<std::string>& wishes) {
  for (const auto& e : wishes)
    if (e.contains('='))
      set_env(env, e, true);
    else
      std::erase_if(env, [&](const std::string& old) { return old.starts_with(e + "="); });
}

std::vector<std::string> process_env(const Container& c, const ResolvedUser& user,
                                     const std::vector<std::string>& link_env, bool tty) {
  std::vector<std::string> env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                  "HOSTNAME=" + c.hostname};
  if (tty) env.push_back("TERM=xterm");
  env.insert(env.end(), link_env.begin(), link_env.end());
  apply_env(env, c.config.env);
  if (env_value(env, "HOME").value_or("").empty()) set_env(env, "HOME=" + user.home, true);
  return env;
}

static Json user_json(const ResolvedUser& user, const std::vector<uint32_t>& more = {}) {
  std::vector<uint32_t> all = {user.gid};  // also among the supplementary ones (CVE-2022-36109)
  const auto add = [&](uint32_t g) {
    if (std::ranges::find(all, g) == all.end()) all.push_back(g);
  };
  std::ranges::for_each(user.groups, add);
  for (const uint32_t g : more)
    if (g != 0) add(g);
  const JsonArray groups(all.begin(), all.end());
  return JsonObject{{"uid", user.uid}, {"gid", user.gid}, {"additionalGids", groups}};
}

static Json capabilities_json(const std::vector<std::string>& caps, bool root) {
  JsonObject out{{"bounding", strings(caps)}};
  // An unprivileged user keeps them in the bounding set only, as runc does without ambient capabilities.
  out["permitted"] = root ? strings(caps) : JsonArray{};
  out["effective"] = root ? strings(caps) : JsonArray{};
  return out;
}

static JsonArray device_rules_json(bool privileged, const std::vector<DeviceNode>& nodes,
                                   const std::vector<std::string>& rules) {
  JsonArray devices;
  if (privileged) {
    devices.push_back(JsonObject{{"allow", true}, {"access", "rwm"}});
  } else {
    devices.push_back(JsonObject{{"allow", false}, {"access", "rwm"}});
    for (const char type : {'c', 'b'})
      devices.push_back(JsonObject{{"allow", true}, {"type", std::string(1, type)}, {"access", "m"}});
    struct Known {
      int64_t major, minor;
    };
    for (const Known d : {Known{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 2}})
      devices.push_back(JsonObject{
          {"allow", true}, {"type", "c"}, {"major", d.major}, {"minor", d.minor}, {"access", "rwm"}});
    devices.push_back(JsonObject{{"allow", true}, {"type", "c"}, {"major", 136}, {"access", "rwm"}});
    for (const auto& d : nodes)
      if ((d.type == 'b' || d.type == 'c') && !d.access.empty())
        devices.push_back(JsonObject{{"allow", true},
                                     {"type", std::string(1, d.type)},
                                     {"major", d.major},
                                     {"minor", d.minor},
                                     {"access", d.access}});
    for (const auto& text : rules) {
      const auto rule = parse_device_rule(text);
      if (!rule) continue;
      JsonObject out{{"allow", true}, {"type", std::string(1, rule->type)}, {"access", rule->access}};
      if (rule->major) out["major"] = *rule->major;
      if (rule->minor) out["minor"] = *rule->minor;
      devices.push_back(out);
    }
  }
  return devices;
}

static JsonArray namespaces_json(const Container& c, const OciInputs& in) {
  JsonArray out;
  out.push_back(JsonObject{{"type", "mount"}});
  const auto add = [&](const char* type, const std::string& path) {
    if (path == "host") return;
    JsonObject ns{{"type", type}};
    if (!path.empty()) ns["path"] = path;
    out.push_back(ns);
  };
  add("network", in.ns_path);
  add("pid", in.pid_ns);
  add("ipc", in.ipc_ns);
  add("uts", in.uts_ns);
  if (!in.user_ns.empty()) add("user", in.user_ns);
  if (c.host.cgroupns_mode == "private" || (in.cgroup_v2 && c.host.cgroupns_mode.empty())) add("cgroup", "");
  return out;
}

static JsonArray id_map_json(const std::vector<IdRange>& ranges) {
  JsonArray out;
  for (const auto& r : ranges)
    out.push_back(JsonObject{{"containerID", r.inside}, {"hostID", r.outside}, {"size", r.count}});
  return out;
}

static void set_rlimits(JsonObject& process, const Container& c) {
  JsonArray rlimits;
  for (const auto& u : c.host.ulimits) {
    std::string type = "RLIMIT_";
    for (const char ch : u.name) type += static_cast<char>(ch >= 'a' && ch <= 'z' ? ch - 32 : ch);
    rlimits.push_back(JsonObject{{"type", type}, {"soft", u.soft}, {"hard", u.hard}});
  }
  if (!rlimits.empty()) process["rlimits"] = rlimits;
}

// Mounts come and go in the container with the host's only if its root lets them through.
static std::string rootfs_propagation(const Container& c) {
  std::string out;
  for (const auto& m : c.mounts) {
    if (m.propagation.ends_with("shared")) return "rshared";
    if (m.propagation.ends_with("slave")) out = "rslave";
  }
  return out;
}

static JsonObject hooks_json(const std::vector<OciHook>& hooks) {
  JsonObject out;
  for (const auto& h : hooks) {
    JsonObject hook{{"path", h.path}};
    if (!h.args.empty()) hook["args"] = strings(h.args);
    if (!h.env.empty()) hook["env"] = strings(h.env);
    if (h.timeout_seconds) hook["timeout"] = *h.timeout_seconds;
    Json& list = out[h.when];
    if (list.is_null()) list = JsonArray();
    list.get_array().push_back(std::move(hook));
  }
  return out;
}

std::string oci_config(const Container& c, const OciInputs& in) {
  JsonObject process;
  std::vector<std::string> args = {c.path};
  args.insert(args.end(), c.args.begin(), c.args.end());
  if (c.host.init.value_or(false)) args.insert(args.begin(), {"/sbin/docker-init", "--"});
  const auto caps = capability_set(c.host, in.held_capabilities);
  process["terminal"] = c.config.tty;
  if (c.config.tty && c.host.console_size.size() == 2)
    process["consoleSize"] =
        JsonObject{{"height", c.host.console_size[0]}, {"width", c.host.console_size[1]}};
  process["user"] = user_json(in.user, in.edits.gids);
  process["args"] = strings(args);
  auto env = process_env(c, in.user, in.link_env, c.config.tty);
  for (const auto& e : in.edits.env) set_env(env, e, true);
  process["env"] = strings(env);
  process["cwd"] = c.config.working_dir.empty() ? "/" : c.config.working_dir;
  process["capabilities"] = capabilities_json(caps, in.user.uid == 0);
  process["noNewPrivileges"] = no_new_privileges(c.host.security_opt);
  if (c.host.oom_score_adj > 0 || (c.host.oom_score_adj < 0 && in.user_ns.empty()))
    process["oomScoreAdj"] = c.host.oom_score_adj;
  if (!in.apparmor.empty()) process["apparmorProfile"] = in.apparmor;
  set_rlimits(process, c);

  JsonObject linux_part;
  linux_part["cgroupsPath"] = in.cgroup;
  linux_part["resources"] = resources_json(c.host, in.cgroup_v2, in.block_devices);
  linux_part["resources"].get_object()["devices"] =
      device_rules_json(c.host.privileged, in.devices, c.host.device_cgroup_rules);
  if (const std::string propagation = rootfs_propagation(c); !propagation.empty())
    linux_part["rootfsPropagation"] = propagation;
  JsonArray devices;
  for (const auto& d : in.devices)
    devices.push_back(JsonObject{{"path", d.path},
                                 {"type", std::string(1, d.type)},
                                 {"major", d.major},
                                 {"minor", d.minor},
                                 {"fileMode", d.mode},
                                 {"uid", d.uid},
                                 {"gid", d.gid}});
  if (!devices.empty()) linux_part["devices"] = devices;
  linux_part["namespaces"] = namespaces_json(c, in);
  if (!in.ids.empty())
    linux_part["uidMappings"] = id_map_json(in.ids.uids),
    linux_part["gidMappings"] = id_map_json(in.ids.gids);
  JsonObject sysctl;
  if (!c.config.domainname.empty() && in.uts_ns.empty()) sysctl["kernel.domainname"] = c.config.domainname;
  for (const auto& [key, value] : c.host.sysctls) sysctl[key] = value;
  if (!sysctl.empty()) linux_part["sysctl"] = sysctl;
  if (!c.host.privileged) {
    linux_part["maskedPaths"] = c.host.masked_paths ? strings(*c.host.masked_paths) : strings(kMaskedPaths);
    linux_part["readonlyPaths"] =
        c.host.readonly_paths ? strings(*c.host.readonly_paths) : strings(kReadonlyPaths);
  }
  if (!in.seccomp.empty()) linux_part["seccomp"] = parse_json(in.seccomp).value();
  JsonArray mounts = mounts_json(c, in);

  JsonObject config;
  config["ociVersion"] = "1.0.2";
  config["process"] = process;
  config["root"] = JsonObject{{"path", in.rootfs}, {"readonly", c.host.readonly_rootfs}};
  if (in.uts_ns.empty()) config["hostname"] = c.hostname;
  config["mounts"] = mounts;
  config["linux"] = linux_part;
  if (!in.edits.hooks.empty()) config["hooks"] = hooks_json(in.edits.hooks);
  return dump(config);
}

std::string oci_process(const Container& c, const ExecConfig& exec, const ResolvedUser& user,
                        const std::vector<std::string>& held, int rows, int columns,
                        const std::vector<std::string>& link_env, const std::string& apparmor) {
  JsonObject process;
  std::vector<std::string> env = process_env(c, user, link_env, exec.tty);
  apply_env(env, exec.env);
  HostConfig host = c.host;
  if (exec.privileged) host.privileged = true;
  process["terminal"] = exec.tty;
  if (exec.tty && rows > 0) process["consoleSize"] = JsonObject{{"height", rows}, {"width", columns}};
  process["user"] = user_json(user);
  process["args"] = strings(exec.cmd);
  process["env"] = strings(env);
  process["cwd"] = !exec.working_dir.empty()      ? exec.working_dir
                   : c.config.working_dir.empty() ? "/"
                                                  : c.config.working_dir;
  process["capabilities"] = capabilities_json(capability_set(host, held), user.uid == 0);
  process["noNewPrivileges"] = no_new_privileges(c.host.security_opt);
  if (!apparmor.empty()) process["apparmorProfile"] = apparmor;
  set_rlimits(process, c);
  return dump(process);
}

Result<int> parse_signal(const std::string& text) {
  static constexpr std::array<const char*, 32> kNames = {
      "",     "HUP",  "INT",  "QUIT", "ILL",    "TRAP",   "ABRT",  "BUS",  "FPE",  "KILL", "USR1",
      "SEGV", "USR2", "PIPE", "ALRM", "TERM",   "STKFLT", "CHLD",  "CONT", "STOP", "TSTP", "TTIN",
      "TTOU", "URG",  "XCPU", "XFSZ", "VTALRM", "PROF",   "WINCH", "IO",   "PWR",  "SYS"};
  if (auto n = parse_int(text)) {
    if (*n >= 1 && *n <= 64) return static_cast<int>(*n);
    return fail(Code::kInvalid, "invalid signal: " + text);
  }
  std::string name;
  for (const char c : text) name += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  if (name.starts_with("SIG")) name = name.substr(3);
  for (size_t i = 1; i < kNames.size(); ++i)
    if (name == kNames[i]) return static_cast<int>(i);
  if (name.starts_with("RTMIN+"))
    if (auto n = parse_int(name.substr(6)); n && *n >= 0 && *n <= 30) return static_cast<int>(34 + *n);
  return fail(Code::kInvalid, "invalid signal: " + text);
}

}  // namespace panal
