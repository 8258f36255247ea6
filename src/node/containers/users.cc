// User namespaces (userns-remap). A container with mapped users has one of its own, made together with its
// network's, and sees the owners of its files mapped (Layers::Ids::kMapped). Host paths are closed to such
// users; of its root the runtime finds a second mount, in a folder that only they and root may enter.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/fd.h"
#include "base/text.h"
#include "node/containers/containers.h"

namespace panal {

Result<> check_mapped_users(const HostConfig& host, const IdMap& ids) {
  if (!ids.empty() && writable_cgroups(host.security_opt))
    return fail(Code::kInvalid, "option WritableCgroups conflicts with user namespaces and rootless mode");
  if (ids.empty() || host.userns_mode == "host") return {};
  if (host.privileged)
    return fail(Code::kInvalid,
                "privileged mode is incompatible with user namespaces.  You must run the container in the "
                "host namespace when running privileged mode");
  if (host.network_mode == "host")
    return fail(Code::kInvalid, "cannot share the host's network namespace when user namespaces are enabled");
  if (host.pid_mode == "host")
    return fail(Code::kInvalid, "cannot share the host PID namespace when user namespaces are enabled");
  return {};
}

bool Containers::has_mapped_users(const Container& c) const {
  if (is_up(c.state.phase)) return c.state.root_uid != 0;
  return !paths_.ids.empty() && c.host.userns_mode != "host";
}

Layers::Ids Containers::ids_of(const Container& c) const {
  return has_mapped_users(c) ? Layers::Ids::kMapped : Layers::Ids::kAsStored;
}

// Namespaces of another container can only be joined from within its user namespace.
Result<std::string> Containers::joined_user_namespace(const Container& c) const {
  for (const auto* mode : {&c.host.network_mode, &c.host.pid_mode, &c.host.ipc_mode}) {
    if (!mode->starts_with("container:")) continue;
    TRY(std::string path, namespace_for(c, *mode, "user"));
    TRY(const LivePtr other, find(mode->substr(10)));
    if (other->c.state.root_uid != c.state.root_uid)
      return fail(Code::kConflict, "cannot join a namespace of container " + other->c.name +
                                       ": it runs in another user namespace");
    return path;
  }
  return std::string();
}

Result<std::optional<NamespaceOwner>> Containers::namespace_owner(const Container& c) const {
  if (!has_mapped_users(c)) return std::optional<NamespaceOwner>();
  TRY(std::string joined, joined_user_namespace(c));
  return std::optional(NamespaceOwner{paths_.ids, std::move(joined)});
}

// As /proc/self/mountinfo has them: spaces and the like are "\040".
static std::set<std::string> mounted_paths() {
  std::set<std::string> out;
  for (const auto& line : split(read_file("/proc/self/mountinfo").value_or(""), '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 5) continue;
    std::string path;
    for (size_t i = 0; i < words[4].size(); ++i) {
      const bool escaped = words[4][i] == '\\' && i + 3 < words[4].size();
      path += escaped ? static_cast<char>(std::strtol(words[4].substr(i + 1, 3).c_str(), nullptr, 8))
                      : words[4][i];
      if (escaped) i += 3;
    }
    out.insert(std::move(path));
  }
  return out;
}

/// Whether a mapped root can enter all folders from `top` to `path`: what lies behind others it never sees.
static bool reaches(const Container& c, const std::string& top, const std::string& path) {
  for (size_t at = top.size(); at != std::string::npos;) {
    at = path.find('/', at + 1);
    struct stat s;
    if (::stat(path.substr(0, at).c_str(), &s) != 0) return false;
    const bool mine = s.st_uid == c.state.root_uid || s.st_gid == c.state.root_gid;
    if (S_ISDIR(s.st_mode) && !(s.st_mode & S_IXOTH) && !mine) return false;
  }
  return true;
}

// crun 1.8 takes a bind mount into a user namespace without what is mounted below it: each of these becomes a
// mount more. Our own mounts of containers' roots are none of them.
static void find_mounts_below(const Container& c, const std::string& own, std::vector<MountPoint>& out) {
  std::set<std::string> mounted;
  for (const auto& m : c.mounts) {
    std::error_code error;
    const std::string source = std::filesystem::canonical(m.source, error).string();
    if (m.type != "bind" || !m.recursive || error) continue;
    if (mounted.empty()) mounted = mounted_paths();
    const std::string below = source == "/" ? source : source + "/";
    for (auto it = mounted.upper_bound(below); it != mounted.end() && it->starts_with(below); ++it) {
      if (it->starts_with(own) || !reaches(c, below, *it)) continue;
      MountPoint more = m;
      more.source = *it, more.destination += "/" + it->substr(below.size());
      more.ro_recursive = m.ro_recursive && exists(more.source + "/.");  // crun 1.8: of folders only
      out.push_back(std::move(more));
    }
  }
}

Result<> Containers::set_up_users(const Container& c, OciInputs& in) {
  find_mounts_below(c, paths_.mapped_roots + "/", in.mounts_below);
  if (in.ipc_ns == "host") {  // only the host's root could mount its message queues anew
    in.own_mqueue = false;
    if (exists("/dev/mqueue"))
      in.mounts_below.push_back({.type = "bind", .source = "/dev/mqueue", .destination = "/dev/mqueue"});
  }
  in.ids = paths_.ids, in.user_ns = user_namespace_of(networks_.namespace_path(c.id));
  if (joins_network(c)) {
    TRY(in.user_ns, joined_user_namespace(c));
  }
  TRYV(layers_.bind_in_root(in.rootfs, "/", mapped_root(c)));
  in.rootfs = mapped_root(c);
  return {};
}

void Containers::take_down_users(const Container& c) {
  (void)layers_.unmount(mapped_root(c));
  ::rmdir(mapped_root(c).c_str());
}

void Containers::put_into_user_namespace(const Container& c, Tree& tree) const {
  const bool up = is_up(c.state.phase);
  tree.user_ns = up ? "/proc/" + std::to_string(c.state.pid) + "/ns/user" : paths_.mapped_namespace;
  tree.root_uid = up ? c.state.root_uid : paths_.ids.root_uid();
  tree.root_gid = up ? c.state.root_gid : paths_.ids.root_gid();
}

}  // namespace panal
