// What must be mounted on the host before a container's own mounts: volumes with a file system of their own,
// folders inside volumes.
#include <sys/statvfs.h>

#include <algorithm>
#include <filesystem>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "node/containers/containers.h"

namespace panal {

static std::string number_of(const Container& c, const MountPoint& m) {
  const auto at = std::ranges::find_if(
      c.mounts, [&](const MountPoint& other) { return other.destination == m.destination; });
  return std::to_string(at - c.mounts.begin());
}

std::string Containers::subpath_mount(const Container& c, const MountPoint& m) const {
  return dir(c) + "/subpath-" + number_of(c, m);
}

// The root file systems of its image and of those it mounts.
std::vector<std::string> Containers::all_layers(const Container& c) {
  std::vector<std::string> out = c.layers;
  for (const auto& m : c.mounts) out.insert(out.end(), m.layers.begin(), m.layers.end());
  return out;
}

Task<Result<>> Containers::mount_image(const Container& c, const MountPoint& m) {
  CO_TRY(auto numbers, layer_numbers(m.layers));
  const std::string folder = m.source.substr(0, m.source.rfind('/'));
  CO_TRYV(make_dirs(folder, 0700));
  CO_TRYV(co_await layers_.mount_rootfs(folder, std::move(numbers), Layers::Lasts::kBeyondCrash, ids_of(c)));
  if (m.subpath.empty()) co_return Result<>{};
  auto bound = layers_.bind_in_root(m.source, m.subpath, subpath_mount(c, m));
  if (!bound) co_return fail(wrap("image " + m.name + ": cannot access path " + m.subpath, bound.error()));
  co_return Result<>{};
}

// A mount can only be passed on where the one it lies on is.
Result<> check_propagation(const MountPoint& m) {
  const bool shared = m.propagation.ends_with("shared"), slave = m.propagation.ends_with("slave");
  if (!shared && !slave) return {};
  std::error_code error;
  const std::string source = std::filesystem::canonical(m.source, error).string();
  if (error) return fail(sys_error(error.value(), "stat", m.source));
  std::string on, options;
  for (const auto& line : split(read_file("/proc/self/mountinfo").value_or(""), '\n')) {
    const auto words = split(line, ' ');  // id parent device root where options [shared:1] [master:2] - ...
    if (words.size() < 8) continue;
    const std::string& where = words[4];
    const bool below = where == "/" || source == where || source.starts_with(where + "/");
    if (!below || where.size() < on.size()) continue;
    on = where, options.clear();
    for (size_t i = 6; i < words.size() && words[i] != "-"; ++i) options += " " + words[i];
  }
  const bool is_shared = options.find(" shared:") != std::string::npos,
             is_slave = options.find(" master:") != std::string::npos;
  if (shared && !is_shared)
    return fail(Code::kInvalid,
                "path " + m.source + " is mounted on " + on + " but it is not a shared mount");
  if (slave && !is_shared && !is_slave)
    return fail(Code::kInvalid,
                "path " + m.source + " is mounted on " + on + " but it is not a shared or slave mount");
  return {};
}

Task<Result<>> Containers::set_up_mounts(const Container& c) {
  for (const auto& m : c.mounts) {
    if (m.type == "bind") CO_TRYV(check_propagation(m));
    if (m.type == "image") CO_TRYV(co_await mount_image(c, m));
    if (m.type != "volume") continue;
    CO_TRYV(co_await volumes_.mount(m.name));
    if (told_mounts_.insert(c.id + m.destination).second)
      events_.publish("volume", "mount", m.name,
                      {{"container", c.id},
                       {"destination", m.destination},
                       {"driver", m.driver},
                       {"propagation", m.propagation},
                       {"read/write", m.rw ? "true" : "false"}});
    if (m.subpath.empty()) continue;
    auto bound = layers_.bind_in_root(m.source, m.subpath, subpath_mount(c, m));
    if (!bound) co_return fail(wrap("volume " + m.name + ": cannot access path " + m.subpath, bound.error()));
  }
  co_return Result<>{};
}

Task<void> Containers::take_down_mounts(LivePtr live) {
  const Container& c = live->c;
  if (c.state.root_uid) take_down_users(c);
  for (const auto& m : c.mounts) {
    if (!m.subpath.empty()) layers_.unmount_shm(subpath_mount(c, m));
    if (m.type == "image")
      if (auto done = co_await layers_.unmount_rootfs(m.source.substr(0, m.source.rfind('/'))); !done)
        log::warn("msg=\"unmount image\" container={} error=\"{}\"", c.id, done.error().message);
    if (m.type != "volume") continue;
    if (told_mounts_.erase(c.id + m.destination) > 0)
      events_.publish("volume", "unmount", m.name, {{"container", c.id}, {"driver", m.driver}});
    const bool used = std::ranges::any_of(containers_, [&](const auto& other) {
      const LiveContainer& o = *other.second;
      if (o.c.id == c.id || (!is_up(o.c.state.phase) && o.tree_uses.empty() && !o.mutex.locked()))
        return false;
      return std::ranges::any_of(o.c.mounts,
                                 [&](const MountPoint& n) { return n.type == "volume" && n.name == m.name; });
    });
    if (used) continue;
    if (auto done = co_await volumes_.unmount(m.name); !done)
      log::warn("msg=\"unmount volume\" volume={} error=\"{}\"", m.name, done.error().message);
  }
}

static Result<std::vector<std::string>> flags_of_mount(const std::string& path) {
  struct statvfs info{};
  if (::statvfs(path.c_str(), &info) != 0) return fail(sys_error(errno, "statfs", path));
  std::vector<std::string> out;
  for (const auto& [flag, word] : {std::pair<unsigned long, const char*>{ST_RDONLY, "ro"},
                                   {ST_NOSUID, "nosuid"},
                                   {ST_NODEV, "nodev"},
                                   {ST_NOEXEC, "noexec"}})
    if (info.f_flag & flag) out.emplace_back(word);
  return out;
}

// Looks at the sources, which may lie on network file systems that do not answer: their flags, and the
// folders that dangling links of the image want, to which the runtime does not go.
Task<Result<>> Containers::prepare_mount_points(const Container& c, OciInputs& in) {
  if (c.mounts.empty()) co_return Result<>{};
  const auto work = [this, &c, &in, ids = ids_of(c)]() -> Result<> {
    for (const auto& m : c.mounts) {
      std::error_code error;
      std::string folder = m.destination;
      if (m.type != "tmpfs") {
        const auto other = in.sources.find(m.destination);
        const std::string& path = other == in.sources.end() ? m.source : other->second;
        TRY(in.source_flags[m.destination], flags_of_mount(path));
        if (!std::filesystem::is_directory(path, error)) folder = folder.substr(0, folder.rfind('/'));
      }
      TRYV(layers_.mend_links_in_root(in.rootfs, folder, ids));
    }
    return {};
  };
  co_return co_await blocking(loop_, work, Lane::kRemote);
}

// "NAME", "NAME:ro", "NAME:rw": the mounts of another container.
Result<std::vector<MountPoint>> Containers::mounts_from(const std::string& spec) const {
  const size_t colon = spec.find(':');
  const std::string name = spec.substr(0, colon);
  if (name.empty()) return fail(Code::kInvalid, "invalid volumes-from specification: '" + spec + "'");
  bool read_only = false;
  if (colon != std::string::npos)
    for (const auto& mode : split(spec.substr(colon + 1), ',')) {
      if (mode == "ro")
        read_only = true;
      else if (mode != "rw" && mode != "z" && mode != "Z")
        return fail(Code::kInvalid, "invalid mode: " + spec.substr(colon + 1));
    }
  TRY(const LivePtr other, find(name));
  std::vector<MountPoint> out;
  for (MountPoint m : other->c.mounts) {
    if (m.type == "tmpfs" || m.type == "image") continue;  // their files are that container's own
    m.rw = m.rw && !read_only, m.copy_up = false;
    out.push_back(std::move(m));
  }
  return out;
}

}  // namespace panal
