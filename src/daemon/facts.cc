#include "daemon/facts.h"

#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "daemon/cgroup_view.h"
#include "sys/process/spawn.h"

namespace panal {

static std::string file_system_of(const std::string& path) {
  struct statfs s{};
  if (::statfs(path.c_str(), &s) != 0) return "<unknown>";
  switch (static_cast<uint32_t>(s.f_type)) {
    case 0xEF53:
      return "extfs";
    case 0x58465342:
      return "xfs";
    case 0x9123683E:
      return "btrfs";
    case 0x01021994:
      return "tmpfs";
    case 0x794C7630:
      return "overlayfs";
    case 0x2FC12FC1:
      return "zfs";
    case 0xF2F52010:
      return "f2fs";
    case 0x6969:
      return "nfs";
    default:
      return "<unknown>";
  }
}

static void look_at_cgroups(SystemFacts& f) {
  f.cgroup_v2 = cgroup_is_v2();
  const auto has = [](const char* path) { return exists(std::string("/sys/fs/cgroup/") + path); };
  if (f.cgroup_v2) {
    const auto controllers = split(trim(read_file("/sys/fs/cgroup/cgroup.controllers").value_or("")), ' ');
    const auto on = [&](const char* name) {
      return std::ranges::find(controllers, name) != controllers.end();
    };
    f.memory_limit = f.swap_limit = on("memory"), f.cpu_shares = f.cpu_quota = on("cpu"),
    f.cpu_set = on("cpuset"), f.pids_limit = on("pids");
    return;
  }
  f.memory_limit = has("memory/memory.limit_in_bytes") || has("memory/memory.usage_in_bytes");
  f.swap_limit = has("memory/memory.memsw.limit_in_bytes") || has("memory/memory.memsw.usage_in_bytes");
  f.oom_kill_disable = has("memory/memory.oom_control"), f.cpu_shares = has("cpu/cpu.shares"),
  f.cpu_quota = has("cpu/cpu.cfs_quota_us");
  f.cpu_set = has("cpuset/cpuset.cpus"), f.pids_limit = has("pids");
}

void take_settings(SystemFacts& f, const DaemonOptions& o) {
  f.debug = o.debug, f.labels = o.labels, f.live_restore = o.live_restore;
}

SystemFacts gather_facts(const DaemonOptions& o, Entropy& entropy) {
  SystemFacts f;
  utsname u{};
  ::uname(&u);
  f.node_name = o.node_name.empty() ? u.nodename : o.node_name;
  f.kernel_version = u.release;
  const std::string machine = u.machine;
  f.architecture = machine == "x86_64"          ? "amd64"
                   : machine == "aarch64"       ? "arm64"
                   : machine.starts_with("arm") ? "arm"
                                                : machine;
  struct sysinfo s{};
  ::sysinfo(&s);
  f.memory_bytes = static_cast<int64_t>(s.totalram) * s.mem_unit;
  f.cpus = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  f.data_root = o.data_root, f.file_system = file_system_of(o.data_root), f.logging_driver = o.log_driver,
  f.default_runtime = o.default_runtime, f.cdi_spec_dirs = o.cdi_spec_dirs;
  for (const auto& p : o.default_address_pools) f.address_pools.emplace_back(p.base, p.size);
  take_settings(f, o);
  for (const auto& line : split(read_file("/etc/os-release").value_or(""), '\n')) {
    if (line.starts_with("PRETTY_NAME=")) f.operating_system = std::string(trim(line.substr(12)));
    if (line.starts_with("VERSION_ID=")) f.os_version = std::string(trim(line.substr(11)));
  }
  for (std::string* text : {&f.operating_system, &f.os_version}) std::erase(*text, '"');
  const std::string id_file = o.data_root + "/engine-id";
  f.id = std::string(trim(read_file(id_file).value_or("")));
  if (f.id.empty()) {
    f.id = hex(entropy.bytes(16));
    (void)write_file_atomic(id_file, f.id);
  }
  look_at_cgroups(f);
  return f;
}

static std::string on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  for (const auto& dir : split(path ? path : "", ':'))
    if (!dir.empty() && ::access((dir + "/" + program).c_str(), X_OK) == 0) return dir + "/" + program;
  return "";
}

DeviceDrivers find_device_drivers(const DaemonOptions& o) {
  DeviceDrivers out;
  out.cdi_dirs = o.cdi_spec_dirs, out.nvidia_hook = on_path("nvidia-container-runtime-hook");
  out.nvidia_cdi = !out.cdi_dirs.empty() && !on_path("nvidia-cdi-hook").empty();
  out.amd = !on_path("amd-container-runtime").empty();
  if (!out.nvidia_hook.empty())
    for (char** e = environ; *e; ++e) out.environment.emplace_back(*e);
  return out;
}

ResolvConf host_resolver() {
  auto conf = parse_resolv_conf(read_file("/etc/resolv.conf", 1 << 20).value_or(""));
  if (conf.servers == std::vector<std::string>{"127.0.0.53"})
    if (auto upstream = read_file("/run/systemd/resolve/resolv.conf", 1 << 20))
      conf = parse_resolv_conf(*upstream);
  return conf;
}

// "crun version 1.8.1\ncommit: f8a0...", "tini version 0.19.0"
static Component component_of(const std::string& name, const std::string& text) {
  Component out{name, "", ""};
  for (const auto& line : split(text, '\n')) {
    if (const size_t at = line.find("version "); out.version.empty() && at != std::string::npos)
      out.version = split(trim(line.substr(at + 8)), ' ')[0];
    if (line.starts_with("commit: ")) out.commit = trim(line.substr(8));
  }
  return out;
}

static Task<std::vector<Component>> ask(AsioLoop& loop, std::shared_ptr<std::vector<Component>> known) {
  if (!known->empty()) co_return *known;
  std::vector<Component> found;
  for (const char* name : {"crun", "conmon", "tini"}) {
    auto out = co_await run_program(loop, {name, "--version"}, {}, 5s);
    found.push_back(component_of(name, out ? out->out : ""));
  }
  *known = found;
  co_return found;
}

std::function<Task<std::vector<Component>>()> ask_components(AsioLoop& loop) {
  return [&loop, known = std::make_shared<std::vector<Component>>()] { return ask(loop, known); };
}

}  // namespace panal
