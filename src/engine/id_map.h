// userns-remap: whose subordinate ids containers get, and which (subuid(5)). Pure; Docker's texts.
#pragma once
#include <string>

#include "base/result.h"
#include "model/id_map.h"

namespace panal {

struct RemapUser {
  std::string name, group;
  uint32_t uid = 0;
};

/// "default" (the user dockremap), "USER", "UID", "USER:GROUP", "UID:GID" against the host's /etc/passwd and
/// /etc/group. kNotFound for "default" where there is no such user.
Result<RemapUser> remap_user(const std::string& setting, const std::string& passwd, const std::string& group);
/// The user's lines of `file` (/etc/subuid or /etc/subgid, whose content is `text`) as one map, in their
/// order.
Result<std::vector<IdRange>> subordinate_ids(const RemapUser& user, const std::string& file,
                                             const std::string& text);
/// Where kNewRange ids begin that no line of such a file gives to anybody, from 100000 on; nullopt: nowhere.
constexpr uint32_t kNewRange = 65536;
std::optional<uint32_t> free_range(const std::string& text);

}  // namespace panal
