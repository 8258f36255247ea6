// Reads conmon's log files (CRI format: "2026-11-20T16:57:59.123456789+00:00 stdout F text"), across the
// turns of log_files.h.
#pragma once
#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "base/task.h"
#include "base/time.h"
#include "node/logs/log_files.h"
#include "ports/loop.h"

namespace panal {

struct LogLine {
  WallTime time;
  int stream = 1;    // 1 stdout, 2 stderr
  std::string text;  // with its newline, when the program wrote one
};

/// One line of the file without its final newline; nullopt when it is not one.
std::optional<LogLine> parse_log_line(std::string_view line);

/// Where the last `lines` lines that pass `keep` begin, looked for from the newest file backwards. Partial
/// lines count as one.
class TailScan {
 public:
  TailScan(size_t lines, std::function<bool(const LogLine&)> keep) : lines_(lines), keep_(std::move(keep)) {}
  /// Looks through one file, which is older than those before; the offset where the wanted lines begin as far
  /// as is known now.
  Result<size_t> scan(int fd);
  bool done() const { return done_; }

 private:
  size_t lines_, found_ = 0;
  std::function<bool(const LogLine&)> keep_;
  bool inside_ = false, done_ = false,
       newest_ = true;  // inside: the line after the current one was found; partial ones belong together
};

/// Reads a log line by line from its oldest file on, or from the tail, to the end for now; keeps its place
/// when the log is turned over.
class LogReader {
 public:
  using Keep = std::function<bool(const LogLine&)>;
  explicit LogReader(std::string path) : path_(std::move(path)) {}
  /// Before the first next().
  Task<Result<>> seek_tail(Loop& loop, size_t lines, Keep keep);
  /// The next complete line of the file that is open, or nullopt at its end for now.
  std::optional<LogLine> next();
  /// After next() found no more: opens the file that comes after. False: there is none yet.
  Task<bool> advance(Loop& loop);

  /// A place to come back to: in the file with this number, the next line begins here.
  struct Place {
    uint64_t number = 0;
    size_t offset = 0;
  };
  Place place() const { return {number_, offset_ - (buffer_.size() - at_)}; }
  Task<void> seek(Loop& loop, Place place);

 private:
  bool fill();
  Task<bool> open(Loop& loop, LogSegment segment, size_t offset);
  std::string path_;
  Fd fd_;
  uint64_t number_ = 0;
  ino_t inode_ = 0;
  size_t offset_ = 0;
  std::string buffer_;
  size_t at_ = 0;
};

}  // namespace panal
