// Structured logging to one sink: a level, a sentence, key=value pairs. The sink is set by the composition
// root (stderr) or the simulator (its trace).
#pragma once
#include <fmt/core.h>

#include <functional>
#include <string>
#include <string_view>

namespace panal::log {

enum class Level { kDebug, kInfo, kWarn, kError };
using Sink = std::function<void(Level, std::string_view)>;

void set_sink(Sink sink);
void set_level(Level level);
enum class Format { kText, kJson };
void set_format(Format format);
/// One line for a text of key=value pairs: logfmt or JSON, with values quoted where they must be.
std::string line_of(Format format, std::string_view time, Level level, std::string_view text);
bool enabled(Level level);
void write(Level level, std::string_view text);

template <class... Args>
void debug(fmt::format_string<Args...> f, Args&&... args) {
  if (enabled(Level::kDebug)) write(Level::kDebug, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> f, Args&&... args) {
  if (enabled(Level::kInfo)) write(Level::kInfo, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> f, Args&&... args) {
  if (enabled(Level::kWarn)) write(Level::kWarn, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> f, Args&&... args) {
  if (enabled(Level::kError)) write(Level::kError, fmt::format(f, std::forward<Args>(args)...));
}

}  // namespace panal::log
