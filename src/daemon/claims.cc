#include "daemon/claims.h"

#include <fcntl.h>

#include <functional>

namespace panal {

static Result<Fd> lock(const std::string& path, int mode,
                       const std::function<std::string(const std::string& holder)>& refusal) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) return fail(sys_error(errno, "open", path));
  struct flock exclusive{.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (::fcntl(fd.get(), F_SETLK, &exclusive) == 0) return fd;
  struct flock holder{.l_type = F_WRLCK, .l_whence = SEEK_SET};
  const bool known = ::fcntl(fd.get(), F_GETLK, &holder) == 0 && holder.l_type != F_UNLCK && holder.l_pid > 0;
  return fail(Code::kConflict,
              refusal(known ? "process with PID " + std::to_string(holder.l_pid) : "another panald"));
}

Result<Claims> claim(const DaemonOptions& o) {
  Claims out;
  const auto in_use = [](const std::string& what, const std::string& path) {
    return [what, path](const std::string& holder) {
      return "failed to start daemon: the " + what + " " + path + " is in use by " + holder;
    };
  };
  TRY(out.data_root, lock(o.data_root + "/panald.lock", 0600, in_use("data root", o.data_root)));
  TRY(out.exec_root, lock(o.exec_root + "/panald.lock", 0600, in_use("exec root", o.exec_root)));
  TRY(out.pidfile, lock(o.pidfile, 0644, [&o](const std::string& holder) {
        return "failed to start daemon, ensure panald is not running or delete " + o.pidfile + ": " + holder +
               " is still running";
      }));
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(out.pidfile.get(), 0) != 0 ||
      ::pwrite(out.pidfile.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
    return fail(sys_error(errno, "write", o.pidfile));
  return out;
}

}  // namespace panal
