// -v, --mount, --tmpfs, --volumes-from and the image's VOLUMEs: what is mounted where.
#include <algorithm>

#include "base/fd.h"
#include "base/path.h"
#include "base/text.h"
#include "node/containers/containers.h"

namespace panal {

static std::string absolute(const std::string& path) { return "/" + clean_path(path); }

static bool leads_out(const std::string& path) {
  int depth = 0;
  for (const auto& part : split(path, '/')) {
    if (part == "..")
      --depth;
    else if (!part.empty() && part != ".")
      ++depth;
    if (depth < 0) return true;
  }
  return path.starts_with('/');
}

static Result<Mount> parse_bind(const std::string& text) {
  auto parts = split(text, ':');
  if (parts.size() == 1 && parts[0].starts_with('/')) {
    Mount anonymous;
    anonymous.type = "volume", anonymous.target = parts[0];
    return anonymous;
  }
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() || parts[1].empty())
    return fail(Code::kInvalid, "invalid volume specification: '" + text + "'");
  Mount m;
  m.type = parts[0][0] == '/' ? "bind" : "volume", m.source = parts[0], m.target = parts[1];
  if (m.type == "bind") m.create_mountpoint = true;
  if (parts.size() < 3) return m;
  m.consistency = parts[2];  // as inspect shows it
  const auto modes = split(parts[2], ',');
  for (const auto& one_of : {std::set<std::string_view>{"ro", "rw"}, {"z", "Z"}})
    if (std::ranges::count_if(modes, [&](const auto& mode) { return one_of.contains(mode); }) > 1)
      return fail(Code::kInvalid, "invalid mode: " + parts[2]);
  for (const auto& mode : modes) {
    if (mode == "ro")
      m.read_only = true;
    else if (mode == "nocopy" && m.type == "volume")
      m.no_copy = true;
    else if (m.type == "bind" && (mode == "rprivate" || mode == "private" || mode == "rshared" ||
                                  mode == "shared" || mode == "rslave" || mode == "slave"))
      m.propagation = mode;
    else if (mode != "rw" && mode != "z" && mode != "Z" && mode != "delegated" && mode != "cached" &&
             mode != "consistent" && !mode.empty())
      return fail(Code::kInvalid, "invalid mode: " + mode);
  }
  return m;
}

// A container that sees the engine's own folder must let go of what is unmounted there.
static constexpr std::string_view kPropagations[] = {"private", "rprivate", "shared",
                                                     "rshared", "slave",    "rslave"};
static Result<std::string> propagation_of(const Mount& m, const std::string& data_root) {
  const auto holds = [](const std::string& folder, const std::string& path) {
    return path == folder || path.starts_with(folder.ends_with('/') ? folder : folder + "/");
  };
  if (!m.propagation.empty() && std::ranges::find(kPropagations, m.propagation) == std::end(kPropagations))
    return fail(Code::kInvalid,
                "invalid mount config for type \"bind\": invalid propagation mode: " + m.propagation);
  const std::string source = absolute(m.source);
  const bool ours = holds(source, data_root) || holds(data_root, source);
  if (m.propagation.empty()) {
    const MountPoint wanted{.source = source, .propagation = "rslave"};
    return std::string(ours && check_propagation(wanted) ? "rslave" : "rprivate");
  }
  if (ours && m.propagation != "rslave" && m.propagation != "rshared")
    return fail(Code::kInvalid,
                "invalid mount config: must use either propagation mode \"rslave\" or \"rshared\" when mount "
                "source is within the daemon root, daemon root: \"" +
                    data_root + "\", bind mount source: \"" + m.source + "\", propagation: \"" +
                    m.propagation + "\"");
  return m.propagation;
}

// What the kernel tells there is not to be forged; runc permits the same few.
static bool inside_proc(const std::string& target) {
  if (target == "/proc") return true;
  if (!target.starts_with("/proc/")) return false;
  for (const char* harmless : {"cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg",
                               "slabinfo", "net/dev", "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"})
    if (target.substr(6) == harmless) return false;
  return true;
}

