#include "unpack/tree_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/text.h"
#include "unpack/unpack.h"

namespace panal {

Result<std::vector<std::string>> names_in(int dir) {
  std::unique_ptr<DIR, int (*)(DIR*)> list(
      ::fdopendir(::openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), ::closedir);
  if (!list) return fail(sys_error(errno, "open folder"));
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(list.get());
    if (!entry && errno) return fail(sys_error(errno, "read folder"));
    if (!entry) break;
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() >= kMaxEntries) return fail(Code::kInvalid, "a folder holds too many files");
    names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

Result<Fd> open_entry(int dir, const std::string& name, struct stat& info) {
  const mode_t kind = info.st_mode & S_IFMT;
  Fd fd(::openat(
      dir, name.c_str(),
      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (kind == S_IFDIR ? O_DIRECTORY : 0)));
  if (!fd && (errno == ENOENT || errno == ELOOP || errno == ENXIO || errno == ENOTDIR || errno == EISDIR))
    return fd;
  if (!fd || ::fstat(fd.get(), &info) != 0) return fail(sys_error(errno, "open", name));
  if ((info.st_mode & S_IFMT) != kind) fd.reset();
  return fd;
}

std::string attribute(int fd, const char* name) {
  std::string value(256, '\0');
  ssize_t size = ::fgetxattr(fd, name, value.data(), value.size());
  if (size < 0 && errno == ERANGE) {
    value.resize(64 << 10);
    size = ::fgetxattr(fd, name, value.data(), value.size());
  }
  value.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return value;
}

bool is_kept_attribute(const std::string& name) {
  return name == "security.capability" || name.starts_with("user.");
}

std::vector<std::pair<std::string, std::string>> kept_attributes(int fd) {
  std::vector<std::pair<std::string, std::string>> out;
  const ssize_t size = ::flistxattr(fd, nullptr, 0);
  if (size <= 0) return out;
  std::string names(static_cast<size_t>(size), '\0');
  const ssize_t now = ::flistxattr(fd, names.data(), names.size());
  names.resize(now < 0 ? 0 : static_cast<size_t>(now));
  for (auto& name : split(names, '\0'))
    if (is_kept_attribute(name))
      if (std::string value = attribute(fd, name.c_str()); !value.empty())
        out.emplace_back(std::move(name), std::move(value));
  std::ranges::sort(out);
  return out;
}

std::optional<std::string> link_target(int dir, const std::string& name) {
  std::string target(4096, '\0');
  const ssize_t size = ::readlinkat(dir, name.c_str(), target.data(), target.size());
  if (size < 0) return std::nullopt;
  target.resize(static_cast<size_t>(size));
  return target;
}

}  // namespace panal
