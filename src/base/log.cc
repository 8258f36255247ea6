#include "base/log.h"

#include <atomic>

#include "base/time.h"

namespace panal::log {

static Sink sink_fn;
static std::atomic<Level> min_level{Level::kInfo};

void set_sink(Sink sink) { sink_fn = std::move(sink); }
void set_level(Level level) { min_level = level; }
bool enabled(Level level) { return level >= min_level; }

void write(Level level, std::string_view text) {
  if (sink_fn) return sink_fn(level, text);
  static constexpr const char* kNames[] = {"debug", "info", "warning", "error"};
  const auto now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  const std::string line =
      fmt::format("time=\"{}\" level={} {}\n", rfc3339(now), kNames[static_cast<int>(level)], text);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace panal::log
