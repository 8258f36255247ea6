// A container's files as a tar stream on standard output (POSIX pax, as Docker writes it: names sorted, whole
// seconds).
#include <fcntl.h>
#include <sys/sysmacros.h>

#include <map>

#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "unpack/paths.h"
#include "unpack/tar_writer.h"
#include "unpack/tree_walk.h"
#include "unpack/unpack.h"

namespace panal {
namespace {

class TreePacker {
 public:
  /// kCapabilities: the attributes that Docker copies; kUsers: those that a program may have set, too;
  /// kLayer: of an overlayfs upper folder, whose marks become whiteouts.
  enum class Keep { kCapabilities, kUsers, kLayer };
  /// `epoch`: nothing is newer, seconds.
  explicit TreePacker(Keep keep, std::optional<int64_t> epoch = std::nullopt) : keep_(keep), epoch_(epoch) {}
  Result<> open() { return tar_.open(1); }
  /// `name` in the folder `dir`, with all below, as `path` in the archive.
  Result<> add(int dir, const std::string& name, const std::string& path, int depth = 0);
  Result<> add_children(int dir, const std::string& path, int depth = 0);
  Result<> close() { return tar_.close(); }

 private:
  void put_attributes(int fd, archive_entry* entry);
  Result<> put_mark(const std::string& path);

  Keep keep_;
  std::optional<int64_t> epoch_;
  TarWriter tar_;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;  // first name of files that have several
};

void TreePacker::put_attributes(int fd, archive_entry* entry) {
  if (keep_ == Keep::kCapabilities) {
    if (const std::string value = attribute(fd, "security.capability"); !value.empty())
      archive_entry_xattr_add_entry(entry, "security.capability", value.data(), value.size());
    return;
  }
  for (const auto& [name, value] : kept_attributes(fd))
    archive_entry_xattr_add_entry(entry, name.c_str(), value.data(), value.size());
}

// The engine's own mount points and marks are no change of the container's.
bool engine_made(const std::string& path, const struct stat& info) {
  return S_ISREG(info.st_mode) && info.st_size == 0 &&
         (path == ".dockerenv" || path == "dev/console" || path == "etc/hostname" || path == "etc/hosts" ||
          path == "etc/resolv.conf");
}

Result<> TreePacker::put_mark(const std::string& path) {
  const Entry entry = new_entry();
  archive_entry_set_pathname(entry.get(), path.c_str());
  archive_entry_set_mode(entry.get(), S_IFREG | 0600), archive_entry_set_size(entry.get(), 0);
  return tar_.head(entry.get());
}

Result<> TreePacker::add(int dir, const std::string& name, const std::string& path, int depth) {
  struct stat info;
  if (::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return fail(sys_error(errno, "stat", path));
  }
  if (S_ISSOCK(info.st_mode)) return {};  // a tar has no form for them
  if (keep_ == Keep::kLayer && S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0))
    return put_mark(path.substr(0, path.size() - name.size()) + ".wh." + name);
  if (keep_ == Keep::kLayer && engine_made(path, info)) return {};
  Fd fd;
  const Entry entry = new_entry();
  if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) {
    TRY(fd, open_entry(dir, name, info));
    if (!fd) return {};
    put_attributes(fd.get(), entry.get());
  } else if (S_ISLNK(info.st_mode)) {
    const auto target = link_target(dir, name);
    if (!target) return {};
    archive_entry_set_symlink(entry.get(), target->c_str());
  }
  if (epoch_) info.st_mtim.tv_sec = std::min<time_t>(info.st_mtim.tv_sec, *epoch_);
  set_entry(entry.get(), path, info);
  if (!S_ISDIR(info.st_mode) && info.st_nlink > 1) {
    const auto [first, is_new] = linked_.emplace(std::pair{info.st_dev, info.st_ino}, path);
    if (!is_new) return tar_.hard_link(entry.get(), first->second);
  }
  TRYV(tar_.head(entry.get()));
  if (S_ISREG(info.st_mode)) return tar_.content(fd.get(), info.st_size, path);
  if (S_ISDIR(info.st_mode) && keep_ == Keep::kLayer && attribute(fd.get(), "trusted.overlay.opaque") == "y")
    TRYV(put_mark(path + "/.wh..wh..opq"));
  return S_ISDIR(info.st_mode) ? add_children(fd.get(), path, depth + 1) : Result<>{};
}

Result<> TreePacker::add_children(int dir, const std::string& path, int depth) {
  if (depth > kMaxDepth) return fail(Code::kInvalid, "folders are nested too deep for an archive");
  TRY(const auto names, names_in(dir));
  for (const auto& name : names)
    TRYV(add(dir, name, path.empty() ? name : path.ends_with('/') ? path + name : path + "/" + name, depth));
  return {};
}

Result<struct stat> stat_of(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0) return fail(sys_error(errno, "lstat", path));
  return info;
}

Result<> print_stat(const std::string& path, const struct stat& info) {
  std::string target;
  if (S_ISLNK(info.st_mode)) {
    const auto end =
        follow_links(path, [](const std::string& at) { return link_target(AT_FDCWD, "/" + at); });
    if (!end) return fail(Code::kInternal, end.error().message);
    target = "/" + *end;
  }
  const WallTime modified{std::chrono::seconds(info.st_mtim.tv_sec) +
                          std::chrono::nanoseconds(info.st_mtim.tv_nsec)};
  const JsonObject line{{"name", to_utf8(base_name(path))},
                        {"size", info.st_size},
                        {"mode", go_mode(info.st_mode)},
                        {"mtime", rfc3339(modified)},
                        {"linkTarget", to_utf8(target)}};
  return write_all(1, dump(line) + "\n");
}

}  // namespace

Result<> stat_path(const TreeJob& job, const std::string& asked) {
  TRYV(lock_in(job));
  const std::string path = absolute_path(asked);
  TRY(const struct stat info, stat_of(path));
  return print_stat(path, info);
}

Result<> get_path(const TreeJob& job, const std::string& asked) {
  TRYV(lock_in(job));
  const std::string path = absolute_path(asked), base = base_name(path);
  TRY(const struct stat info, stat_of(path));
  // "." in the folder itself: it may be asked for through a link, or be the root.
  const bool is_dir = S_ISDIR(info.st_mode);
  const Fd dir(::open(is_dir ? path.c_str() : path.substr(0, path.rfind('/') + 1).c_str(),
                      O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return fail(sys_error(errno, "open", path));
  TRYV(print_stat(path, info));
  TreePacker packer(TreePacker::Keep::kCapabilities);
  TRYV(packer.open());
  TRYV(packer.add(dir.get(), is_dir ? "." : base, base));
  return packer.close();
}

static Result<> pack_root(TreePacker packer) {
  TRYV(packer.open());
  const Fd root(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail(sys_error(errno, "open", "/"));
  TRYV(packer.add_children(root.get(), ""));
  return packer.close();
}

Result<> export_root(const TreeJob& job) {
  TRYV(lock_in(job));
  return pack_root(TreePacker(TreePacker::Keep::kUsers));
}

Result<> pack_upper(const TreeJob& job) {
  TRYV(lock_in(job, Attributes::kTrusted));
  return pack_root(TreePacker(TreePacker::Keep::kLayer, job.epoch));
}

}  // namespace panal
