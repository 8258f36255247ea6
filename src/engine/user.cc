// Users and groups of an image, as moby/sys/user resolves them.
#include "base/text.h"
#include "engine/oci.h"

namespace panal {

static std::vector<std::vector<std::string>> rows(const std::string& text, size_t columns) {
  std::vector<std::vector<std::string>> out;
  for (const auto& line : split(text, '\n')) {
    auto row = split(trim(line), ':');
    if (row.size() >= columns && !row[0].starts_with('#')) out.push_back(std::move(row));
  }
  return out;
}

static std::optional<uint32_t> number(const std::string& text) {
  const auto n = parse_int(text);
  return n && *n >= 0 && *n <= 0x7fffffff ? std::optional<uint32_t>(static_cast<uint32_t>(*n)) : std::nullopt;
}

static Result<uint32_t> find_group(const std::vector<std::vector<std::string>>& groups,
                                   const std::string& name) {
  for (const auto& row : groups)
    if (row[0] == name) return number(row[2]).value_or(0);
  if (auto id = number(name)) return *id;
  return fail(Code::kInvalid, "Unable to find group " + name);
}

Result<ResolvedUser> resolve_user(const std::string& text, const std::vector<std::string>& extra_groups,
                                  const std::string& passwd, const std::string& group) {
  const auto users = rows(passwd, 6), groups = rows(group, 3);
  const size_t colon = text.find(':');
  std::string user = text.substr(0, colon),
              wanted_group = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (user.empty()) user = "0";
  ResolvedUser out;
  std::string name;
  bool found = false;
  for (const auto& row : users)
    if (row[0] == user || (number(user) && row[2] == user)) {
      out.uid = number(row[2]).value_or(0), out.gid = number(row[3]).value_or(0),
      out.home = row[5].empty() ? "/" : row[5], name = row[0];
      found = true;
      break;
    }
  if (!found) {
    const auto id = number(user);
    if (!id && parse_int(user)) return fail(Code::kInvalid, "uids and gids must be in range 0-2147483647");
    if (!id)
      return fail(Code::kInvalid, "unable to find user " + user + ": no matching entries in passwd file");
    out.uid = *id;
  }
  if (!wanted_group.empty()) {
    auto id = find_group(groups, wanted_group);
    if (!id)
      return fail(Code::kInvalid,
                  "unable to find group " + wanted_group + ": no matching entries in group file");
    out.gid = *id;
  } else if (!name.empty()) {
    for (const auto& row : groups) {
      if (row.size() < 4) continue;
      for (const auto& member : split(row[3], ','))
        if (member == name) out.groups.push_back(number(row[2]).value_or(0));
    }
  }
  for (const auto& extra : extra_groups) {
    TRY(const uint32_t id, find_group(groups, extra));
    out.groups.push_back(id);
  }
  return out;
}

}  // namespace panal
