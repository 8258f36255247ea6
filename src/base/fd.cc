#include "base/fd.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

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

Result<> remove_tree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return fail(sys_error(error.value(), "remove", path));
  return {};
}

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
