// A tar stream from standard input into a folder of a container, as `docker cp` means it: what is there is
// replaced, folders are merged.
//
// Symlinks of the container are followed inside its root, as its own programs would follow them. Once the
// archive itself has made a symlink, no later entry is taken through one that leads out of the folder: an
// archive cannot reach beyond where it is unpacked.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <vector>

#include "base/in_root.h"
#include "base/json.h"
#include "base/path.h"
#include "base/text.h"
#include "unpack/archive_reader.h"
#include "unpack/content.h"
#include "unpack/paths.h"
#include "unpack/tree_walk.h"
#include "unpack/unpack.h"

namespace panal {
namespace {

using Times = std::array<timespec, 2>;

std::string quoted(const std::string& text) { return dump(Json(to_utf8(text))); }

class Placer {
 public:
  Placer(Fd folder, std::string shown, const TreeJob& job)
      : folder_(std::move(folder)), shown_(std::move(shown)), job_(job) {}
  Result<> entry(archive* reader, archive_entry* entry);
  void finish();

 private:
  struct Place {
    int dir = -1;      // the folder that holds it
    std::string name;  // in there
    std::string path;  // for messages
  };
  Result<Place> place(const std::string& path);
  Result<Fd> open_folder(const std::string& path);
  Result<Fd> folder_for(const std::string& path);
  Result<> clear_way(const Place& at, bool is_dir);
  Result<> remove(int dir, const std::string& name, const std::string& path, int depth);
  Result<> make(archive* reader, archive_entry* entry, const Place& at);
  Result<> link(const std::string& target, const Place& at);
  Result<> give(int fd, archive_entry* entry, const std::string& path);
  uid_t uid(archive_entry* entry) const {
    return job_.set_owner ? job_.uid : static_cast<uid_t>(archive_entry_uid(entry));
  }
  gid_t gid(archive_entry* entry) const {
    return job_.set_owner ? job_.gid : static_cast<gid_t>(archive_entry_gid(entry));
  }

