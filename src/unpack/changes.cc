// What a container has changed: its overlayfs upper folder against the layers below, as `docker diff` lists
// it (a comparison of the two trees, so what was written and set back is no change). Overlayfs' marks:
// Documentation/filesystems/overlayfs.rst.
//
// Docker keeps the mount points of its own files in a layer under the container's; the runtime makes them in
// the upper folder here, so they are taken for unchanged.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <set>

#include "base/in_root.h"
#include "base/json.h"
#include "base/text.h"
#include "unpack/tree_walk.h"
#include "unpack/unpack.h"

namespace panal {
namespace {

constexpr std::array<const char*, 11> kEngineMade = {
    "/.dockerenv",   "/dev",       "/dev/console",     "/dev/pts", "/dev/shm", "/etc",
    "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/proc",    "/sys"};

enum class Kind { kModified, kAdded, kDeleted };  // the API's numbers

bool is_whiteout(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0); }
bool is_opaque(int fd) { return attribute(fd, "trusted.overlay.opaque") == "y"; }

bool same_time(const timespec& a, const timespec& b) {  // an archive may have cut the fraction off
  return a.tv_sec == b.tv_sec && (a.tv_nsec == b.tv_nsec || a.tv_nsec == 0 || b.tv_nsec == 0);
}

bool differs(const struct stat& a, const struct stat& b) {
  if (a.st_mode != b.st_mode || a.st_uid != b.st_uid || a.st_gid != b.st_gid || a.st_rdev != b.st_rdev)
    return true;
  return !S_ISDIR(a.st_mode) && (a.st_size != b.st_size || !same_time(a.st_mtim, b.st_mtim));
}

class Differ {
 public:
  explicit Differ(std::vector<Fd> layers) : layers_(std::move(layers)) {}
  Result<> root();

 private:
  /// What the layers hold at one path. `folders`: the layers whose folders are merged there, highest first.
  struct Below {
    bool exists = false;
    size_t layer = 0;  // the highest that has it
    struct stat info{};
    std::vector<size_t> folders;
  };
  Below below(const std::vector<size_t>& folders, const std::string& path) const;
  Result<std::set<std::string>> names_below(const std::vector<size_t>& folders,
                                            const std::string& path) const;
  Result<> folder(int upper, const std::string& path, const Below& old, bool opaque, int depth);
  Result<> entry(int upper, const std::string& name, const std::string& path, const Below& old, int depth);
  bool other_capability(int fd, const Below& old, const std::string& path) const;
  Result<> say(Kind kind, const std::string& path);
  Result<> flush();

