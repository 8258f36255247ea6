// How a container's users and groups appear on the host: a map of ranges for each. An empty one: as they are.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace panal {

struct IdRange {
  uint32_t inside = 0, outside = 0, count = 0;
  bool operator==(const IdRange&) const = default;
};

struct IdMap {
  std::vector<IdRange> uids, gids;
  bool empty() const { return uids.empty(); }
  /// What root inside is outside.
  uint32_t root_uid() const { return uids.empty() ? 0 : uids.front().outside; }
  uint32_t root_gid() const { return gids.empty() ? 0 : gids.front().outside; }
  bool operator==(const IdMap&) const = default;
};

/// As /proc/N/uid_map takes it.
std::string id_map_text(const std::vector<IdRange>& ranges);
/// The host's id of one inside, if it has any.
std::optional<uint32_t> id_outside(const std::vector<IdRange>& ranges, uint32_t inside);

}  // namespace panal
