#include "base/in_root.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"

namespace panal {

Fd open_resolved(int dir, const std::string& path, uint64_t flags, uint64_t resolve) {
  open_how how{.flags = flags | O_CLOEXEC, .mode = 0, .resolve = resolve};
  for (int tries = 0;; ++tries) {
    Fd fd(static_cast<int>(::syscall(SYS_openat2, dir, path.empty() ? "." : path.c_str(), &how, sizeof how)));
    if (fd || errno != EAGAIN || tries == 1000) return fd;
  }
}

Result<Fd> open_root(const std::string& path) {
  Fd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail(sys_error(errno, "open", path));
  return fd;
}

Result<Fd> open_in_root(int root, const std::string& path, uint64_t flags) {
  Fd fd = open_resolved(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (!fd) return fail(sys_error(errno, "open", path));
  return fd;
}

Result<Fd> open_file_in_root(int root, const std::string& path) {
  TRY(const Fd place, open_in_root(root, path, O_PATH));
  struct stat info;
  if (::fstat(place.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return fail(Code::kInvalid, path + ": not a regular file");
  Fd fd(::open(("/proc/self/fd/" + std::to_string(place.get())).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(sys_error(errno, "open", path));
  return fd;
}

// Where the symlink `parent`/`name` leads; nothing: it is none.
static std::optional<std::string> link_target(int root, const std::string& parent, const std::string& name) {
  const auto dir = open_in_root(root, parent, O_PATH | O_DIRECTORY);
  char text[PATH_MAX];
  const ssize_t length = dir ? ::readlinkat(dir->get(), name.c_str(), text, sizeof text) : -1;
  if (length <= 0) return {};
  const std::string target(text, static_cast<size_t>(length));
  return target[0] == '/' ? target : parent + "/" + target;
}

// What of `path` was made or is there is `done`; false: that is not all.
static Result<bool> make_on_the_way(int root, const std::string& path, bool links_only, int depth,
                                    std::string& done) {
  for (const auto& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    const std::string next = done + "/" + part;
    if (auto there = open_in_root(root, next, O_PATH); !there) {
      if (there.error().code != Code::kNotFound) return fail(there.error());
      if (const auto target = link_target(root, done, part)) {
        if (depth == 0) return fail(sys_error(ELOOP, "mkdir", next));
        std::string made;
        TRYV(make_on_the_way(root, *target, false, depth - 1, made));
      } else if (links_only) {
        return false;
      } else {
        TRY(const Fd parent, open_in_root(root, done, O_PATH | O_DIRECTORY));
        if (::mkdirat(parent.get(), part.c_str(), 0755) != 0 && errno != EEXIST)
          return fail(sys_error(errno, "mkdir", next));
      }
    }
    done = next;
  }
  return true;
}

constexpr int kMostLinks = 40;  // as the kernel

Result<Fd> make_dirs_in_root(int root, const std::string& path) {
  std::string done;
  TRYV(make_on_the_way(root, path, false, kMostLinks, done));
  return open_in_root(root, done, O_PATH | O_DIRECTORY);
}

Result<> mend_links_in_root(int root, const std::string& path) {
  std::string done;
  TRYV(make_on_the_way(root, path, true, kMostLinks, done));
  return {};
}

}  // namespace panal
