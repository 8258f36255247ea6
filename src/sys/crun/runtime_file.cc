#include "sys/crun/runtime_file.h"

#include <fcntl.h>
#include <sys/mount.h>

namespace panal {

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_ctim.tv_sec == b.st_ctim.tv_sec &&
         a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

static Fd read_only(const std::string& path) {
  Fd fd(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  mount_attr wanted{.attr_set = MOUNT_ATTR_RDONLY};
  if (fd && ::mount_setattr(fd.get(), "", AT_EMPTY_PATH, &wanted, sizeof wanted) != 0) fd.reset();
  return fd;
}

std::string RuntimeFile::give(Spawn& what, int number) {
  struct stat now{};
  if (::stat(path_.c_str(), &now) != 0) return path_;
  if (!fd_ || !same_file(now, seen_)) fd_ = read_only(path_), seen_ = now;
  if (!fd_) return path_;  // an old kernel
  what.fds.emplace_back(fd_.get(), number);
  return "/proc/self/fd/" + std::to_string(number);
}

}  // namespace panal
