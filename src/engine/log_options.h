// --log-driver and --log-opt: what Docker refuses, with its words, and what they come to. Pure.
//
// Whatever the driver (but "none"), a container's output is kept in files that `docker logs` reads: Docker
// keeps such a cache, too, beside drivers that cannot be read. Nothing is unbounded unless asked for
// (max-size=-1).
#pragma once
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "model/container.h"
#include "ports/log_sink.h"

namespace panal {

struct LogLimits {
  int64_t max_size_bytes = 20'000'000;  // of one file; 0: no limit
  int max_files = 5;                    // with the one being written
  bool compress = false;                // files that are no longer written
  bool operator==(const LogLimits&) const = default;
};

struct LogPlan {
  bool kept = true;  // false: driver "none"
  LogLimits limits;
  std::string forward;  // "journald", "syslog" or ""
};

Result<LogPlan> log_plan(const LogConfig& config);

/// Of `syslog-address` alone: scheme and target.
Result<LogAddress> parse_syslog_address(const std::string& text);
/// Of all of syslog's options.
Result<LogAddress> syslog_address(const std::map<std::string, std::string>& options);
/// "daemon", "local0", "3" -> the facility's number.
Result<int> parse_syslog_facility(const std::string& text);

/// The attributes that labels, env, labels-regex, env-regex and tag of the log's options choose.
std::map<std::string, std::string> log_attributes(const Container& c);
/// The tag option's template filled in. Unknown fields are an error that names them.
Result<std::string> log_tag(const std::string& text, const Container& c);
/// As `docker logs --details` shows attributes: "key=value,key=value", escaped.
std::string details_text(const std::map<std::string, std::string>& attributes);

}  // namespace panal
