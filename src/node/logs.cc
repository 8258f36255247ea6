#include "node/logs.h"

#include <fcntl.h>

#include <deque>

#include "base/fd.h"

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
  Fd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return false;
  buffer_.erase(0, at_);
  at_ = 0;
  const size_t old = buffer_.size();
  buffer_.resize(old + 65536);
  const ssize_t n = ::pread(fd.get(), buffer_.data() + old, 65536, static_cast<off_t>(offset_));
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

Result<size_t> tail_offset(const std::string& path, size_t lines, const std::function<bool(const LogLine&)>& keep) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return size_t{0};
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  if (lines == 0) return static_cast<size_t>(size);
  // Backwards in blocks: starts of lines, newest first, until enough whole lines are found.
  off_t block_end = size;
  std::string rest;  // from block_end on, up to the first known line start
  size_t found = 0;
  off_t start = size;  // where the wanted lines begin
  bool inside = false;  // the line after the current one was found; partial lines belong together
  while (block_end > 0) {
    const off_t from = block_end > 65536 ? block_end - 65536 : 0;
    std::string block(static_cast<size_t>(block_end - from), '\0');
    if (::pread(fd.get(), block.data(), block.size(), from) < 0) return fail(sys_error(errno, "read", path));
    block += rest;
    size_t line_end = block.size();
    if (block_end == size && !block.empty() && block.back() != '\n') line_end = block.rfind('\n') == std::string::npos ? 0 : block.rfind('\n') + 1;  // not whole yet
    while (line_end > 0) {
      const size_t newline = line_end >= 2 ? block.rfind('\n', line_end - 2) : std::string::npos;
      if (newline == std::string::npos && from > 0) break;
      const size_t line_start = newline == std::string::npos ? 0 : newline + 1;
      const auto line = parse_log_line(std::string_view(block).substr(line_start, line_end - line_start - 1));
      if (line && keep(*line)) {
        const bool ends = line->text.ends_with('\n');
        if (ends || !inside) {
          if (found == lines) return static_cast<size_t>(start);
          ++found;
        }
        inside = true;
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
