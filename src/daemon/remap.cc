#include "daemon/remap.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "engine/id_map.h"

namespace panal {

static Result<IdMap> read_remap(const std::string& setting) {
  TRY(const std::string passwd, read_file("/etc/passwd"));
  TRY(const std::string group, read_file("/etc/group"));
  auto user = remap_user(setting, passwd, group);
  if (!user && user.error().code == Code::kNotFound)
    return fail(Code::kInvalid,
                user.error().message +
                    ": useradd --system --user-group --no-create-home --shell /bin/false "
                    "dockremap, and the line dockremap:100000:65536 (a range that nobody else "
                    "has) in /etc/subuid and /etc/subgid");
  if (!user) return std::unexpected(user.error());
  if (user->name == "root") {
    log::warn("msg=\"User namespaces: root cannot be remapped with itself; user namespaces are OFF\"");
    return IdMap{};
  }
  IdMap out;
  for (const auto& [file, ranges] : {std::pair{"/etc/subuid", &out.uids}, {"/etc/subgid", &out.gids}}) {
    auto text = read_file(file);
    if (!text && text.error().code != Code::kNotFound) return std::unexpected(text.error());
    TRY(*ranges, subordinate_ids(*user, file, text.value_or("")));
  }
  log::info("msg=\"containers' users are mapped\" user={} uid={} gid={}", user->name, out.root_uid(),
            out.root_gid());
  return out;
}

Result<IdMap> remap_of(const DaemonOptions& o) {
  if (o.userns_remap.empty()) return IdMap{};
  auto out = read_remap(o.userns_remap);
  if (!out) return fail(wrap("userns-remap", out.error()));
  return out;
}

Result<> make_mapped_roots(const std::string& dir, const IdMap& ids) {
  if (ids.empty()) return {};
  TRYV(make_dirs(dir, 0710));
  if (::chown(dir.c_str(), 0, ids.root_gid()) != 0 || ::chmod(dir.c_str(), 0710) != 0)
    return fail(sys_error(errno, "chown", dir));
  return {};
}

}  // namespace panal
