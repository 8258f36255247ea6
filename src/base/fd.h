// Fd owns one file descriptor and closes it.
#pragma once
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace panal {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

/// A pipe with both ends close-on-exec: {read, write}.
Result<std::pair<Fd, Fd>> make_pipe();

/// Whole small file, at most `limit_bytes`; more is an error.
Result<std::string> read_file(const std::string& path, size_t limit_bytes = 16 << 20);
/// Everything until end of file from an open descriptor.
Result<std::string> read_all(int fd, size_t limit_bytes = 16 << 20);
Result<> write_all(int fd, std::string_view data);
/// Writes beside the target, syncs, renames: after a crash the old or the new content stands, never half.
Result<> write_file_atomic(const std::string& path, std::string_view data, int mode = 0644);
/// Plain write for kernel files (sysctl, cgroup) and files that need no durability.
Result<> write_file(const std::string& path, std::string_view data, int mode = 0644);
/// mkdir -p.
Result<> make_dirs(const std::string& path, int mode = 0755);
/// rm -rf of a tree of any depth; follows no symlink and leaves what is mounted as it is, which is an error.
Result<> remove_tree(const std::string& path);
bool exists(const std::string& path);
/// Names in a folder, sorted; empty when there is none.
std::vector<std::string> list_dir(const std::string& path);

}  // namespace panal
