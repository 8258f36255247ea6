// A container's files as a tar stream on standard output (POSIX pax, as Docker writes it: names sorted, whole seconds).
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <map>
#include <memory>

#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "unpack/archive_error.h"
#include "unpack/paths.h"
#include "unpack/tree_walk.h"
#include "unpack/unpack.h"

namespace panal {
namespace {

using Writer = std::unique_ptr<archive, decltype(&archive_write_free)>;
using Entry = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

class TreePacker {
 public:
  /// kCapabilities: the attributes that Docker copies; kUsers: those that a program may have set, too; kLayer: of an overlayfs upper
  /// folder, whose marks become whiteouts.
  enum class Keep { kCapabilities, kUsers, kLayer };
  explicit TreePacker(Keep keep) : keep_(keep) {}
  Result<> open();
  /// `name` in the folder `dir`, with all below, as `path` in the archive.
  Result<> add(int dir, const std::string& name, const std::string& path, int depth = 0);
  Result<> add_children(int dir, const std::string& path, int depth = 0);
  Result<> close();

 private:
  Result<> put_head(archive_entry* entry);
  Result<> put_content(int fd, int64_t size, const std::string& path);
  void put_attributes(int fd, archive_entry* entry);
  Result<> put_mark(const std::string& path);
  std::unexpected<Error> failed() { return fail(Code::kInternal, std::string("archive: ") + error_of(writer_.get())); }

  Keep keep_;
  Writer writer_{archive_write_new(), archive_write_free};
  std::string chunk_ = std::string(1 << 18, '\0');
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;  // first name of files that have several
  int64_t entries_ = 0;
};

Result<> TreePacker::open() {
  archive_write_set_format_pax_restricted(writer_.get());
  archive_write_set_options(writer_.get(), "xattrheader=SCHILY");
  archive_write_set_bytes_per_block(writer_.get(), 1 << 16);
  archive_write_set_bytes_in_last_block(writer_.get(), 1);
  if (archive_write_open_fd(writer_.get(), 1) != ARCHIVE_OK) return failed();
  return {};
}

Result<> TreePacker::put_head(archive_entry* entry) {
  if (++entries_ > kMaxEntries) return fail(Code::kInvalid, "too many files for an archive");
  if (archive_write_header(writer_.get(), entry) < ARCHIVE_WARN) return failed();  // a warning is about a name that is no UTF-8
  return {};
}

// A file that grows meanwhile is cut, one that shrinks is filled up: its size stands in the archive already.
Result<> TreePacker::put_content(int fd, int64_t size, const std::string& path) {
  bool ended = false;
  while (size > 0) {
    const size_t want = static_cast<size_t>(std::min<int64_t>(size, static_cast<int64_t>(chunk_.size())));
    ssize_t n = ended ? 0 : ::read(fd, chunk_.data(), want);
    if (n < 0) return fail(sys_error(errno, "read", path));
    if (n == 0) ended = true, n = static_cast<ssize_t>(want), chunk_.assign(chunk_.size(), '\0');
    if (archive_write_data(writer_.get(), chunk_.data(), static_cast<size_t>(n)) < 0) return failed();
    size -= n;
  }
  return {};
}

void TreePacker::put_attributes(int fd, archive_entry* entry) {
  const auto put = [&](const char* name) {
    if (const std::string value = attribute(fd, name); !value.empty()) archive_entry_xattr_add_entry(entry, name, value.data(), value.size());
  };
  put("security.capability");
  if (keep_ == Keep::kCapabilities) return;
  std::string names(64 << 10, '\0');
  const ssize_t size = ::flistxattr(fd, names.data(), names.size());
  names.resize(size < 0 ? 0 : static_cast<size_t>(size));
  for (const auto& name : split(names, '\0'))
    if (name.starts_with("user.")) put(name.c_str());
}

// The engine's own mount points and marks are no change of the container's.
bool engine_made(const std::string& path, const struct stat& info) {
  return S_ISREG(info.st_mode) && info.st_size == 0 && (path == ".dockerenv" || path == "dev/console" || path == "etc/hostname" || path == "etc/hosts" || path == "etc/resolv.conf");
}

Result<> TreePacker::put_mark(const std::string& path) {
  Entry entry(archive_entry_new(), archive_entry_free);
  archive_entry_set_pathname(entry.get(), path.c_str());
  archive_entry_set_mode(entry.get(), S_IFREG | 0600), archive_entry_set_size(entry.get(), 0);
  return put_head(entry.get());
}

Result<> TreePacker::add(int dir, const std::string& name, const std::string& path, int depth) {
  struct stat info;
  if (::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return fail(sys_error(errno, "stat", path));
  }
  if (S_ISSOCK(info.st_mode)) return {};  // a tar has no form for them
  if (keep_ == Keep::kLayer && S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0)) return put_mark(path.substr(0, path.size() - name.size()) + ".wh." + name);
  if (keep_ == Keep::kLayer && engine_made(path, info)) return {};
  Fd fd;
  Entry entry(archive_entry_new(), archive_entry_free);
  if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) {
    TRY(fd, open_entry(dir, name, info));
    if (!fd) return {};
    put_attributes(fd.get(), entry.get());
  } else if (S_ISLNK(info.st_mode)) {
    std::string target(4096, '\0');
    const ssize_t size = ::readlinkat(dir, name.c_str(), target.data(), target.size());
    if (size < 0) return {};
    target.resize(static_cast<size_t>(size));
    archive_entry_set_symlink(entry.get(), target.c_str());
  }
  archive_entry_set_pathname(entry.get(), (S_ISDIR(info.st_mode) && !path.ends_with('/') ? path + "/" : path).c_str());
  archive_entry_set_mode(entry.get(), info.st_mode);
  archive_entry_set_uid(entry.get(), info.st_uid), archive_entry_set_gid(entry.get(), info.st_gid);
  archive_entry_set_mtime(entry.get(), info.st_mtim.tv_sec, 0);
  if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) archive_entry_set_rdev(entry.get(), info.st_rdev);
  if (!S_ISDIR(info.st_mode) && info.st_nlink > 1) {
    const auto [first, is_new] = linked_.emplace(std::pair{info.st_dev, info.st_ino}, path);
    if (!is_new) {
      archive_entry_set_hardlink(entry.get(), first->second.c_str()), archive_entry_unset_size(entry.get());
      return put_head(entry.get());
    }
  }
  archive_entry_set_size(entry.get(), S_ISREG(info.st_mode) ? info.st_size : 0);
  TRYV(put_head(entry.get()));
  if (S_ISREG(info.st_mode)) return put_content(fd.get(), info.st_size, path);
  if (S_ISDIR(info.st_mode) && keep_ == Keep::kLayer && attribute(fd.get(), "trusted.overlay.opaque") == "y") TRYV(put_mark(path + "/.wh..wh..opq"));
  return S_ISDIR(info.st_mode) ? add_children(fd.get(), path, depth + 1) : Result<>{};
}

