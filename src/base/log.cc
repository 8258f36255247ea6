#include "base/log.h"

#include <atomic>
#include <vector>

#include "base/time.h"

namespace panal::log {

static Sink sink_fn;
static std::atomic<Level> min_level{Level::kInfo};
static std::atomic<Format> format_{Format::kText};

void set_sink(Sink sink) { sink_fn = std::move(sink); }
void set_level(Level level) { min_level = level; }
void set_format(Format format) { format_ = format; }
bool enabled(Level level) { return level >= min_level; }

using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;

static bool is_key(std::string_view text) {
  const size_t equals = text.find('=');
  return equals != 0 && equals != std::string_view::npos &&
         text.substr(0, equals).find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") ==
             std::string_view::npos;
}

// Messages of others stand in values as they came, quotes included: a quote ends a value when the next key or
// nothing follows.
static Pairs pairs_of(std::string_view text) {
  Pairs out;
  while (is_key(text)) {
    const size_t equals = text.find('=');
    const std::string_view key = text.substr(0, equals);
    text.remove_prefix(equals + 1);
    const bool quoted = text.starts_with('"');
    if (quoted) text.remove_prefix(1);
    const std::string_view stop = quoted ? "\"" : " ";
    size_t end = 0;
    for (;; ++end) {
      end = text.find(stop, end);
      if (end == std::string_view::npos) break;
      const std::string_view rest = text.substr(end + 1);
      if (quoted ? rest.empty() || (rest[0] == ' ' && is_key(rest.substr(1))) : is_key(rest)) break;
    }
    std::string_view value = text.substr(0, end);
    if (quoted && end == std::string_view::npos && value.ends_with('"')) value.remove_suffix(1);
    out.emplace_back(key, value);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    while (text.starts_with(' ')) text.remove_prefix(1);
  }
  if (!text.empty()) out.emplace_back("msg", text);
  return out;
}

static void quote(std::string& out, std::string_view value) {
  out += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\')
      out += '\\', out += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  out += '"';
}

std::string line_of(Format format, std::string_view time, Level level, std::string_view text) {
  static constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};
  Pairs pairs = {{"time", time}, {"level", kNames[static_cast<int>(level)]}};
  for (const auto& pair : pairs_of(text)) pairs.push_back(pair);
  std::string out = format == Format::kJson ? "{" : "";
  for (const auto& [key, value] : pairs) {
    if (format == Format::kJson) {
      if (out.size() > 1) out += ',';
      quote(out, key), out += ':', quote(out, value);
      continue;
    }
    if (!out.empty()) out += ' ';
    out.append(key) += '=';
    const bool bare = key != "time" && key != "msg" && !value.empty() &&
                      value.find_first_of(" \"=\\\n\t") == std::string_view::npos;
    if (bare)
      out += value;
    else
      quote(out, value);
  }
  return out += format == Format::kJson ? "}\n" : "\n";
}

void write(Level level, std::string_view text) {
  if (sink_fn) return sink_fn(level, text);
  const auto now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  const std::string line = line_of(format_, rfc3339(now), level, text);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace panal::log
