#include "engine/devices/devices.h"

#include <algorithm>

#include "base/text.h"

namespace panal {

bool valid_device_access(const std::string& text) {
  return !text.empty() && text.size() <= 3 && text.find_first_not_of("rwm") == std::string::npos &&
         std::ranges::all_of(text, [&](char c) { return std::ranges::count(text, c) == 1; });
}

Result<DeviceRule> parse_device_rule(const std::string& text) {
  const auto bad = [&text] {
    return fail(Code::kInvalid, "invalid device cgroup rule format: '" + text.substr(0, 256) + "'");
  };
  const auto words = split(text, ' ');
  if (words.size() != 3 || words[0].size() != 1 ||
      std::string("acb").find(words[0][0]) == std::string::npos || !valid_device_access(words[2]))
    return bad();
  const size_t colon = words[1].find(':');
  if (colon == std::string::npos) return bad();
  DeviceRule rule;
  rule.type = words[0][0], rule.access = words[2];
  const auto number = [](const std::string& digits, std::optional<int64_t>& into) {
    if (digits == "*") return true;
    if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos)
      return false;
    into = parse_int(digits);
    return true;
  };
  if (!number(words[1].substr(0, colon), rule.major) || !number(words[1].substr(colon + 1), rule.minor))
    return bad();
  return rule;
}

}  // namespace panal