using Wish = std::pair<Mount, bool>;  // the second: from --mount

static Result<std::vector<Wish>> wishes_of(const Container& c) {
  std::vector<Wish> out;
  for (const auto& text : c.host.binds) {
    TRY(Mount m, parse_bind(text));
    out.emplace_back(std::move(m), false);
  }
  for (const auto& m : c.host.mounts) out.emplace_back(m, true);
  for (const auto& [target, options] : c.host.tmpfs) {
    Mount m;
    m.type = "tmpfs", m.target = target, m.consistency = options;
    out.emplace_back(std::move(m), false);
  }
  for (const auto& [target, nothing] : c.config.volumes) {
    const bool covered =
        std::ranges::any_of(out, [&](const auto& w) { return absolute(w.first.target) == absolute(target); });
    if (covered) continue;
    Mount m;
    m.type = "volume", m.target = target;
    out.emplace_back(std::move(m), false);
  }
  return out;
}

static std::string invalid_mount(const Mount& m) {
  return "invalid mount config for type \"" + m.type + "\": ";
}

static Result<> check_mount(const Mount& m) {
  const std::string bad = invalid_mount(m), target = absolute(m.target);
  if (m.type != "bind" && m.type != "volume" && m.type != "image" && m.type != "tmpfs")
    return fail(Code::kInvalid, bad + "mount type unknown");
  if (m.target.empty()) return fail(Code::kInvalid, bad + "field Target must not be empty");
  if (m.type == "bind" && m.source.empty())
    return fail(Code::kInvalid, bad + "field Source must not be empty");
  if (m.target[0] != '/')
    return fail(Code::kInvalid, bad + "invalid mount path: '" + m.target + "' mount path must be absolute");
  if (target == "/") return fail(Code::kInvalid, bad + "invalid specification: destination can't be '/'");
  if (inside_proc(target))
    return fail(Code::kInvalid, "\"" + target + "\" cannot be mounted because it is inside /proc");
  return {};
}

Result<> Containers::resolve_bind(const Mount& m, bool strict, MountPoint& p) const {
  const std::string bad = invalid_mount(m);
  if (m.source[0] != '/')
    return fail(Code::kInvalid, bad + "invalid mount path: '" + m.source + "' mount path must be absolute");
  TRY(p.propagation, propagation_of(m, paths_.data.substr(0, paths_.data.rfind('/'))));
  if (!exists(m.source)) {
    if (strict && !m.create_mountpoint)
      return fail(Code::kInvalid, bad + "bind source path does not exist: " + m.source);
    TRYV(make_dirs(m.source, 0755));
  }
  if (m.ro_non_recursive && m.ro_force_recursive)
    return fail(Code::kInvalid, "mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive");
  if ((m.ro_non_recursive || m.ro_force_recursive) && !m.read_only)
    return fail(Code::kInvalid, bad + "a read-only mode of what lies below needs ReadOnly");
  if (m.ro_force_recursive && !paths_.machine.recursive_read_only)
    return fail(Code::kInvalid, "mounts cannot be made read-only recursively: this needs Linux 5.12");
  p.source = m.source, p.recursive = !m.non_recursive,
  p.ro_recursive = m.read_only && !m.ro_non_recursive && paths_.machine.recursive_read_only &&
                   exists(m.source + "/.");  // crun 1.8: of folders only
  if (!strict) p.mode = m.consistency;
  return {};
}

Task<Result<>> Containers::resolve_volume(const Container& c, Mount m, bool strict, MountPoint& p) {
  const std::string bad = invalid_mount(m);
  if (leads_out(m.subpath))
    co_return fail(Code::kInvalid, bad + "subpath must be a relative path within the volume");
  if (!m.subpath.empty() && m.source.empty())
    co_return fail(Code::kInvalid, bad + "must not set Subpath when using anonymous volumes");
  if (strict && m.read_only && m.source.empty())
    co_return fail(Code::kInvalid, bad + "must not set ReadOnly mode when using anonymous volumes");
  p.subpath = m.subpath;
  bool created = false;
  if (m.driver_name.empty() && !strict) m.driver_name = c.host.volume_driver;
  CO_TRY(const Volume* v,
         co_await volumes_.ensure(m.source, m.driver_name, m.volume_labels, m.driver_options, created, c.id));
  p.name = v->name, p.source = v->mountpoint, p.driver = v->driver, p.copy_up = !m.no_copy;
  // As inspect shows it.
  p.mode = strict ? "z" : !m.consistency.empty() ? m.consistency : m.source.empty() ? "" : "z";
  co_return Result<>{};
}