  Fd folder_;
  std::string shown_;  // its path in the container
  const TreeJob& job_;
  std::string last_;  // the folder worked in last
  Fd last_dir_;
  bool made_link_ = false;
  int64_t bytes_ = 0;
  std::vector<std::pair<std::string, Times>> dirs_;
};

Times times_of(archive_entry* entry) {
  const timespec t{archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
  return {t, t};
}

Result<Fd> Placer::open_folder(const std::string& path) {
  const bool confined = made_link_ && shown_ != "/";
  Fd fd = open_resolved(folder_.get(), path, O_PATH | O_DIRECTORY,
                        RESOLVE_NO_MAGICLINKS | (confined ? RESOLVE_BENEATH : 0));
  if (!fd && errno == EXDEV) return fail(Code::kInvalid, quoted(path) + " is outside of " + quoted(shown_));
  if (!fd) return fail(sys_error(errno, "open", path));
  return fd;
}

/// The folder, made with all above it where the archive did not say so.
Result<Fd> Placer::folder_for(const std::string& path) {
  auto there = open_folder(path);
  if (there || there.error().code != Code::kNotFound) return there;
  for (size_t end = path.find('/');; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    auto dir = open_folder(part);
    if (!dir && dir.error().code != Code::kNotFound) return dir;
    if (!dir) {
      const size_t slash = part.rfind('/');
      TRY(const Fd above, open_folder(slash == std::string::npos ? "" : part.substr(0, slash)));
      if (::mkdirat(above.get(), part.substr(slash + 1).c_str(), 0755) != 0)
        return fail(Code::kInternal, sys_error(errno, "mkdir", part).message);
      dir = open_folder(part);
    }
    if (!dir || end == std::string::npos) return dir;
  }
}

Result<Placer::Place> Placer::place(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string dir = slash == std::string::npos ? "" : path.substr(0, slash);
  if (!last_dir_ || dir != last_) {
    TRY(last_dir_, folder_for(dir));
    last_ = dir;
  }
  return Place{last_dir_.get(), path.substr(slash + 1), (shown_ == "/" ? "/" : shown_ + "/") + path};
}

/// Never into another mount: what a volume holds is not the container's to lose.
Result<> Placer::remove(int dir, const std::string& name, const std::string& path, int depth) {
  if (::unlinkat(dir, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR || depth > kMaxDepth) return fail(sys_error(errno, "unlinkat", path));
  const Fd folder = open_resolved(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_XDEV);
  if (!folder) return fail(sys_error(errno == EXDEV ? EBUSY : errno, "unlinkat", path));
  TRY(const auto names, names_in(folder.get()));
  for (const auto& child : names) TRYV(remove(folder.get(), child, path + "/" + child, depth + 1));
  if (::unlinkat(dir, name.c_str(), AT_REMOVEDIR) != 0) return fail(sys_error(errno, "unlinkat", path));
  return {};
}

Result<> Placer::clear_way(const Place& at, bool is_dir) {
  struct stat there;
  if (::fstatat(at.dir, at.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) return {};
  const bool was_dir = S_ISDIR(there.st_mode);
  if (was_dir && is_dir) return {};
  if (job_.keep_kinds && was_dir)
    return fail(Code::kInvalid,
                "cannot overwrite directory " + quoted(at.path) + " with non-directory " + quoted(shown_));
  if (job_.keep_kinds && is_dir)
    return fail(Code::kInvalid,
                "cannot overwrite non-directory " + quoted(at.path) + " with directory " + quoted(shown_));
  return remove(at.dir, at.name, at.path, 0);
}

Result<> Placer::link(const std::string& target, const Place& at) {
  const auto inside = inside_path(target);
  if (!inside || inside->empty())
    return fail(Code::kInvalid, "invalid hardlink " + quoted(at.path) + " -> " + quoted(target));
  const size_t slash = inside->rfind('/');
  const auto dir = open_folder(slash == std::string::npos ? "" : inside->substr(0, slash));
  if (!dir) return fail(wrap("link " + target + " " + at.path, dir.error()));
  if (::linkat(dir->get(), inside->substr(slash + 1).c_str(), at.dir, at.name.c_str(), 0) != 0)
    return fail(sys_error(errno, "link " + target, at.path));
  return {};
}

/// Owner, attributes and mode of a file or folder, in the order in which one does not undo another.
Result<> Placer::give(int fd, archive_entry* entry, const std::string& path) {
  if (::fchown(fd, uid(entry), gid(entry)) != 0) return fail(sys_error(errno, "chown", path));
  archive_entry_xattr_reset(entry);
  const char* key;
  const void* value;
  size_t size;
  while (archive_entry_xattr_next(entry, &key, &value, &size) == ARCHIVE_OK)
    if (::fsetxattr(fd, key, value, size, 0) != 0 && errno != EPERM)
      return fail(sys_error(errno, "setxattr " + std::string(key), path));
  if (::fchmod(fd, archive_entry_perm(entry)) != 0) return fail(sys_error(errno, "chmod", path));
  return {};
}

Result<> Placer::make(archive* reader, archive_entry* entry, const Place& at) {
  const char* name = at.name.c_str();
  const Times times = times_of(entry);
  const auto kind = archive_entry_filetype(entry);
  if (kind == AE_IFDIR) {
    if (::mkdirat(at.dir, name, 0755) != 0 && errno != EEXIST)
      return fail(sys_error(errno, "mkdir", at.path));
    const Fd dir(::openat(at.dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir) return fail(sys_error(errno, "open", at.path));
    return give(dir.get(), entry, at.path);
  }
  if (kind == AE_IFREG) {
    const Fd file(::openat(at.dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return fail(sys_error(errno, "open", at.path));
    TRYV(write_content(reader, entry, file.get(), at.path, bytes_));
    TRYV(give(file.get(), entry, at.path));
    if (::futimens(file.get(), times.data()) != 0) return fail(sys_error(errno, "utimes", at.path));
    return {};
  }
  if (kind == AE_IFLNK) {
    if (::symlinkat(archive_entry_symlink(entry), at.dir, name) != 0)
      return fail(sys_error(errno, "symlink", at.path));
    made_link_ = true;
  } else if (kind == AE_IFCHR || kind == AE_IFBLK || kind == AE_IFIFO) {
    if (::mknodat(at.dir, name, kind | archive_entry_perm(entry), archive_entry_rdev(entry)) != 0)
      return fail(sys_error(errno, "mknod", at.path));
  } else {
    return fail(Code::kInvalid, "unhandled kind of entry: " + quoted(at.path));
  }
  if (::fchownat(at.dir, name, uid(entry), gid(entry), AT_SYMLINK_NOFOLLOW) != 0)
    return fail(sys_error(errno, "chown", at.path));
  ::utimensat(at.dir, name, times.data(), AT_SYMLINK_NOFOLLOW);
  return {};
}

Result<> Placer::entry(archive* reader, archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  if (!name) return fail(Code::kInvalid, "archive/tar: invalid tar header");
  // Nothing is above the root: "../a" is "a".
  const auto path = shown_ == "/" ? std::optional(clean_path(name)) : inside_path(name);
  if (!path) return fail(Code::kInvalid, quoted(name) + " is outside of " + quoted(shown_));
  if (path->empty()) return {};  // the folder itself stays as it is
  TRY(const Place at, place(*path));
  const char* hard = archive_entry_hardlink(entry);
  const bool is_dir = !hard && archive_entry_filetype(entry) == AE_IFDIR;
  TRYV(clear_way(at, is_dir));
  if (hard) return link(hard, at);
  if (is_dir) dirs_.emplace_back(*path, times_of(entry));
  return make(reader, entry, at);
}

/// Times of folders come last: each file made in them has changed them.
void Placer::finish() {
  for (const auto& [path, times] : dirs_)
    if (const auto dir = open_folder(path)) ::utimensat(dir->get(), ".", times.data(), 0);
}

Result<Fd> open_target(const TreeJob& job, const std::string& path) {
  Fd folder(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat info;
  if (!folder || ::fstat(folder.get(), &info) != 0) return fail(sys_error(errno, "lstat", path));
  if (!S_ISDIR(info.st_mode)) return fail(Code::kInvalid, "extraction point is not a directory");
  struct statvfs mount;
  struct statx here, root;
  if (::fstatvfs(folder.get(), &mount) != 0 ||
      ::statx(folder.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &here) != 0 ||
      ::statx(AT_FDCWD, "/", 0, STATX_MNT_ID, &root) != 0)
    return fail(sys_error(errno, "statvfs", path));
  if (mount.f_flag & ST_RDONLY)
    return fail(Code::kForbidden, job.read_only && here.stx_mnt_id == root.stx_mnt_id
                                      ? "container rootfs is marked read-only"
                                      : "mounted volume is marked read-only");
  return folder;
}

}  // namespace

Result<> put_path(const TreeJob& job, const std::string& asked) {
  TRYV(lock_in(job));
  const std::string path = absolute_path(asked);
  TRY(Fd folder, open_target(job, path));
  Reader reader = tar_reader();
  archive_read_support_format_empty(reader.get());
  if (archive_read_open_fd(reader.get(), 0, 1 << 18) != ARCHIVE_OK) return fail(bad_tar(reader.get()));
  Placer placer(std::move(folder), "/" + inside_path(path).value_or(""), job);
  for (int64_t n = 0;; ++n) {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(reader.get(), &entry);
    if (code == ARCHIVE_EOF) break;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return fail(bad_tar(reader.get()));
    if (n >= kMaxEntries) return fail(Code::kInvalid, "too many entries");
    if (auto placed = placer.entry(reader.get(), entry); !placed) {
      if (placed.error().code != Code::kInvalid) return fail(Code::kInternal, placed.error().message);
      const Error bad = bad_tar(reader.get());
      return fail(bad.message == "unexpected EOF" ? bad : placed.error());
    }
  }
  placer.finish();
  std::array<char, 65536> rest;
  while (::read(0, rest.data(), rest.size()) >
         0) {  // what pads the archive: who sends it must not see a closed pipe
  }
  return {};
}

}  // namespace panal
