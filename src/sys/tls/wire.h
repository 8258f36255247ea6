// A blocking connection to a daemon for the command line: unix socket, TCP, TCP with TLS.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace panal {

struct DaemonAddress {
  std::string host = "unix:///var/run/panal.sock";  // or "tcp://name:port"
  bool tls = false;
  std::string ca, certificate, key;  // PEM files
};

/// Docker's environment: DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH.
Result<DaemonAddress> daemon_address(const std::string& host_flag);

class Wire {
 public:
  virtual ~Wire() = default;
  /// 0 at the end.
  virtual Result<size_t> read(char* into, size_t size) = 0;
  virtual Result<> write(std::string_view data) = 0;
};
Result<std::unique_ptr<Wire>> connect_wire(const DaemonAddress& address);

}  // namespace panal
