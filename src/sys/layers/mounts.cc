// Mounts that volumes need: a device or server that the local driver's options name, and folders inside
// volumes.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/in_root.h"
#include "base/text.h"
#include "sys/layers/disk_layers.h"
#include "sys/loop/async_fd.h"

namespace panal {

namespace {

struct MountWords {
  unsigned long flags = 0, propagation = 0;
  std::string data;  // what the file system itself understands
};

MountWords parse_options(const std::string& text) {
  struct Word {
    const char* name;
    unsigned long flag;
    bool clear;
  };
  static constexpr Word kFlags[] = {{"defaults", 0, true},
                                    {"ro", MS_RDONLY, false},
                                    {"rw", MS_RDONLY, true},
                                    {"nosuid", MS_NOSUID, false},
                                    {"suid", MS_NOSUID, true},
                                    {"nodev", MS_NODEV, false},
                                    {"dev", MS_NODEV, true},
                                    {"noexec", MS_NOEXEC, false},
                                    {"exec", MS_NOEXEC, true},
                                    {"sync", MS_SYNCHRONOUS, false},
                                    {"async", MS_SYNCHRONOUS, true},
                                    {"dirsync", MS_DIRSYNC, false},
                                    {"remount", MS_REMOUNT, false},
                                    {"mand", MS_MANDLOCK, false},
                                    {"nomand", MS_MANDLOCK, true},
                                    {"noatime", MS_NOATIME, false},
                                    {"atime", MS_NOATIME, true},
                                    {"nodiratime", MS_NODIRATIME, false},
                                    {"diratime", MS_NODIRATIME, true},
                                    {"bind", MS_BIND, false},
                                    {"rbind", MS_BIND | MS_REC, false},
                                    {"relatime", MS_RELATIME, false},
                                    {"norelatime", MS_RELATIME, true},
                                    {"strictatime", MS_STRICTATIME, false},
                                    {"nostrictatime", MS_STRICTATIME, true}};
  static constexpr Word kPropagation[] = {
      {"private", MS_PRIVATE, false},       {"rprivate", MS_PRIVATE | MS_REC, false},
      {"shared", MS_SHARED, false},         {"rshared", MS_SHARED | MS_REC, false},
      {"slave", MS_SLAVE, false},           {"rslave", MS_SLAVE | MS_REC, false},
      {"unbindable", MS_UNBINDABLE, false}, {"runbindable", MS_UNBINDABLE | MS_REC, false}};
  MountWords out;
  for (const auto& word : split(text, ',')) {
    bool known = word.empty();
    for (const auto& f : kFlags)
      if (word == f.name) known = true, out.flags = f.clear ? out.flags & ~f.flag : out.flags | f.flag;
    for (const auto& p : kPropagation)
      if (word == p.name) known = true, out.propagation = p.flag;
    if (!known) out.data += (out.data.empty() ? "" : ",") + word;
  }
  return out;
}

std::string without_password(std::string data) {
  if (const size_t at = data.find("password="); at != std::string::npos)
    data.replace(at + 9, data.find(',', at) - at - 9, "********");
  return data;
}

}  // namespace

// The kernel's network file systems take numbers only ("addr=..."); mount(8)'s helpers, which look names up,
// are not asked. Text as Docker's.
static Result<> resolve_address(const std::string& type, std::string& data) {
  if (!type.starts_with("nfs") && type != "cifs") return {};
  std::string out;
  for (auto word : split(data, ',')) {
    if (word.starts_with("addr=")) {
      auto found = addresses_of(word.substr(5));
      if (!found) return fail(wrap("error resolving passed in network volume address", found.error()));
      word = "addr=" + found->front();
    }
    out += (out.empty() ? "" : ",") + word;
  }
  data = std::move(out);
  return {};
}

Task<Result<>> DiskLayers::mount_device(std::string device, std::string type, std::string options,
                                        std::string target) {
  const auto work = [&]() -> Result<> {
    MountWords words = parse_options(options);
    TRYV(resolve_address(type, words.data));
    (void)unmount(target);  // one left over from an earlier life of the daemon
    if (::mount(device.c_str(), target.c_str(), type.c_str(), words.flags, words.data.c_str()) != 0)
      return fail(
          sys_error(errno, "mount " + device + ":" + target + ", data: " + without_password(words.data)));
    const bool changed = words.flags & MS_BIND && words.flags & ~static_cast<unsigned long>(MS_BIND | MS_REC);
    if ((changed && ::mount("", target.c_str(), "", words.flags | MS_REMOUNT, nullptr) != 0) ||
        (words.propagation && ::mount("", target.c_str(), "", words.propagation, nullptr) != 0)) {
      auto error = sys_error(errno, "mount " + device + ":" + target);
      (void)unmount(target);
      return fail(std::move(error));
    }
    return {};
  };
  co_return co_await blocking(loop_, work, Lane::kRemote);
}

Result<> DiskLayers::unmount(const std::string& target) {
  while (::umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (errno != EINVAL && errno != ENOENT) return fail(sys_error(errno, "umount", target));
  return {};
}

Task<Result<>> DiskLayers::unmount_device(std::string target) {
  const auto work = [this, &target] { return unmount(target); };
  co_return co_await blocking(loop_, work, Lane::kRemote);
}

Result<> DiskLayers::bind_in_root(const std::string& root, const std::string& path,
                                  const std::string& target) {
  TRY(const Fd top, open_root(root));
  TRY(const Fd found, open_in_root(top.get(), path, O_PATH));
  struct stat s{};
  if (::fstat(found.get(), &s) != 0) return fail(sys_error(errno, "stat", path));
  (void)unmount(target);
  TRYV(S_ISDIR(s.st_mode) ? make_dirs(target, 0700) : write_file(target, "", 0600));
  const std::string source = "/proc/self/fd/" + std::to_string(found.get());
  if (::mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return fail(sys_error(errno, "mount", target));
  return {};
}

}  // namespace panal
