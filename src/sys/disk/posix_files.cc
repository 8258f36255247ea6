#include "sys/disk/posix_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/fd.h"

namespace panal {
namespace {

class PosixFile final : public DurableFiles::File {
 public:
  PosixFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Result<size_t> write(std::string_view data) override {
    for (;;) {
      const ssize_t n = ::write(fd_.get(), data.data(), data.size());
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) return fail(sys_error(errno, "write", path_));
    }
  }
  Result<> sync() override {
    if (::fdatasync(fd_.get()) != 0) return fail(sys_error(errno, "fdatasync", path_));
    return {};
  }

 private:
  const Fd fd_;
  const std::string path_;
};

class PosixFiles final : public DurableFiles {
 public:
  Result<> make_dirs(const std::string& path) override { return panal::make_dirs(path, 0700); }
  Result<std::vector<std::string>> list(const std::string& dir) override {
    std::error_code error;
    std::vector<std::string> out;
    for (std::filesystem::directory_iterator at(dir, error), end; !error && at != end; at.increment(error))
      out.push_back(at->path().filename());
    if (error) return fail(sys_error(error.value(), "read", dir));
    return out;
  }
  Result<std::string> read(const std::string& path, size_t limit_bytes) override {
    return read_file(path, limit_bytes);
  }
  Result<std::shared_ptr<File>> open(const std::string& path) override {
    return open(path, O_WRONLY | O_APPEND);
  }
  Result<std::shared_ptr<File>> create(const std::string& path) override {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC);
  }
  Result<> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return fail(sys_error(errno, "rename", from));
    return {};
  }
  Result<> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(sys_error(errno, "unlink", path));
    return {};
  }
  Result<> sync_dir(const std::string& dir) override {
    Fd fd(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return fail(sys_error(errno, "open", dir));
    if (::fsync(fd.get()) != 0) return fail(sys_error(errno, "fsync", dir));
    return {};
  }

 private:
  static Result<std::shared_ptr<File>> open(const std::string& path, int flags) {
    Fd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
    if (!fd) return fail(sys_error(errno, "open", path));
    return std::make_shared<PosixFile>(std::move(fd), path);
  }
};

}  // namespace

std::unique_ptr<DurableFiles> make_posix_files() { return std::make_unique<PosixFiles>(); }

}  // namespace panal
