#include "node/logs/logs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"

namespace panal {

std::optional<LogLine> parse_log_line(std::string_view line) {
  const size_t a = line.find(' ');
  if (a == std::string_view::npos) return std::nullopt;
  const size_t b = line.find(' ', a + 1);
  if (b == std::string_view::npos || b + 3 > line.size() || line[b + 2] != ' ') return std::nullopt;
  const auto time = parse_rfc3339(line.substr(0, a));
  if (!time) return std::nullopt;
  LogLine out;
  out.time = *time;
  out.stream = line.substr(a + 1, b - a - 1) == "stderr" ? 2 : 1;
  out.text = std::string(line.substr(b + 3));
  if (line[b + 1] == 'F') out.text += '\n';
  return out;
}

bool LogReader::fill() {
  if (!fd_) return false;
  buffer_.erase(0, at_);
  at_ = 0;
  const size_t old = buffer_.size();
  buffer_.resize(old + 65536);
  const ssize_t n = ::pread(fd_.get(), buffer_.data() + old, 65536, static_cast<off_t>(offset_));
  buffer_.resize(old + static_cast<size_t>(n > 0 ? n : 0));
  offset_ += static_cast<size_t>(n > 0 ? n : 0);
  return n > 0;
}

std::optional<LogLine> LogReader::next() {
  for (;;) {
    const size_t end = buffer_.find('\n', at_);
    if (end == std::string::npos) {
      if (!fill()) return std::nullopt;
      continue;
    }
    auto line = parse_log_line(std::string_view(buffer_).substr(at_, end - at_));
    at_ = end + 1;
    if (line) return line;
  }
}

Task<bool> LogReader::open(Loop& loop, LogSegment segment, size_t offset) {
  const auto work = [&segment] { return open_segment(segment); };
  auto opened = segment.packed ? co_await blocking(loop, work) : work();
  struct stat s{};
  if (!opened || ::fstat(opened->get(), &s) != 0) co_return false;  // removed meanwhile
  fd_ = std::move(*opened), number_ = segment.number, inode_ = segment.packed ? 0 : s.st_ino,
  offset_ = offset;
  buffer_.clear(), at_ = 0;
  co_return true;
}

Task<bool> LogReader::advance(Loop& loop) {
  struct stat live{};
  if (fd_ && inode_ != 0 && ::stat(path_.c_str(), &live) == 0 && live.st_ino == inode_)
    co_return false;  // the one being written
  for (int tries = 0; tries < 4; ++tries) {
    const auto all = log_segments(path_);
    const auto after = std::ranges::find_if(all, [&](const LogSegment& s) {
      if (!fd_ || s.number > number_) return true;
      // The number was a guess, and the file that has it now is another.
      struct stat now{};
      return s.number == number_ && s.live && inode_ != 0 && ::stat(s.path.c_str(), &now) == 0 &&
             now.st_ino != inode_;
    });
    if (after == all.end()) co_return false;
    if (fill()) co_return true;  // what was written before the turn
    if (co_await open(loop, *after, 0)) co_return true;
  }
  co_return false;
}

Task<void> LogReader::seek(Loop& loop, Place place) {
  for (const auto& s : log_segments(path_))
    if (s.number == place.number && co_await open(loop, s, place.offset)) co_return;
  // That file is gone: what comes after it, or all there is.
  number_ = place.number;
  for (const auto& s : log_segments(path_))
    if (s.number > place.number && co_await open(loop, s, 0)) co_return;
  number_ = 0;
}

Task<Result<>> LogReader::seek_tail(Loop& loop, size_t lines, Keep keep) {
  TailScan scan(lines, std::move(keep));
  const auto all = log_segments(path_);
  for (size_t i = all.size(); i-- > 0 && !scan.done();) {
    if (!co_await open(loop, all[i], 0)) break;
    const auto work = [&scan, fd = fd_.get()] { return scan.scan(fd); };  // all of it, where few lines fit
    CO_TRY(offset_, co_await blocking(loop, work, Lane::kLong));
  }
  co_return Result<>{};
}

// Backwards in blocks: starts of lines, newest first, until enough whole lines are found.
Result<size_t> TailScan::scan(int fd) {
  const off_t size = ::lseek(fd, 0, SEEK_END);
  const bool newest = std::exchange(newest_, false);
  if (lines_ == 0) {
    done_ = true;
    return static_cast<size_t>(size);
  }
  off_t block_end = size;
  std::string rest;    // from block_end on, up to the first known line start
  off_t start = size;  // where the wanted lines begin
  while (block_end > 0) {
    const off_t from = block_end > 65536 ? block_end - 65536 : 0;
    std::string block(static_cast<size_t>(block_end - from), '\0');
    if (::pread(fd, block.data(), block.size(), from) < 0) return fail(sys_error(errno, "read", "log"));
    block += rest;
    size_t line_end = block.size();
    if (newest && block_end == size && !block.empty() && block.back() != '\n')
      line_end = block.rfind('\n') == std::string::npos ? 0 : block.rfind('\n') + 1;  // not whole yet
    while (line_end > 0) {
      const size_t newline = line_end >= 2 ? block.rfind('\n', line_end - 2) : std::string::npos;
      if (newline == std::string::npos && from > 0) break;
      const size_t line_start = newline == std::string::npos ? 0 : newline + 1;
      const auto line = parse_log_line(std::string_view(block).substr(line_start, line_end - line_start - 1));
      if (line && keep_(*line)) {
        const bool ends = line->text.ends_with('\n');
        if (ends || !inside_) {
          if (found_ == lines_) {
            done_ = true;
            return static_cast<size_t>(start);
          }
          ++found_;
        }
        inside_ = true;
        start = from + static_cast<off_t>(line_start);
      }
      line_end = line_start;
      if (line_start == 0) break;
    }
    rest = block.substr(0, line_end);
    block_end = from;
    if (from == 0) break;
  }
  return static_cast<size_t>(start);
}

}  // namespace panal
