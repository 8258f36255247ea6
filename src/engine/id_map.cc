#include "engine/id_map.h"

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace panal {

namespace {

constexpr size_t kMostText = 4096;  // the kernel takes less than a page
constexpr int64_t kMostIds = std::numeric_limits<uint32_t>::max();

struct Named {
  std::string name;
  uint32_t id = 0;
};

/// A line of /etc/passwd or /etc/group: NAME:x:ID:...
std::optional<Named> entry(const std::string& text, auto&& matches) {
  for (const auto& line : split(text, '\n')) {
    const auto row = split(line, ':');
    const auto id = row.size() < 3 ? std::nullopt : parse_int(row[2]);
    if (!id || *id < 0 || *id > kMostIds) continue;
    if (const Named found{row[0], static_cast<uint32_t>(*id)}; matches(found)) return found;
  }
  return std::nullopt;
}
std::optional<Named> by_id(const std::string& text, int64_t id) {
  return entry(text, [id](const Named& n) { return n.id == id; });
}
std::optional<Named> by_name(const std::string& text, const std::string& name) {
  return entry(text, [&name](const Named& n) { return n.name == name; });
}

Result<std::string> group_named(const std::string& group, const std::string& wanted) {
  if (const auto gid = parse_int(wanted)) {
    if (const auto found = by_id(group, *gid)) return found->name;
    return fail(Code::kInvalid, "Gid " + wanted + " has no entry in /etc/group");
  }
  if (const auto found = by_name(group, wanted)) return found->name;
  return fail(Code::kInvalid, "Error during gid lookup for \"" + wanted + "\": no such group");
}

Result<IdRange> range_of(const std::string& line, const std::vector<std::string>& row, uint32_t inside) {
  const auto start = parse_int(row[1]), count = parse_int(row[2]);
  if (!start || !count || *start < 0 || *count < 0 || *start > kMostIds || *count > kMostIds)
    return fail(Code::kInvalid, "String to int conversion failed during subuid/gid parsing of " + line);
  if (*count == 0) return IdRange{};
  if (*start == 0) return fail(Code::kInvalid, line + " would hand out the host's root");
  if (*start + *count > kMostIds || inside + *count > kMostIds)
    return fail(Code::kInvalid, line + " goes beyond the largest id");
  return IdRange{inside, static_cast<uint32_t>(*start), static_cast<uint32_t>(*count)};
}

}  // namespace

Result<RemapUser> remap_user(const std::string& setting, const std::string& passwd,
                             const std::string& group) {
  const auto parts = split(setting, ':');
  if (parts.size() > 2)
    return fail(Code::kInvalid, "Invalid user/group specification in --userns-remap: \"" + setting + "\"");
  const auto uid = parse_int(parts[0]);
  const std::string wanted = parts[0] == "default" ? "dockremap" : parts[0];
  const auto user = uid ? by_id(passwd, *uid) : by_name(passwd, wanted);
  if (!user && uid) return fail(Code::kInvalid, "Uid " + parts[0] + " has no entry in /etc/passwd");
  if (!user && parts[0] == "default")
    return fail(Code::kNotFound, "userns-remap=default needs the user dockremap, which this machine has not");
  if (!user) return fail(Code::kInvalid, "Error during uid lookup for \"" + wanted + "\": no such user");
  RemapUser out{user->name, "", user->id};
  TRY(out.group, group_named(group, parts.size() == 2 ? parts[1] : uid ? parts[0] : wanted));
  return out;
}

Result<std::vector<IdRange>> subordinate_ids(const RemapUser& user, const std::string& file,
                                             const std::string& text) {
  std::vector<IdRange> out;
  for (const auto& name : {std::to_string(user.uid), user.name}) {
    uint32_t inside = 0;
    for (const auto& raw : split(text, '\n')) {
      const std::string line(trim(raw));
      if (line.empty() || line.starts_with('#')) continue;
      const auto row = split(line, ':');
      if (row.size() != 3)
        return fail(Code::kInvalid,
                    "Cannot parse subuid/gid information. Format not correct for " + file + " file");
      if (row[0] != name) continue;
      TRY(const IdRange range, range_of(line, row, inside));
      if (range.count == 0) continue;
      if (std::ranges::any_of(out, [&](const IdRange& o) {
            return range.outside < o.outside + o.count && o.outside < range.outside + range.count;
          }))
        return fail(Code::kInvalid, file + ": " + line + " overlaps another range of the same user");
      out.push_back(range), inside += range.count;
    }
    if (!out.empty()) break;
  }
  if (out.empty())
    return fail(Code::kInvalid, "no " + file.substr(file.rfind('/') + 1) + " ranges found for user \"" +
                                    user.name + "\"; a line of " + file + " gives some: " + user.name +
                                    ":100000:65536");
  if (id_map_text(out).size() >= kMostText)
    return fail(Code::kInvalid, file + ": more ranges of " + user.name + " than the kernel takes");
  return out;
}

std::optional<uint32_t> free_range(const std::string& text) {
  std::vector<std::pair<int64_t, int64_t>> taken;
  for (const auto& line : split(text, '\n')) {
    const auto row = split(trim(line), ':');
    if (row.size() != 3) continue;
    const auto start = parse_int(row[1]), count = parse_int(row[2]);
    if (start && count && *start >= 0 && *count > 0 && *start <= kMostIds && *count <= kMostIds)
      taken.emplace_back(*start, *start + *count);
  }
  std::ranges::sort(taken);
  int64_t first = 100000;
  for (const auto& [start, end] : taken)
    if (start < first + kNewRange && end > first) first = end;
  if (first + kNewRange > kMostIds) return std::nullopt;
  return static_cast<uint32_t>(first);
}

}  // namespace panal
