#include <algorithm>
#include <set>

#include "base/text.h"
#include "engine/oci_mounts_json.h"
#include "engine/security.h"

namespace panal {

static Json mount(std::string_view destination, std::string_view type, std::string_view source,
                  std::initializer_list<std::string_view> options) {
  return JsonObject{{"destination", destination},
                    {"type", type},
                    {"source", source},
                    {"options", strings(std::vector<std::string>(options.begin(), options.end()))}};
}

static Json bind(const std::string& destination, const std::string& source,
                 std::vector<std::string> options) {
  return JsonObject{
      {"destination", destination}, {"type", "bind"}, {"source", source}, {"options", strings(options)}};
}

static Json tmpfs_json(const MountPoint& m) {
  std::vector<std::string> options = {"nosuid", "nodev", "noexec"};
  for (const auto& o : split(m.mode, ','))
    if (!o.empty()) {
      if (o == "exec" || o == "suid" || o == "dev") std::erase(options, "no" + o);
      options.push_back(o);
    }
  if (m.tmpfs_size_bytes) options.push_back("size=" + std::to_string(m.tmpfs_size_bytes));
  if (m.tmpfs_mode) {
    char octal[16];
    std::snprintf(octal, sizeof octal, "mode=%o", static_cast<unsigned>(m.tmpfs_mode));
    options.push_back(octal);
  }
  if (!m.rw) options.push_back("ro");
  return JsonObject{
      {"destination", m.destination}, {"type", "tmpfs"}, {"source", "tmpfs"}, {"options", strings(options)}};
}

static Json mount_point_json(const MountPoint& m, const OciInputs& in) {
  if (m.type == "tmpfs") return tmpfs_json(m);
  const auto other = in.sources.find(m.destination);
  std::string propagation = m.propagation.empty() ? "rprivate" : m.propagation;
  if (!m.recursive && propagation[0] == 'r') propagation.erase(0, 1);  // crun takes the one for the other
  std::vector<std::string> options = {m.recursive ? "rbind" : "bind", propagation};
  bool rw = m.rw;
  if (const auto held = in.source_flags.find(m.destination); held != in.source_flags.end())
    for (const auto& flag : held->second) {
      if (flag != "ro") options.push_back(flag);
      rw &= flag != "ro";
    }
  options.push_back(rw ? "rw" : !m.rw && m.ro_recursive ? "rro" : "ro");
  return bind(m.destination, other == in.sources.end() ? m.source : other->second, std::move(options));
}

JsonArray mounts_json(const Container& c, const OciInputs& in) {
  const bool privileged = c.host.privileged;
  JsonArray out;
  out.push_back(mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
  out.push_back(mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  out.push_back(mount("/dev/pts", "devpts", "devpts",
                      {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}));
  out.push_back(mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", privileged ? "rw" : "ro"}));
  const bool cgroups = writable_cgroups(c.host.security_opt).value_or(privileged);
  out.push_back(
      mount("/sys/fs/cgroup", "cgroup", "cgroup", {cgroups ? "rw" : "ro", "nosuid", "noexec", "nodev"}));
  if (in.own_mqueue) out.push_back(mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  if (!in.shm_source.empty()) {
    out.push_back(bind("/dev/shm", in.shm_source, {"rbind", "rprivate", "nosuid", "noexec", "nodev"}));
  } else if (c.host.ipc_mode != "none") {
    const int64_t shm = c.host.shm_size > 0 ? c.host.shm_size : 64 << 20;
    out.push_back(mount("/dev/shm", "tmpfs", "shm",
                        {"nosuid", "noexec", "nodev", "mode=1777", "size=" + std::to_string(shm)}));
  }
  std::vector<std::pair<std::string, Json>> ordered;  // where, what: what lies above comes first
  for (const auto& m : c.mounts) ordered.emplace_back(m.destination, mount_point_json(m, in));
  for (const auto& m : in.mounts_below) ordered.emplace_back(m.destination, mount_point_json(m, in));
  std::set<std::string> taken;
  for (const auto& m : c.mounts) taken.insert(m.destination);
  for (const auto& m : in.edits.mounts) {
    if (!taken.insert(m.target).second) continue;
    for (auto own = out.begin(); own != out.end();)
      own = str(own->at("destination")) == m.target ? out.erase(own) : own + 1;
    ordered.emplace_back(m.target, JsonObject{{"destination", m.target},
                                              {"type", m.type.empty() ? "bind" : m.type},
                                              {"source", m.source},
                                              {"options", strings(m.options)}});
  }
  std::ranges::stable_sort(ordered, {}, [](const auto& m) { return std::ranges::count(m.first, '/'); });
  for (auto& [where, what] : ordered) out.push_back(std::move(what));
  // Docker's own files lie over a user's /etc, under a user's /etc/hosts.
  for (const auto& [path, file] :
       {std::pair<const char*, const std::string&>{"/etc/resolv.conf", in.resolv_file},
        {"/etc/hostname", in.hostname_file},
        {"/etc/hosts", in.hosts_file}})
    if (!file.empty() && !taken.contains(path))
      out.push_back(bind(path, file, {"rbind", "rprivate", c.host.readonly_rootfs ? "ro" : "rw"}));
  if (c.host.init.value_or(false)) out.push_back(bind("/sbin/docker-init", in.init_path, {"bind", "ro"}));
  return out;
}

}  // namespace panal
