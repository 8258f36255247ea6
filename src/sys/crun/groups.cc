#include "sys/crun/groups.h"

#include <unistd.h>

#include <cerrno>

#include "base/fd.h"
#include "base/json.h"
#include "base/text.h"

namespace panal {

// A process is moved into a group only after every processor has gone through the kernel's scheduler
// (cgroup_threadgroup_rwsem, an RCU grace period): a third of a container's start. The kernel stays prepared
// for about as long again, so this process moves to where it is already, while the runtime is still being
// loaded.
void open_groups_for_change() {
  for (const auto& line : split(read_file("/proc/self/cgroup", 65536).value_or(""), '\n')) {
    const auto parts = split(line, ':');  // 4:memory:/path, 1:name=systemd:/path, 0::/path
    if (parts.size() != 3) continue;
    const std::string name = parts[1].starts_with("name=") ? parts[1].substr(5) : parts[1];
    if (write_file("/sys/fs/cgroup/" + name + parts[2] + "/cgroup.procs", "0")) return;
  }
}

Result<> lift_limits(const std::string& cgroup, bool pids, bool cpu_quota, const std::string& groups) {
  const bool unified = exists(groups + cgroup + "/cgroup.procs");
  const auto write = [&](const char* controller, const char* file, const char* value) {
    const std::string folder = groups + (unified ? "" : std::string("/") + controller) + cgroup;
    return exists(folder) ? write_file(folder + "/" + file, value) : Result<>{};
  };
  if (pids) TRYV(write("pids", "pids.max", "max"));
  if (cpu_quota) TRYV(unified ? write("cpu", "cpu.max", "max") : write("cpu", "cpu.cfs_quota_us", "-1"));
  return {};
}

static bool lives(int64_t pid, int64_t started) {
  const auto stat = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  const size_t close = stat ? stat->rfind(')') : std::string::npos;
  if (close == std::string::npos) return false;
  const auto words = split(std::string_view(*stat).substr(close + 2), ' ');
  return words.size() > 19 && parse_int(words[19]) == started;
}

static bool gone(const std::string& folder) {
  return ::rmdir(folder.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR;
}

bool group_is_frozen(const std::string& cgroup, const std::string& groups) {
  const auto says = [](const std::string& file) {
    return std::string(trim(read_file(file, 64).value_or("")));
  };
  const std::string state = says(groups + "/freezer" + cgroup + "/freezer.state");
  return state == "FROZEN" || state == "FREEZING" || says(groups + cgroup + "/cgroup.freeze") == "1";
}

void remove_empty_groups(const std::string& cgroup, const std::string& groups) {
  if (cgroup.size() < 2 || cgroup[0] != '/' || cgroup.find("/..") != std::string::npos) return;
  (void)gone(groups + cgroup);
  for (const auto& name : list_dir(groups)) (void)gone(groups + "/" + name + cgroup);
}

// The status goes last: cut short by the daemon's death, the next one goes on with it.
static bool remove_state(const std::string& state) {
  for (const auto& name : list_dir(state))
    if (name != "status" && !remove_tree(state + "/" + name)) return false;
  ::unlink((state + "/status").c_str());
  return ::rmdir(state.c_str()) == 0;
}

bool remove_ended(const std::string& state, const std::string& groups) {
  if (list_dir(state).empty()) return ::rmdir(state.c_str()) == 0;  // cut short after that
  const auto text = read_file(state + "/status", 65536);
  const auto json = text ? parse_json(*text) : fail(Code::kNotFound, "");
  const auto* status = json ? json->if_object() : nullptr;
  if (!status) return false;
  const auto *group = status->if_contains("cgroup-path"), *by_systemd = status->if_contains("systemd-cgroup"),
             *pid = status->if_contains("pid"), *started = status->if_contains("process-start-time");
  if (!group || !by_systemd || !pid || !started || *by_systemd != Json(false) || !pid->is_int64() ||
      !started->is_int64())
    return false;
  if (const auto* bundle = status->if_contains("bundle"))  // hooks of its end are the runtime's to run
    if (const auto config = read_file(str(*bundle) + "/config.json");
        config && config->contains("\"poststop\":["))
      return false;
  const std::string path = str(*group);
  if (path.size() < 2 || path[0] != '/' || path.find("/..") != std::string::npos ||
      lives(pid->get_int64(), started->get_int64()))
    return false;
  if (!gone(groups + path)) return false;  // the kernel keeps a group in which something lives
  for (const auto& name : list_dir(groups))
    if (!gone(groups + "/" + name + path)) return false;
  return remove_state(state);
}

}  // namespace panal
