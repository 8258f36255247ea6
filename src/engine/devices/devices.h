// --device and --device-cgroup-rule, and the numbers of block devices that limits name. The parsing is pure;
// node/ looks at /dev.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"

namespace panal {

/// A device node as it stands in a container.
struct DeviceNode {
  std::string path;
  char type = 'c';  // c, b; u and p by CDI
  int64_t major = 0, minor = 0;
  uint32_t mode = 0, uid = 0, gid = 0;
  std::string access = "rwm";
};
using DeviceNumbers = std::map<std::string, std::pair<int64_t, int64_t>>;  // path -> major, minor

struct DeviceRule {
  char type = 'a';                      // a, b, c
  std::optional<int64_t> major, minor;  // none: all
  std::string access;
};
/// "c 1:3 mr", "a *:* rwm".
Result<DeviceRule> parse_device_rule(const std::string& text);
/// Some of r, w and m, each once.
bool valid_device_access(const std::string& text);

}  // namespace panal