Result<> Containers::resolve_image(const Container& c, const Mount& m, MountPoint& p) const {
  const std::string bad = invalid_mount(m);
  if (leads_out(m.image_subpath))
    return fail(Code::kInvalid, bad + "subpath must be a relative path within the image");
  const auto found =
      images_.find(m.source);  // not "not found": the CLI would pull the container's image for that
  if (!found) return fail(Code::kInvalid, bad + found.error().message);
  const Image* image = *found;
  p.name = m.source, p.image_id = image->id, p.layers = image->chain_ids, p.subpath = m.image_subpath,
  p.source = dir(c) + "/image-" + std::to_string(c.mounts.size()) + "/merged";
  return {};
}

static Result<> resolve_tmpfs(const Mount& m, MountPoint& p) {
  const std::string bad = invalid_mount(m);
  if (!m.source.empty()) return fail(Code::kInvalid, bad + "field Source must not be specified");
  p.mode = m.consistency;
  for (const auto& option : m.tmpfs_options) {
    if (option.empty() || option.size() > 2) return fail(Code::kInvalid, bad + "invalid option array length");
    p.mode += (p.mode.empty() ? "" : ",") + panal::join(option, "=");
  }
  p.tmpfs_size_bytes = m.tmpfs_size_bytes, p.tmpfs_mode = m.tmpfs_mode;
  return {};
}

// Of --volumes-from, but for places that are asked for otherwise. The last one counts.
Result<> Containers::take_mounts_from_others(Container& c, const std::set<std::string>& own,
                                             std::set<std::string>& targets) const {
  for (const auto& spec : c.host.volumes_from) {
    auto theirs = mounts_from(spec);
    if (!theirs) return fail(Code::kInvalid, theirs.error().message);
    for (auto& m : *theirs) {
      if (own.contains(m.destination)) continue;
      if (!targets.insert(m.destination).second)
        std::erase_if(c.mounts, [&](const MountPoint& other) { return other.destination == m.destination; });
      c.mounts.push_back(std::move(m));
    }
  }
  return {};
}

Task<Result<>> Containers::resolve_mounts(Container& c) {
  CO_TRY(auto wishes, wishes_of(c));
  std::set<std::string> targets, own;
  for (auto& [m, strict] : wishes)
    if (m.type != "volume" || !m.source.empty() || strict) own.insert(absolute(m.target));
  CO_TRYV(take_mounts_from_others(c, own, targets));
  // A volume that the image asks for and another container gives is not made.
  std::erase_if(wishes, [&](const auto& w) {
    return w.first.type == "volume" && w.first.source.empty() && !w.second &&
           targets.contains(absolute(w.first.target));
  });
  for (auto& [m, strict] : wishes) {
    CO_TRYV(check_mount(m));
    const std::string target = absolute(m.target);
    if (!targets.insert(target).second) co_return fail(Code::kInvalid, "Duplicate mount point: " + target);
    MountPoint p;
    p.type = m.type, p.destination = target, p.rw = !m.read_only, p.propagation = m.propagation;
    if (m.type == "bind") CO_TRYV(resolve_bind(m, strict, p));
    if (m.type == "volume") CO_TRYV(co_await resolve_volume(c, m, strict, p));
    if (m.type == "image") CO_TRYV(resolve_image(c, m, p));
    if (m.type == "tmpfs") CO_TRYV(resolve_tmpfs(m, p));
    c.mounts.push_back(std::move(p));
  }
  co_return Result<>{};
}

}  // namespace panal
