#include "model/id_map.h"

namespace panal {

std::string id_map_text(const std::vector<IdRange>& ranges) {
  std::string out;
  for (const auto& r : ranges)
    out += std::to_string(r.inside) + " " + std::to_string(r.outside) + " " + std::to_string(r.count) + "\n";
  return out;
}

std::optional<uint32_t> id_outside(const std::vector<IdRange>& ranges, uint32_t inside) {
  for (const auto& r : ranges)
    if (inside >= r.inside && inside - r.inside < r.count) return r.outside + (inside - r.inside);
  return std::nullopt;
}

}  // namespace panal
