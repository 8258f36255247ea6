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
/// scheme: unix, unixgram, udp, tcp; target: a path or "host:port".
using OpenLogSink =
    std::function<Task<Result<std::unique_ptr<LogSink>>>(std::string scheme, std::string target)>;

}  // namespace panal
