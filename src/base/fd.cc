#include "base/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>

#include "base/in_root.h"

namespace panal {

Result<std::pair<Fd, Fd>> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail(sys_error(errno, "pipe2"));
  return std::pair{Fd(fds[0]), Fd(fds[1])};
}

Result<std::string> read_all(int fd, size_t limit_bytes) {
  std::string out;
  char buf[16384];
  for (;;) {
    const ssize_t n = ::read(fd, buf, sizeof buf);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(sys_error(errno, "read"));
    if (n == 0) return out;
    if (out.size() + static_cast<size_t>(n) > limit_bytes)
      return fail(Code::kTooLarge, "read: more than the limit");
    out.append(buf, static_cast<size_t>(n));
  }
}

Result<std::string> read_file(const std::string& path, size_t limit_bytes) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(sys_error(errno, "open", path));
  auto data = read_all(fd.get(), limit_bytes);
  if (!data) return fail(wrap(path, data.error()));
  return data;
}

Result<> write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(sys_error(errno, "write"));
    data.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<> write_file(const std::string& path, std::string_view data, int mode) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd) return fail(sys_error(errno, "open", path));
  if (auto r = write_all(fd.get(), data); !r) return fail(wrap(path, r.error()));
  return {};
}

Result<> write_file_atomic(const std::string& path, std::string_view data, int mode) {
  const std::string temp = path + ".new";
  Fd fd(::open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd) return fail(sys_error(errno, "open", temp));
  if (auto r = write_all(fd.get(), data); !r) return fail(wrap(temp, r.error()));
  if (::fsync(fd.get()) != 0) return fail(sys_error(errno, "fsync", temp));
  if (::rename(temp.c_str(), path.c_str()) != 0) return fail(sys_error(errno, "rename", temp));
  const auto slash = path.rfind('/');
  Fd dir(::open(slash == std::string::npos ? "." : path.substr(0, slash + 1).c_str(),
                O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir) (void)::fsync(dir.get());
  return {};
}

Result<> make_dirs(const std::string& path, int mode) {
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) return fail(sys_error(errno, "mkdir", part));
  }
  return {};
}

namespace {

constexpr size_t kMostOpen = 32;

// However deep a tree is that somebody hostile has made, its removal takes few descriptors and little memory.
class TreeRemoval {
 public:
  explicit TreeRemoval(const std::string& path) : path_(path) {}
  Result<> run();

 private:
  struct Level {
    std::unique_ptr<DIR, int (*)(DIR*)> dir;
    std::string name;
    int fd() const { return ::dirfd(dir.get()); }
  };
  Result<> enter(const char* name);
  Result<> take(const dirent& entry);
  Result<> move_up(const char* name);
  Result<> leave();
  std::unexpected<Error> failed(const char* name) const;

  const std::string& path_;
  std::vector<Level> levels_;
  bool moved_ = false;  // something came to the top since it was read from its start
  uint64_t names_ = 0;
};

std::unexpected<Error> TreeRemoval::failed(const char* name) const {
  const int error = errno == EXDEV ? EBUSY : errno;
  std::string where = path_;
  for (size_t i = 1; i < levels_.size(); ++i) where += "/" + levels_[i].name;
  return fail(sys_error(error, "remove", *name ? where + "/" + name : where));
}

Result<> TreeRemoval::enter(const char* name) {
  Fd fd = open_resolved(levels_.back().fd(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_XDEV);
  DIR* dir = fd ? ::fdopendir(fd.get()) : nullptr;
  if (!dir && errno == ENOENT) return {};
  if (!dir) return failed(name);
  fd.release();
  levels_.push_back({{dir, ::closedir}, name});
  return {};
}

Result<> TreeRemoval::take(const dirent& entry) {
  const char* name = entry.d_name;
  if (entry.d_type != DT_DIR) {
    if (::unlinkat(levels_.back().fd(), name, 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR) return failed(name);
  }
  return levels_.size() < kMostOpen ? enter(name) : move_up(name);
}

// What lies too deep goes to the top, and its turn comes there. A name that is taken there is passed over: a
// folder is never renamed over a file or over one that is not empty.
Result<> TreeRemoval::move_up(const char* name) {
  for (;;) {
    const std::string free = std::to_string(names_++);
    if (::renameat(levels_.back().fd(), name, levels_.front().fd(), free.c_str()) == 0) break;
    if (errno == ENOENT) return {};
    if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) return failed(name);
  }
  moved_ = true;
  return {};
}

Result<> TreeRemoval::leave() {
  if (levels_.size() > 1) {
    const Level done = std::move(levels_.back());
    levels_.pop_back();
    if (::unlinkat(levels_.back().fd(), done.name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    return failed(done.name.c_str());
  }
  if (std::exchange(moved_, false)) {
    ::rewinddir(levels_.back().dir.get());
    return {};
  }
  levels_.pop_back();
  return ::rmdir(path_.c_str()) == 0 || errno == ENOENT ? Result<>{} : failed("");
}

Result<> TreeRemoval::run() {
  DIR* top = nullptr;
  if (Fd fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)); fd)
    if ((top = ::fdopendir(fd.get()))) fd.release();
  if (!top && errno == ENOENT) return {};
  if (!top && errno == ENOTDIR)  // a file, a link, or one of them on the way
    return ::unlink(path_.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR ? Result<>{} : failed("");
  if (!top) return failed("");
  levels_.push_back({{top, ::closedir}, ""});
  while (!levels_.empty()) {
    errno = 0;
    const dirent* entry = ::readdir(levels_.back().dir.get());
    if (!entry && errno != 0) return failed("");
    if (!entry) {
      TRYV(leave());
    } else if (const std::string_view name = entry->d_name; name != "." && name != "..") {
      TRYV(take(*entry));
    }
  }
  return {};
}

}  // namespace

Result<> remove_tree(const std::string& path) { return TreeRemoval(path).run(); }

std::vector<std::string> list_dir(const std::string& path) {
  std::vector<std::string> out;
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(path, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error))
    out.push_back(it->path().filename());
  std::sort(out.begin(), out.end());
  return out;
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace panal
