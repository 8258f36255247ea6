#include "base/time.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>

#include <fmt/format.h>

namespace panal {

std::string rfc3339(WallTime time) {
  const int64_t ns = time.time_since_epoch().count();
  if (ns == 0) return "0001-01-01T00:00:00Z";
  const int64_t floor_ns = ns - ((ns % 1'000'000'000) + 1'000'000'000) % 1'000'000'000;
  const time_t seconds = static_cast<time_t>(floor_ns / 1'000'000'000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char buf[64];
  size_t n = strftime(buf, sizeof buf, "%Y-%m-%dT%H:%M:%S", &parts);
  std::string out(buf, n);
  if (const int64_t fraction = ns - floor_ns; fraction > 0) {
    std::snprintf(buf, sizeof buf, ".%09lld", static_cast<long long>(fraction));
    out += buf;
    while (out.back() == '0') out.pop_back();
  }
  return out + "Z";
}

std::string rfc3339_nano(WallTime time) {
  std::string text = rfc3339(time);
  text.pop_back();
  const size_t dot = text.find('.');
  if (dot == std::string::npos) text += ".";
  text.resize((dot == std::string::npos ? text.size() - 1 : dot) + 10, '0');
  return text + "Z";
}

static std::optional<int> digits(std::string_view text, size_t at, size_t count) {
  int value = 0;
  if (at + count > text.size()) return std::nullopt;
  for (size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

std::optional<WallTime> parse_rfc3339(std::string_view text) {
  const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  const auto hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second || text[4] != '-' || text[7] != '-' ||
      text[13] != ':' || text[16] != ':')
    return std::nullopt;
  if ((text[10] != 'T' && text[10] != 't' && text[10] != ' ') || *month < 1 || *month > 12 || *day < 1 ||
      *day > 31 || *hour > 23 || *minute > 59 || *second > 60)
    return std::nullopt;
  if (*year <= 1) return WallTime{};
  tm parts{};
  parts.tm_year = *year - 1900, parts.tm_mon = *month - 1, parts.tm_mday = *day;
  parts.tm_hour = *hour, parts.tm_min = *minute, parts.tm_sec = *second;
  if (*year > 2261)
    return WallTime(Duration(INT64_MAX / 2));  // past what nanoseconds hold: far away, never wrapped
  if (*year < 1678) return WallTime{};
  int64_t ns = static_cast<int64_t>(timegm(&parts)) * 1'000'000'000;
  size_t at = 19;
  if (at < text.size() && text[at] == '.') {
    int64_t unit = 100'000'000;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10)
      ns += (text[at] - '0') * unit;
  }
  if (at >= text.size()) return std::nullopt;
  if (text[at] == 'Z' || text[at] == 'z') {
    if (at + 1 != text.size()) return std::nullopt;
  } else if (text[at] != '+' && text[at] != '-') {
    return std::nullopt;
  }
  if (text[at] == '+' || text[at] == '-') {
    if (at + 6 != text.size() || text[at + 3] != ':') return std::nullopt;
    const auto hours = digits(text, at + 1, 2), minutes = digits(text, at + 4, 2);
    if (!hours || !minutes) return std::nullopt;
    ns -= (text[at] == '+' ? 1 : -1) * (*hours * 3600LL + *minutes * 60LL) * 1'000'000'000;
  }
  return WallTime(Duration(ns));
}

std::optional<Duration> parse_duration(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) negative = text[0] == '-', text.remove_prefix(1);
  if (text == "0") return Duration(0);
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    double value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc() || !(value >= 0) || text[0] == '-') return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    double scale;
    if (text.starts_with("ns"))
      scale = 1, text.remove_prefix(2);
    else if (text.starts_with("us"))
      scale = 1e3, text.remove_prefix(2);
    else if (text.starts_with("ms"))
      scale = 1e6, text.remove_prefix(2);
    else if (text.starts_with("s"))
      scale = 1e9, text.remove_prefix(1);
    else if (text.starts_with("m"))
      scale = 60e9, text.remove_prefix(1);
    else if (text.starts_with("h"))
      scale = 3600e9, text.remove_prefix(1);
    else
      return std::nullopt;
    total += value * scale;
  }
  if (total > 9e18) return std::nullopt;
  return Duration(static_cast<int64_t>(negative ? -total : total));
}

// "2026-11-22", "2026-11-22T10", "2026-11-22T10:30", each also with a zone; without one it is this machine's.
static std::optional<WallTime> parse_partial_date(std::string_view text) {
  if (text.size() < 10 || text.size() > 40 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const size_t zone_at = text.find_first_of("Z+-", 10);
  std::string time(text.substr(0, zone_at));
  static constexpr std::string_view kRest = "T00:00:00";
  if (time.size() != 10 && time.size() != 13 && time.size() != 16 && time.size() != 19) return std::nullopt;
  time += kRest.substr(time.size() - 10);
  if (zone_at != std::string_view::npos) return parse_rfc3339(time + std::string(text.substr(zone_at)));
  const auto utc = parse_rfc3339(time + "Z");
  if (!utc) return std::nullopt;
  const time_t seconds = utc->time_since_epoch() / 1s;
  tm local{};
  ::gmtime_r(&seconds, &local);
  local.tm_isdst = -1;
  return WallTime(std::chrono::seconds(::mktime(&local)));
}

std::optional<WallTime> parse_timestamp(std::string_view text, WallTime now) {
  if (auto time = parse_rfc3339(text)) return time;
  if (auto time = parse_partial_date(text)) return time;
  const size_t dot = text.find('.');
  int64_t seconds = 0;
  const std::string_view whole = text.substr(0, dot);
  const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), seconds);
  if (error == std::errc() && end == whole.data() + whole.size() && !whole.empty()) {
    constexpr int64_t kMost = 9'223'372'035;  // what nanoseconds in 64 bits hold
    if (seconds > kMost || seconds < -kMost) return std::nullopt;
    int64_t ns = 0, unit = 100'000'000;
    if (dot != std::string_view::npos)
      for (const char c : text.substr(dot + 1)) {
        if (c < '0' || c > '9') return std::nullopt;
        ns += (c - '0') * unit, unit /= 10;
      }
    return WallTime(Duration(seconds * 1'000'000'000 + ns));
  }
  if (auto ago = parse_duration(text)) return now - *ago;
  return std::nullopt;
}

std::string human_duration(Duration d) {
  const int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(d).count();
  const auto with = [](int64_t n, const char* unit) { return std::to_string(n) + " " + unit; };
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return with(seconds, "seconds");
  const int64_t minutes = seconds / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return with(minutes, "minutes");
  const int64_t hours = static_cast<int64_t>(std::llround(static_cast<double>(seconds) / 3600.0));
  if (hours == 1) return "About an hour";
  if (hours < 48) return with(hours, "hours");
  if (hours < 24 * 7 * 2) return with(hours / 24, "days");
  if (hours < 24 * 30 * 2) return with(hours / 24 / 7, "weeks");
  if (hours < 24 * 365 * 2) return with(hours / 24 / 30, "months");
  return with(hours / 24 / 365, "years");
}

std::string go_duration(Duration d) {
  if (d < 1s) return fmt::format("{}ms", static_cast<double>(d / 1us) / 1000);
  const auto minutes = d / 1min;
  const std::string seconds = fmt::format("{}s", static_cast<double>(d % 1min / 1ms) / 1000);
  if (minutes == 0) return seconds;
  return minutes < 60 ? fmt::format("{}m{}", minutes, seconds)
                      : fmt::format("{}h{}m{}", minutes / 60, minutes % 60, seconds);
}

}  // namespace panal
