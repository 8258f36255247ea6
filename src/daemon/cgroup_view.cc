#include "daemon/cgroup_view.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

#include <cstdio>
#include <filesystem>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/confinement.h"

namespace panal {

static bool is_cgroup2(const char* path) {
  struct statfs s{};
  return ::statfs(path, &s) == 0 && s.f_type == CGROUP2_SUPER_MAGIC;
}

bool cgroup_is_v2() { return is_cgroup2("/sys/fs/cgroup"); }

// The one scheduler that weighs devices by groups; Debian's kernels load it only when it is asked for.
static bool has_bfq() {
  for (const auto& disk : list_dir("/sys/block"))
    if (read_file("/sys/block/" + disk + "/queue/scheduler", 4096).value_or("").find("bfq") !=
        std::string::npos)
      return true;
  return false;
}

HostLimits host_limits(int cpus) {
  const auto first_of = [](std::initializer_list<const char*> paths) {
    for (const char* path : paths)
      if (auto text = read_file(path, 65536); text && !trim(*text).empty()) return std::string(trim(*text));
    return std::string();
  };
  HostLimits limits{cpus,
                    first_of({"/sys/fs/cgroup/cpuset.cpus.effective", "/sys/fs/cgroup/cpuset/cpuset.cpus"}),
                    first_of({"/sys/fs/cgroup/cpuset.mems.effective", "/sys/fs/cgroup/cpuset/cpuset.mems"})};
  // The root group has no weight: a look into the one that containers' groups are made in.
  const std::string group = cgroup_is_v2() ? "/sys/fs/cgroup/panal" : "/sys/fs/cgroup/blkio/panal";
  (void)make_dirs(group, 0755);
  limits.blkio_weight = cgroup_is_v2() || exists(group + "/blkio.weight");
  limits.blkio_weight_device = cgroup_is_v2() ? has_bfq() : limits.blkio_weight;
  limits.cpu_realtime = !cgroup_is_v2() && exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us");
  utsname kernel{};
  int major = 0, minor = 0;
  if (::uname(&kernel) == 0 && std::sscanf(kernel.release, "%d.%d", &major, &minor) == 2)
    limits.recursive_read_only = major > 5 || (major == 5 && minor >= 12);
  limits.apparmor = apparmor_enabled(), limits.apparmor_default = limits.apparmor && apparmor_parser_exists();
  return limits;
}

static bool join_monitors(const std::string& containers_dir) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(containers_dir, error)) {
    const auto pid = read_file(entry.path().string() + "/conmon.pid", 64);
    if (!pid) continue;
    const std::string proc = "/proc/" + std::string(trim(*pid));
    const auto command = read_file(proc + "/cmdline", 65536);
    if (!command || command->find("conmon") == std::string::npos ||
        command->find(entry.path().filename().string()) == std::string::npos)
      continue;
    Fd ns(::open((proc + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
    if (ns && ::setns(ns.get(), CLONE_NEWNS) == 0) return true;
  }
  return false;
}

Result<> prepare_cgroup_view(const std::string& containers_dir) {
  if (cgroup_is_v2() || !is_cgroup2("/sys/fs/cgroup/unified")) return {};
  if (join_monitors(containers_dir)) return {};
  if (::unshare(CLONE_NEWNS) != 0) return fail(sys_error(errno, "unshare mount namespace"));
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    return fail(sys_error(errno, "mount", "/"));
  // A folder of our own with every v1 hierarchy bound into it, moved over the shared one: nothing is written
  // into that.
  const std::string temporary = "/tmp/.panal-cgroup-" + std::to_string(::getpid());
  TRYV(make_dirs(temporary, 0755));
  if (::mount("cgroup", temporary.c_str(), "tmpfs", 0, "mode=755,size=1m") != 0)
    return fail(sys_error(errno, "mount", temporary));
  TRY(const std::string table, read_file("/proc/self/cgroup"));
  for (const auto& line : split(table, '\n')) {
    const auto parts = split(line, ':');
    if (parts.size() < 3 || parts[0] == "0") continue;
    const std::string name = parts[1].starts_with("name=") ? parts[1].substr(5) : parts[1];
    if (!exists("/sys/fs/cgroup/" + name)) continue;
    const std::string at = temporary + "/" + name;
    TRYV(make_dirs(at, 0755));
    if (::mount(("/sys/fs/cgroup/" + name).c_str(), at.c_str(), nullptr, MS_BIND, nullptr) != 0)
      return fail(sys_error(errno, "mount", at));
  }
  if (::mount(temporary.c_str(), "/sys/fs/cgroup", nullptr, MS_MOVE, nullptr) != 0)
    return fail(sys_error(errno, "mount", "/sys/fs/cgroup"));
  ::rmdir(temporary.c_str());
  log::info("msg=\"hybrid cgroups: using the v1 hierarchies in a mount namespace of our own\"");
  return {};
}

}  // namespace panal
