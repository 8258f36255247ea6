// Small text tools shared by all floors.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace panal {

std::vector<std::string> split(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);
/// The text with every byte that is no part of valid UTF-8 replaced by U+FFFD.
std::string to_utf8(std::string_view bytes);
std::string_view trim(std::string_view text);
std::string lower(std::string_view text);
/// What Swarm takes as a name: at most 63 letters and digits, with dashes and underscores only between them.
bool valid_dns_component(std::string_view name);
std::string hex(std::string_view bytes);
std::string base64(std::string_view bytes);
/// Accepts standard and URL-safe alphabets, padding optional.
std::optional<std::string> unbase64(std::string_view text);
std::string url_decode(std::string_view text, bool plus_is_space = false);
std::string url_encode(std::string_view text);
std::optional<int64_t> parse_int(std::string_view text);
/// Whether a pattern of `pattern` elements matches a text of `text` elements. `is_star(p)`: element p stands
/// for any number of them; `step(p, t)`: how many elements of the pattern, from p on, text element t takes;
/// 0: it does not fit. Never exponential: a star takes one more when what follows it does not fit, and the
/// last one is enough.
template <class IsStar, class Step>
bool match_with_stars(size_t pattern, size_t text, const IsStar& is_star, const Step& step) {
  size_t p = 0, t = 0, mark = 0;
  std::optional<size_t> star;
  while (t < text) {
    if (p < pattern && is_star(p))
      star = p++, mark = t;
    else if (const size_t taken = p < pattern ? step(p, t) : 0)
      p += taken, ++t;
    else if (star)
      p = *star + 1, t = ++mark;
    else
      return false;
  }
  while (p < pattern && is_star(p)) ++p;
  return p == pattern;
}
/// Shell-style match with * and ? (path.Match without classes).
bool glob_match(std::string_view pattern, std::string_view text);
/// "1.5GB" as docker's units.HumanSize prints (powers of 1000, 4 significant digits).
std::string human_size(double bytes);
/// "256m", "1.5g", "4096" -> bytes (powers of 1024), as docker's units.RAMInBytes.
std::optional<int64_t> parse_bytes(std::string_view text);

}  // namespace panal
