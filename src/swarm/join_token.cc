#include "swarm/join_token.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace panal {

// Between base 16 and base 36, digit by digit (numbers of 256 bits).
static std::string rebase(const std::string& digits, int from, int to, size_t width) {
  static constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::vector<int> number;
  for (const char c : digits) number.push_back(static_cast<int>(kDigits.find(c)));
  std::string out;
  while (!number.empty()) {
    std::vector<int> quotient;
    int rest = 0;
    for (const int d : number) {
      const int value = rest * from + d;
      if (!quotient.empty() || value / to != 0) quotient.push_back(value / to);
      rest = value % to;
    }
    out.insert(out.begin(), kDigits[static_cast<size_t>(rest)]);
    number = std::move(quotient);
  }
  if (out.size() < width) out.insert(0, width - out.size(), '0');
  return out;
}

std::string make_join_token(const std::string& fingerprint, const std::string& secret) {
  return "SWMTKN-1-" + rebase(fingerprint, 16, 36, 50) + "-" + secret;
}

Result<JoinToken> parse_join_token(const std::string& text) {
  const auto parts = split(text, '-');
  const auto plain = [](const std::string& s) {
    return std::ranges::all_of(s, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); });
  };
  if (parts.size() != 4 || parts[0] != "SWMTKN" || parts[1] != "1" || parts[2].size() != 50 ||
      parts[3].size() != 25 || !plain(parts[2]) || !plain(parts[3]))
    return fail(Code::kInvalid, "invalid join token");
  const std::string fingerprint = rebase(parts[2], 36, 16, 64);
  if (fingerprint.size() != 64) return fail(Code::kInvalid, "invalid join token");
  return JoinToken{fingerprint, parts[3]};
}

}  // namespace panal
