// Where entries of a log are sent: journald or a syslog daemon. Implemented in sys/log.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/task.h"

namespace panal {

class LogSink {
 public:
  virtual ~LogSink() = default;
  /// Hands one entry over, whole. After an error the sink is of no more use.
  virtual Task<Result<>> send(std::string_view entry) = 0;
};
/// Where a log daemon listens.
struct LogAddress {
  std::string scheme, target;  // unix, unixgram, udp, tcp, tcp+tls; a path or "host:port"
  // Of tcp+tls:
  std::string ca_file, certificate_file, key_file;  // PEM, of this machine; may be empty
  bool skip_verify = false;
  bool counted = false;  // each entry is led by its length (RFC 5425)
};
using OpenLogSink = std::function<Task<Result<std::unique_ptr<LogSink>>>(LogAddress address)>;

}  // namespace panal
