#include "dockerfile/ignore.h"

#include <algorithm>
#include <optional>

#include "base/path.h"
#include "base/text.h"

namespace panal {

static constexpr size_t kMostPatterns = 10'000, kLongestPattern = 4096, kMostParts = 256, kMostMixed = 8;

// "[a-z]" at `p`: whether `c` is in it; moves behind it. No value: the class is never closed, or a range has
// no end.
template <class Char>
static std::optional<bool> in_class(std::basic_string_view<Char> pattern, size_t& p, Char c) {
  using Value = std::make_unsigned_t<Char>;
  ++p;
  const bool negated = p < pattern.size() && pattern[p] == '^';
  if (negated) ++p;
  bool found = false, any = false;
  const auto next = [&]() -> std::optional<Value> {
    if (p >= pattern.size()) return std::nullopt;
    if (pattern[p] == '\\' && ++p >= pattern.size()) return std::nullopt;
    return static_cast<Value>(pattern[p++]);
  };
  while (p < pattern.size() && (pattern[p] != ']' || !any)) {
    if (pattern[p] == '-' || pattern[p] == ']') return std::nullopt;
    const auto low = next();
    if (!low) return std::nullopt;
    auto high = low;
    if (p < pattern.size() && pattern[p] == '-') {
      ++p;
      if (p >= pattern.size() || pattern[p] == ']') return std::nullopt;
      if (!(high = next())) return std::nullopt;
    }
    found |= *low <= static_cast<Value>(c) && static_cast<Value>(c) <= *high;
    any = true;
  }
  if (p >= pattern.size()) return std::nullopt;
  ++p;
  return found != negated;
}

static Result<> check_component(std::string_view pattern) {
  for (size_t p = 0; p < pattern.size();) {
    if (pattern[p] == '[') {
      if (!in_class(pattern, p, '\0')) return fail(Code::kInvalid, "syntax error in pattern");
    } else if (pattern[p] == '\\') {
      if (p + 1 >= pattern.size()) return fail(Code::kInvalid, "syntax error in pattern");
      p += 2;
    } else {
      ++p;
    }
  }
  return {};
}

// `pattern` has been checked.
template <class Char>
static bool characters_match(std::basic_string_view<Char> pattern, std::basic_string_view<Char> name) {
  const auto is_star = [&](size_t p) { return pattern[p] == '*'; };
  const auto step = [&](size_t p, size_t n) -> size_t {
    if (pattern[p] == '?') return 1;
    if (pattern[p] == '[') {
      size_t end = p;
      return in_class(pattern, end, name[n]).value_or(false) ? end - p : 0;
    }
    const size_t escaped = pattern[p] == '\\' && p + 1 < pattern.size() ? 1 : 0;
    return pattern[p + escaped] == name[n] ? escaped + 1 : 0;
  };
  return match_with_stars(pattern.size(), name.size(), is_star, step);
}

// UTF-8 as characters; a byte that is none stands for itself.
static std::u32string characters(std::string_view text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) { return static_cast<uint8_t>(text[i + k]); };
    const size_t length = byte(0) < 0x80                      ? 1
                          : byte(0) >= 0xc2 && byte(0) < 0xe0 ? 2
                          : (byte(0) & 0xf0) == 0xe0          ? 3
                          : byte(0) >= 0xf0 && byte(0) < 0xf5 ? 4
                                                              : 0;
    bool whole = length > 0 && i + length <= text.size();
    char32_t code = length == 1 ? byte(0) : byte(0) & (0x7fu >> length);
    for (size_t k = 1; whole && k < length; ++k)
      whole = (byte(k) & 0xc0) == 0x80, code = code << 6 | (byte(k) & 63u);
    out += whole ? code : 0x110000u + byte(0);
    i += whole ? length : 1;
  }
  return out;
}

static bool component_matches(std::string_view pattern, std::string_view name) {
  if (std::ranges::all_of(name, [](char c) { return static_cast<uint8_t>(c) < 0x80; }))
    return characters_match(pattern, name);
  const std::u32string p = characters(pattern), n = characters(name);
  return characters_match<char32_t>(p, n);
}

Result<bool> match_component(std::string_view pattern, std::string_view name) {
  TRYV(check_component(pattern));
  return component_matches(pattern, name);
}

