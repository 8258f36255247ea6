// Making files as somebody else without giving up root's powers.
#pragma once
#include <cstdint>

namespace panal {

/// While it lives, what this thread makes belongs to this user and group. Root's powers stay. 0: as ever.
class AsUser {
 public:
  AsUser(uint32_t uid, uint32_t gid);
  ~AsUser();
  AsUser(const AsUser&) = delete;

 private:
  bool changed_;
};

}  // namespace panal
