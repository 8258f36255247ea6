#include "daemon/remap.h"

#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "base/fd.h"
#include "base/log.h"
#include "engine/id_map.h"
#include "sys/process/spawn.h"

namespace panal {

static Result<> run(std::vector<std::string> argv) {
  const std::string name = argv[0];
  Spawn what;
  what.argv = std::move(argv), what.fds = {{2, 2}};
  TRY(const int pid, spawn(what));
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || status != 0) return fail(Code::kInternal, name + " failed");
  return {};
}

// As Docker does: a user, and ids that nobody else has.
static Result<> make_dockremap() {
  TRYV(run({"/usr/sbin/useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false",
            "dockremap"}));
  for (const auto& [file, flag] :
       {std::pair{"/etc/subuid", "--add-subuids"}, {"/etc/subgid", "--add-subgids"}}) {
    const auto first = free_range(read_file(file).value_or(""));
    if (!first) return fail(Code::kInvalid, std::string(file) + " has no room for 65536 more ids");
    TRYV(run({"/usr/sbin/usermod", flag,
              std::to_string(*first) + "-" + std::to_string(*first + kNewRange - 1), "dockremap"}));
  }
  log::info("msg=\"user dockremap made, with subordinate ids\"");
  return {};
}

static Result<RemapUser> user_of(const std::string& setting) {
  TRY(const std::string passwd, read_file("/etc/passwd"));
  TRY(const std::string group, read_file("/etc/group"));
  return remap_user(setting, passwd, group);
}

static Result<IdMap> read_remap(const std::string& setting) {
  auto user = user_of(setting);
  if (!user && user.error().code == Code::kNotFound && make_dockremap()) user = user_of(setting);
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
  utsname kernel{};
  int major = 0, minor = 0;
  if (::uname(&kernel) == 0 && std::sscanf(kernel.release, "%d.%d", &major, &minor) == 2 &&
      (major < 5 || (major == 5 && minor < 19)))  // overlays over mapped layers
    return fail(Code::kUnsupported, std::string("userns-remap needs Linux 5.19; this is ") + kernel.release);
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
