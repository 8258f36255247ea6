// Randomness. The daemon draws from the kernel, the simulator from its seed.
#pragma once
#include <cstdint>
#include <string>

#include "base/text.h"

namespace panal {

class Entropy {
 public:
  virtual ~Entropy() = default;
  virtual std::string bytes(size_t count) = 0;

  /// 64 hex digits, as Docker's container and network ids.
  std::string hex_id() { return hex(bytes(32)); }
  /// 25 characters of base 36, as Swarm's ids.
  std::string swarm_id() {
    static constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    const std::string raw = bytes(25);
    std::string out;
    for (const char c : raw) out += kDigits[static_cast<uint8_t>(c) % 36];
    return out;
  }
  uint64_t number() {
    const std::string raw = bytes(8);
    uint64_t n = 0;
    for (const char c : raw) n = n << 8 | static_cast<uint8_t>(c);
    return n;
  }
};

}  // namespace panal
