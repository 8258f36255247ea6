#include "node/containers/host_devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/fd.h"
#include "base/log.h"
#include "node/containers/containers.h"

namespace panal {

static constexpr size_t kMost = 4096;

static std::optional<DeviceNode> node_at(const std::string& path) {
  struct stat s{};
  if (::stat(path.c_str(), &s) != 0 || (!S_ISCHR(s.st_mode) && !S_ISBLK(s.st_mode))) return std::nullopt;
  DeviceNode d;
  d.path = path, d.type = S_ISBLK(s.st_mode) ? 'b' : 'c';
  d.major = major(s.st_rdev), d.minor = minor(s.st_rdev), d.mode = s.st_mode & 07777, d.uid = s.st_uid,
  d.gid = s.st_gid;
  return d;
}

// Depth-first; what is no device is passed over, links too: their target is met where it is.
static void walk(const std::string& folder, int depth, const std::set<std::string>& left_out,
                 std::vector<DeviceNode>& out) {
  for (const auto& name : list_dir(folder)) {
    if (left_out.contains(name) || out.size() >= kMost) continue;
    const std::string path = folder + "/" + name;
    struct stat s{};
    if (::lstat(path.c_str(), &s) != 0) continue;
    if (S_ISDIR(s.st_mode) && depth < 8)
      walk(path, depth + 1, left_out, out);
    else if (auto d = S_ISLNK(s.st_mode) ? std::nullopt : node_at(path))
      out.push_back(std::move(*d));
  }
}

Result<std::vector<DeviceNode>> gather_devices(const HostConfig& host) {
  std::vector<DeviceNode> out;
  if (host.privileged) {
    // The container has a /dev/pts, /dev/shm and so on of its own, and the plain nodes come with every
    // container.
    walk("/dev", 0,
         {"pts", "shm", "fd", "mqueue", "console", ".udev", "null", "zero", "full", "random", "urandom",
          "tty", "ptmx"},
         out);
  }
  for (const auto& wish : host.devices) {
    if (host.privileged && (wish.path_in_container.empty() || wish.path_in_container == wish.path_on_host))
      continue;  // it is there
    const auto bad = [&](const std::string& why) {
      return fail(Code::kInvalid, "error gathering device information while adding custom device \"" +
                                      wish.path_on_host + "\": " + why);
    };
    struct stat s{};
    if (::stat(wish.path_on_host.c_str(), &s) != 0)
      return bad(std::strerror(errno) == std::string("No such file or directory")
                     ? "no such file or directory"
                     : std::strerror(errno));
    std::vector<DeviceNode> found;
    if (S_ISDIR(s.st_mode))
      walk(wish.path_on_host, 0, {}, found);
    else if (auto d = node_at(wish.path_on_host))
      found.push_back(std::move(*d));
    if (found.empty()) return bad("not a device node");
    const std::string& target = wish.path_in_container.empty() ? wish.path_on_host : wish.path_in_container;
    for (auto& d : found) {
      d.path = target + d.path.substr(wish.path_on_host.size());
      d.access = wish.cgroup_permissions.empty() ? "rwm" : wish.cgroup_permissions;
      out.push_back(std::move(d));
    }
  }
  return out;
}

Result<DeviceNode> device_of(const CdiNode& wish, uint32_t uid, uint32_t gid) {
  const std::string& path = wish.host_path.empty() ? wish.path : wish.host_path;
  const bool complete = !wish.type.empty() && (wish.major != 0 || wish.type == "p");
  DeviceNode d;
  d.path = wish.path, d.major = wish.major, d.minor = wish.minor, d.uid = wish.uid.value_or(uid),
  d.gid = wish.gid.value_or(gid);
  d.access = wish.permissions.empty() ? "rwm" : wish.permissions == "none" ? "" : wish.permissions;
  struct stat s{};
  const bool there = ::lstat(path.c_str(), &s) == 0;
  const char kind = !there                ? 0
                    : S_ISBLK(s.st_mode)  ? 'b'
                    : S_ISCHR(s.st_mode)  ? 'c'
                    : S_ISFIFO(s.st_mode) ? 'p'
                                          : 0;
  const auto bad = [](const std::string& why) {
    return fail(Code::kInternal, "CDI device injection failed: failed to inject devices: " + why);
  };
  if (!complete && !there)
    return bad("failed to stat CDI host device \"" + path + "\": " + sys_error(errno, "lstat", path).message);
  if (!complete && !kind) return bad("failed to stat CDI host device \"" + path + "\": not a device node");
  d.mode = wish.mode.value_or(kind ? s.st_mode & 07777 : 0666);
  d.type = wish.type.empty() ? kind : wish.type[0];
  if (complete) return d;
  if (d.type != kind)
    return bad("CDI device (\"" + wish.path + "\", \"" + path + "\"), host type mismatch (" + wish.type +
               ", " + std::string(1, kind) + ")");
  if (kind != 'p' && wish.major == 0) d.major = major(s.st_rdev), d.minor = minor(s.st_rdev);
  return d;
}

Result<DeviceNumbers> numbers_of(const BlkioLimits& limits) {
  DeviceNumbers out;
  const auto add = [&out](const auto& list) -> Result<> {
    for (const auto& limit : list) {
      struct stat s{};
      if (::stat(limit.path.c_str(), &s) != 0) return fail(sys_error(errno, "stat", limit.path));
      out[limit.path] = {major(s.st_rdev), minor(s.st_rdev)};
    }
    return {};
  };
  TRYV(add(limits.weights));
  for (const auto* list : {&limits.read_bps, &limits.write_bps, &limits.read_iops, &limits.write_iops})
    TRYV(add(*list));
  return out;
}

// Devices by request (CDI, --gpus): the vendors' files are read anew at each start, as they come and go.
static constexpr size_t kMostFiles = 256, kMostBytes = 1 << 20;

CdiDevices read_cdi_devices(const std::vector<std::string>& dirs) {
  CdiDevices out;
  for (size_t i = 0; i < dirs.size(); ++i) {
    size_t files = 0;
    for (const auto& name : list_dir(dirs[i])) {
      const std::string path = dirs[i] + "/" + name;
      if ((!name.ends_with(".json") && !name.ends_with(".yaml")) || exists(path + "/.")) continue;
      if (++files > kMostFiles) {
        out.problems[dirs[i]].push_back("more than " + std::to_string(kMostFiles) +
                                        " files: the rest is not read");
        break;
      }
      out.add(path, static_cast<int>(i), read_file(path, kMostBytes));
    }
  }
  (void)out.by_name(&out.problems);
  return out;
}

Task<Result<>> Containers::add_requested_devices(const Container& c, OciInputs& in) {
  if (c.host.device_requests.empty()) co_return Result<>{};
  auto read = [dirs = paths_.device_drivers.cdi_dirs] { return read_cdi_devices(dirs); };
  const CdiDevices cdi = co_await blocking(loop_, read);
  auto edits = requested_devices(c.host.device_requests, paths_.device_drivers, cdi);
  if (!edits) {
    for (const auto& [file, problems] : cdi.problems)
      for (const auto& problem : problems) log::warn("msg=\"CDI\" file={} error=\"{}\"", file, problem);
    co_return std::unexpected(edits.error());
  }
  for (const auto& wish : edits->nodes) {
    CO_TRY(DeviceNode node, device_of(wish, in.user.uid, in.user.gid));
    std::erase_if(in.devices, [&](const DeviceNode& other) { return other.path == node.path; });
    in.devices.push_back(std::move(node));
  }
  in.edits = std::move(*edits);
  co_return Result<>{};
}

}  // namespace panal
