#include "node/containers/create/names.h"

namespace panal {

std::string random_name(Entropy& entropy, const std::function<bool(const std::string&)>& taken) {
  static constexpr const char* kLeft[] = {"busy",   "golden", "humming", "amber", "waxen",  "diligent",
                                          "sunny",  "swift",  "gentle",  "bold",  "clever", "quiet",
                                          "bright", "keen",   "merry",   "noble"};
  static constexpr const char* kRight[] = {"drone",  "forager", "queen",  "worker", "larva", "nectar",
                                           "pollen", "hive",    "comb",   "clover", "thyme", "lavender",
                                           "acacia", "heather", "linden", "sage"};
  for (int tries = 0;; ++tries) {
    const uint64_t n = entropy.number();
    std::string name = std::string(kLeft[n % 16]) + "_" + kRight[n / 16 % 16];
    if (tries > 3) name += std::to_string(n / 256 % 1000);
    if (!taken(name)) return name;
  }
}

}  // namespace panal