  std::vector<Fd> layers_;              // highest first
  std::vector<std::string> unchanged_;  // folders on the way here that were not named yet
  std::string out_;
  bool any_ = false;
};

Result<> Differ::say(Kind kind, const std::string& path) {
  const auto put = [this](Kind k, const std::string& p) {
    out_ += any_ ? ",{\"Path\":" : "[{\"Path\":";
    out_ += dump(Json(to_utf8(p))) + ",\"Kind\":" + std::to_string(static_cast<int>(k)) + "}";
    any_ = true;
  };
  for (const auto& p : std::exchange(unchanged_, {})) put(Kind::kModified, p);
  put(kind, path);
  return out_.size() < (1 << 16) ? Result<>{} : flush();
}

Result<> Differ::flush() { return write_all(1, std::exchange(out_, {})); }

// A layer's folders above `path` are folders in each of `folders`: no link can be on the way, and layers do
// not change.
Differ::Below Differ::below(const std::vector<size_t>& folders, const std::string& path) const {
  Below found;
  for (const size_t n : folders) {
    struct stat info;
    if (::fstatat(layers_[n].get(), path.c_str() + 1, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (is_whiteout(info)) break;
    if (found.exists && !S_ISDIR(info.st_mode)) break;
    if (!found.exists) found.exists = true, found.layer = n, found.info = info;
    if (!S_ISDIR(info.st_mode)) break;
    found.folders.push_back(n);
    const Fd dir(
        ::openat(layers_[n].get(), path.c_str() + 1, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (dir && is_opaque(dir.get())) break;
  }
  return found;
}

Result<std::set<std::string>> Differ::names_below(const std::vector<size_t>& folders,
                                                  const std::string& path) const {
  std::set<std::string> out;
  for (const size_t n : folders) {
    const Fd dir(::openat(layers_[n].get(), path == "/" ? "." : path.c_str() + 1,
                          O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir) return fail(sys_error(errno, "open", path));
    TRY(const auto names, names_in(dir.get()));
    out.insert(names.begin(), names.end());
  }
  return out;
}

bool Differ::other_capability(int fd, const Below& old, const std::string& path) const {
  const Fd before(::openat(layers_[old.layer].get(), path.c_str() + 1, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  return attribute(fd, "security.capability") !=
         (before ? attribute(before.get(), "security.capability") : "");
}

Result<> Differ::entry(int upper, const std::string& name, const std::string& path, const Below& old,
                       int depth) {
  struct stat info;
  if (::fstatat(upper, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return {};  // gone meanwhile
  if (is_whiteout(info)) return old.exists ? say(Kind::kDeleted, path) : Result<>{};
  Fd fd;
  if (S_ISDIR(info.st_mode) || S_ISREG(info.st_mode)) {
    TRY(fd, open_entry(upper, name, info));
    if (!fd) return {};
  }
  const bool made_by_engine = !old.exists &&
                              (S_ISDIR(info.st_mode) || (S_ISREG(info.st_mode) && info.st_size == 0)) &&
                              std::ranges::find(kEngineMade, path) != kEngineMade.end();
  const bool changed = old.exists && (differs(info, old.info) ||
                                      (S_ISREG(info.st_mode) && other_capability(fd.get(), old, path)));
  const bool named = changed || (!old.exists && !made_by_engine);
  if (named) TRYV(say(old.exists ? Kind::kModified : Kind::kAdded, path));
  if (!S_ISDIR(info.st_mode)) return {};
  if (!named) unchanged_.push_back(path);
  TRYV(folder(fd.get(), path, old, is_opaque(fd.get()), depth + 1));
  if (!unchanged_.empty() && unchanged_.back() == path) unchanged_.pop_back();
  return {};
}

Result<> Differ::folder(int upper, const std::string& path, const Below& old, bool opaque, int depth) {
  if (depth > kMaxDepth) return fail(Code::kInvalid, "folders are nested too deep");
  TRY(const auto names, names_in(upper));
  std::map<std::string, bool> all;  // name -> in the upper folder
  for (const auto& name : names) all[name] = true;
  if (opaque && !old.folders.empty()) {
    TRY(const auto hidden, names_below(old.folders, path));
    for (const auto& name : hidden) all.try_emplace(name, false);
  }
  for (const auto& [name, is_upper] : all) {
    const std::string at = path == "/" ? "/" + name : path + "/" + name;
    const Below child = below(old.folders, at);
    TRYV(is_upper       ? entry(upper, name, at, child, depth)
         : child.exists ? say(Kind::kDeleted, at)
                        : Result<>{});
  }
  return {};
}

Result<> Differ::root() {
  const Fd upper(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!upper) return fail(sys_error(errno, "open", "/"));
  Below all{.exists = true};
  for (size_t n = 0; n < layers_.size(); ++n) all.folders.push_back(n);
  TRYV(folder(upper.get(), "/", all, false, 0));
  out_ += any_ ? "]\n" : "null\n";
  return flush();
}

}  // namespace

Result<> print_changes(const TreeJob& job) {
  std::vector<Fd> layers;
  for (auto it = job.layers.rbegin(); it != job.layers.rend(); ++it) {
    TRY(Fd layer, open_root(*it));
    layers.push_back(std::move(layer));
  }
  TRYV(lock_in({.root = job.root, .read_only = true}, Attributes::kTrusted));
  return Differ(std::move(layers)).root();
}

}  // namespace panal
