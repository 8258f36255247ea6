#include "image/mode_change.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/text.h"

namespace panal {

static constexpr mode_t kUmask = 022, kWithoutSticky = 06777;

static Result<mode_t> octal(std::string_view text) {
  mode_t mode = 0;
  for (const char c : text) {
    mode = mode * 8 + static_cast<mode_t>(c - '0');
    if (c < '0' || c > '7' || mode > 07777)
      return fail(Code::kInvalid, "invalid chmod parameter: '" + std::string(text.substr(0, 64)) +
                                      "'. it should be octal string and between 0 and 07777");
  }
  return mode;
}

/// Cuts off what `text` begins with, as far as it is made of `letters`.
static std::string_view take(std::string_view& text, std::string_view letters) {
  const std::string_view out = text.substr(0, text.find_first_not_of(letters));
  text.remove_prefix(out.size());
  return out;
}

Result<ModeChange> ModeChange::parse(std::string_view text) {
  ModeChange out;
  if (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    TRY(const mode_t mode, octal(text));
    out.steps_.push_back({.bits = mode});
    return out;
  }
  const auto wrong = [&](std::string_view why) {
    return fail(Code::kInvalid,
                "invalid chmod parameter: '" + std::string(text.substr(0, 64)) + "': " + std::string(why));
  };
  if (text.size() > 1024) return wrong("it is too long");
  for (const auto& part : split(text, ',')) {
    std::string_view clause = part;
    mode_t who = 0;
    for (const char c : take(clause, "ugoa"))
      who |= c == 'u' ? 04700 : c == 'g' ? 02070 : c == 'o' ? 00007 : kWithoutSticky;
    if (clause.empty()) return wrong("+, - or = is missing in '" + part + "'");
    while (!clause.empty()) {
      Step step{.operation = clause[0]};
      if (step.operation != '+' && step.operation != '-' && step.operation != '=')
        return wrong("'" + std::string(1, clause[0]) + "' is none of +, -, =, r, w, x, X, s and t");
      clause.remove_prefix(1);
      const auto copied = take(clause, "ugo"), letters = take(clause, "rwxXst");
      if (copied.size() > 1 || (!copied.empty() && !letters.empty()))
        return wrong("u, g or o after +, - or = stands by itself");
      step.like = copied.empty() ? 0 : copied[0];
      const auto has = [&letters](char c) { return letters.contains(c); };
      step.bits = (has('r') ? 0444 : 0) | (has('w') ? 0222 : 0) | (has('x') ? 0111 : 0) |
                  (has('s') ? 06000 : 0) | (has('t') ? 01000 : 0);
      step.run_if_any = has('X');
      const mode_t sticky = has('t') && (who == 0 || who & 06770) ? 01000 : 0;
      step.allowed = (who ? who : kWithoutSticky & ~kUmask) | sticky;
      step.clears = (who ? who : kWithoutSticky) | sticky;
      out.steps_.push_back(step);
    }
  }
  return out;
}

mode_t ModeChange::apply(mode_t mode) const {
  mode_t now = mode & 07777;
  for (const auto& step : steps_) {
    mode_t bits = step.bits;
    if (step.run_if_any && (S_ISDIR(mode) || mode & 0111)) bits |= 0111;
    if (step.like) bits |= (now >> (step.like == 'u' ? 6 : step.like == 'g' ? 3 : 0) & 7) * 0111;
    bits &= step.allowed;
    now = step.operation == '+'   ? now | bits
          : step.operation == '-' ? now & ~bits
                                  : (now & ~step.clears) | bits;
  }
  return (mode & S_IFMT) | now;
}

}  // namespace panal