Result<> TreePacker::add_children(int dir, const std::string& path, int depth) {
  if (depth > kMaxDepth) return fail(Code::kInvalid, "folders are nested too deep for an archive");
  TRY(const auto names, names_in(dir));
  for (const auto& name : names) TRYV(add(dir, name, path.empty() ? name : path.ends_with('/') ? path + name : path + "/" + name, depth));
  return {};
}

Result<> TreePacker::close() {
  if (archive_write_close(writer_.get()) != ARCHIVE_OK) return failed();
  return {};
}

// Where the link at `path` leads in the end, or as far as there is something (`path` has no dots and no links before its end).
Result<std::string> link_target(const std::string& path) {
  std::vector<std::string> left = split(path, '/'), done;
  std::ranges::reverse(left);
  for (int links = 0; !left.empty();) {
    const std::string part = std::move(left.back());
    left.pop_back();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!done.empty()) done.pop_back();
      continue;
    }
    done.push_back(part);
    std::string target(4096, '\0');
    const ssize_t size = ::readlink(("/" + join(done, "/")).c_str(), target.data(), target.size());
    if (size < 0) continue;
    if (++links > 255) return fail(Code::kInternal, "too many links in " + path);
    target.resize(static_cast<size_t>(size));
    if (target.starts_with('/')) done.clear();
    else done.pop_back();
    const auto parts = split(target, '/');
    left.insert(left.end(), parts.rbegin(), parts.rend());
  }
  return "/" + join(done, "/");
}

Result<struct stat> stat_of(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0) return fail(sys_error(errno, "lstat", path));
  return info;
}

Result<> print_stat(const std::string& path, const struct stat& info) {
  std::string target;
  if (S_ISLNK(info.st_mode)) {
    TRY(target, link_target(path));
  }
  const WallTime modified{std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec)};
  const JsonObject line{{"name", to_utf8(base_name(path))}, {"size", info.st_size}, {"mode", go_mode(info.st_mode)}, {"mtime", rfc3339(modified)}, {"linkTarget", to_utf8(target)}};
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
  const Fd dir(::open(is_dir ? path.c_str() : path.substr(0, path.rfind('/') + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
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
  return pack_root(TreePacker(TreePacker::Keep::kLayer));
}

}  // namespace panal
