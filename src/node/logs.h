// Reads conmon's log files (CRI format: "2026-11-20T16:57:59.123456789+00:00 stdout F text").
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/task.h"
#include "base/time.h"

namespace panal {

struct LogLine {
  WallTime time;
  int stream = 1;       // 1 stdout, 2 stderr
  std::string text;     // with its newline, when the program wrote one
};

/// One line of the file without its final newline; nullopt when it is not one.
std::optional<LogLine> parse_log_line(std::string_view line);

/// Offset in the file from which the last `lines` lines that pass `keep` follow.
Result<size_t> tail_offset(const std::string& path, size_t lines, const std::function<bool(const LogLine&)>& keep);

/// Reads a growing file line by line. Rotation is not followed yet: logs are not rotated yet.
class LogReader {
 public:
  LogReader(std::string path, size_t offset) : path_(std::move(path)), offset_(offset) {}
  /// The next complete line, or nullopt at the end for now.
  std::optional<LogLine> next();

 private:
  bool fill();
  std::string path_;
  size_t offset_;
  std::string buffer_;
  size_t at_ = 0;
};

}  // namespace panal