// The first `length` components of `path`; ** is the star.
static bool parts_match(const std::vector<std::string>& pattern, const std::vector<std::string>& path,
                        size_t length) {
  const auto is_star = [&](size_t p) { return pattern[p] == "**"; };
  const auto step = [&](size_t p, size_t n) -> size_t { return component_matches(pattern[p], path[n]); };
  return match_with_stars(pattern.size(), length, is_star, step);
}

bool match_path(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  return parts_match(pattern, path, path.size());
}

Result<> PathPatterns::add(std::string text) {
  Pattern out;
  std::string_view rest = trim(text);
  if (rest.starts_with('!')) {
    out.exception = true;
    rest = trim(rest.substr(1));
    if (rest.empty()) return fail(Code::kInvalid, "illegal exclusion pattern: \"!\"");
  }
  if (rest.empty()) return {};
  if (rest.size() > kLongestPattern) return fail(Code::kInvalid, "a pattern is longer than 4096 characters");
  const std::string cleaned = clean_path(rest);
  if (cleaned.empty()) return {};  // "." and "/" name the context itself
  out.parts = split(cleaned, '/');
  if (out.parts.back() == "**" &&
      std::ranges::any_of(out.parts, [](const auto& part) { return part != "**"; }))
    out.parts.emplace_back("*");  // "a/**": all that is in it, not the folder
  if (out.parts.size() > kMostParts) return fail(Code::kInvalid, "too many patterns");
  size_t mixed = 0;  // each doubles what add_plain() makes of it
  for (const auto& part : out.parts)
    for (size_t at = part == "**" ? std::string::npos : part.find("**"); at != std::string::npos;
         at = part.find("**", at + 2))
      ++mixed;
  if (mixed > kMostMixed) return fail(Code::kInvalid, "too many patterns");
  for (const auto& part : out.parts)
    if (!check_component(part))
      return fail(Code::kInvalid,
                  "failed to parse pattern \"" + std::string(rest) + "\": syntax error in pattern");
  return add_plain(std::move(out));
}

// Docker reads "a**b" as "a", then any folders or none, then "b": "ab" and "ax/y/b", but not "axb".
Result<> PathPatterns::add_plain(Pattern pattern) {
  if (patterns_.size() >= kMostPatterns) return fail(Code::kInvalid, "too many patterns");
  auto& parts = pattern.parts;
  const auto mixed = std::ranges::find_if(
      parts, [](const std::string& part) { return part != "**" && part.contains("**"); });
  if (mixed == parts.end()) {
    patterns_.push_back(std::move(pattern));
    return {};
  }
  const size_t cut = mixed->find("**");
  const std::string before = mixed->substr(0, cut);
  std::string after = mixed->substr(cut + 2);
  auto rest = mixed + 1;
  if (after.empty() && rest != parts.end()) after = *rest++;
  if (after.empty()) {
    *mixed = before + "*";
    return add_plain(std::move(pattern));
  }
  Pattern joined{{parts.begin(), mixed}, pattern.exception}, apart = joined;
  joined.parts.push_back(before + after);
  if (!before.empty()) apart.parts.push_back(before + "*");
  apart.parts.insert(apart.parts.end(), {"**", after});
  for (auto* p : {&joined, &apart}) p->parts.insert(p->parts.end(), rest, parts.end());
  if (!before.empty()) TRYV(add_plain(std::move(joined)));
  return add_plain(std::move(apart));
}

Result<PathPatterns> PathPatterns::parse(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  PathPatterns out;
  for (const auto& line : split(text, '\n'))
    if (!line.starts_with('#')) TRYV(out.add(line));
  return out;
}

bool PathPatterns::match(std::string_view path) const {
  const auto parts = split(clean_path(path), '/');
  bool out = false;
  for (const auto& pattern : patterns_) {
    if (pattern.exception != out) continue;  // it would change nothing
    for (size_t length = 1; length <= parts.size(); ++length)
      if (parts_match(pattern.parts, parts, length)) {
        out = !pattern.exception;
        break;
      }
  }
  return out;
}

bool PathPatterns::may_except_below(std::string_view path) const {
  const auto parts = split(clean_path(path), '/');
  return std::ranges::any_of(patterns_, [&](const Pattern& pattern) {
    if (!pattern.exception) return false;
    for (size_t i = 0; i < std::min(parts.size(), pattern.parts.size()) && pattern.parts[i] != "**"; ++i)
      if (!component_matches(pattern.parts[i], parts[i])) return false;
    return true;
  });
}

}  // namespace panal
