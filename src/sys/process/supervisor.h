// systemd's two protocols, sd_listen_fds(3) and sd_notify(3). Read once at start: what children must not
// inherit leaves the environment.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/time.h"

namespace panal {

class Supervisor {
 public:
  struct Socket {
    Fd fd;
    std::string name;  // FileDescriptorName=, or empty
  };
  static Supervisor from_environment();

  /// Sockets that were handed over, in order; each may be taken once.
  std::vector<Socket>& sockets() { return sockets_; }
  /// Half of what WatchdogSec= allows; nullopt: nobody watches.
  std::optional<Duration> watchdog() const { return watchdog_; }
  /// "READY=1", several lines at once. Without a service manager nothing happens.
  void notify(std::string_view state) const;

 private:
  std::vector<Socket> sockets_;
  std::string notify_path_;
  std::optional<Duration> watchdog_;
};

}  // namespace panal
