#include "sys/process/supervisor.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/text.h"

namespace panal {

static constexpr int kFirstFd = 3, kMostFds = 256;

static std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

Supervisor Supervisor::from_environment() {
  Supervisor out;
  if (parse_int(variable("LISTEN_PID")) == ::getpid()) {
    const auto names = split(variable("LISTEN_FDNAMES"), ':');
    const int count =
        static_cast<int>(std::clamp<int64_t>(parse_int(variable("LISTEN_FDS")).value_or(0), 0, kMostFds));
    for (int i = 0; i < count; ++i) {
      const int fd = kFirstFd + i;
      if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) continue;
      out.sockets_.push_back(
          {Fd(fd), static_cast<size_t>(i) < names.size() ? names[static_cast<size_t>(i)] : ""});
    }
  }
  out.notify_path_ = variable("NOTIFY_SOCKET");
  const std::string watched = variable("WATCHDOG_PID");
  if (const auto limit = parse_int(variable("WATCHDOG_USEC"));
      limit && *limit > 0 && *limit < INT64_MAX / 1000 &&
      (watched.empty() || parse_int(watched) == ::getpid()))
    out.watchdog_ = std::chrono::microseconds(*limit) / 2;
  for (const char* name :
       {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
    ::unsetenv(name);
  return out;
}

void Supervisor::notify(std::string_view state) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (notify_path_.empty() || notify_path_.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, notify_path_.data(), notify_path_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd)
    (void)!::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(&address),
                    static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + notify_path_.size()));
}

}  // namespace panal
