// One layer into one folder. The blob is read through a digest, decompressed, read through a second digest
// (the diff id) and taken apart; entries are created relative to the root made by lock_in, so no name and no
// link can lead out. Whiteouts: OCI image specification, layer.md; overlayfs' form:
// Documentation/filesystems/overlayfs.rst.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/json.h"
#include "base/text.h"
#include "unpack/archive_reader.h"
#include "unpack/content.h"
#include "unpack/digest.h"
#include "unpack/unpack.h"

namespace panal {
namespace {

// Two readers in a row: the first only decompresses ("raw" format), the second sees the plain tar through
// these callbacks.
struct Pump {
  Fd blob;
  Digest packed, plain;
  Reader decompress = unpacking_reader();
  int64_t packed_bytes = 0, plain_bytes = 0;
  std::string in = std::string(1 << 18, '\0'), out = std::string(1 << 18, '\0');
  bool raw_end = false;
  std::string error;
  std::chrono::steady_clock::time_point told = std::chrono::steady_clock::now();

  void tell() {
    const auto now = std::chrono::steady_clock::now();
    if (now - told < std::chrono::milliseconds(100)) return;
    told = now;
    std::printf("{\"at\":%lld}\n", static_cast<long long>(packed_bytes));
    (void)std::fflush(stdout);
  }
};

la_ssize_t read_blob(archive* a, void* data, const void** buffer) {
  auto* pump = static_cast<Pump*>(data);
  const ssize_t n = ::read(pump->blob.get(), pump->in.data(), pump->in.size());
  if (n < 0) {
    archive_set_error(a, errno, "read: %s", std::strerror(errno));
    return -1;
  }
  pump->packed.add({pump->in.data(), static_cast<size_t>(n)});
  pump->packed_bytes += n;
  pump->tell();
  *buffer = pump->in.data();
  return n;
}

la_ssize_t read_plain(archive* a, void* data, const void** buffer) {
  auto* pump = static_cast<Pump*>(data);
  if (pump->raw_end) return 0;
  const la_ssize_t n = archive_read_data(pump->decompress.get(), pump->out.data(), pump->out.size());
  if (n < 0) {
    archive_set_error(a, EINVAL, "%s", error_of(pump->decompress.get()));
    return -1;
  }
  if (n == 0) pump->raw_end = true;
  pump->plain.add({pump->out.data(), static_cast<size_t>(n)});
  pump->plain_bytes += n;
  if (pump->plain_bytes > kFreeExpansion && pump->plain_bytes / kMaxExpansion > pump->packed_bytes) {
    archive_set_error(a, EINVAL, "layer expands more than %lld times", static_cast<long long>(kMaxExpansion));
    return -1;
  }
  *buffer = pump->out.data();
  return n;
}

struct DirTime {
  std::string path;
  timespec times[2];
};

class Extractor {
 public:
  Result<> entry(archive* reader, archive_entry* entry);
  Result<> finish();
  int64_t bytes = 0;

 private:
  Result<> node(archive* reader, archive_entry* entry, const std::string& path);
  Result<> whiteout(const std::string& dir, const std::string& name);
  std::vector<DirTime> dirs_;
};

// Every parent must be a real folder of this layer; a symlink in the way is replaced, as Docker's overlay2
// does.
Result<> ensure_parents(const std::string& path) {
  for (size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string parent = path.substr(0, at);
    struct stat info;
    if (::lstat(parent.c_str(), &info) == 0) {
      if (S_ISDIR(info.st_mode)) continue;
      if (::unlink(parent.c_str()) != 0) return fail(sys_error(errno, "unlink", parent));
    }
    if (::mkdir(parent.c_str(), 0755) != 0) return fail(sys_error(errno, "mkdir", parent));
  }
  return {};
}

void clear_way(const std::string& path, bool wants_dir) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0 || (wants_dir && S_ISDIR(info.st_mode))) return;
  if (S_ISDIR(info.st_mode))
    (void)remove_tree(path);
  else
    ::unlink(path.c_str());
}

Result<> Extractor::whiteout(const std::string& dir, const std::string& name) {
  const std::string where = dir.empty() ? "." : dir;
  if (name == ".wh..wh..opq") {
    if (::lsetxattr(where.c_str(), "trusted.overlay.opaque", "y", 1, 0) != 0)
      return fail(sys_error(errno, "setxattr", where));
    return {};
  }
  if (name.starts_with(".wh..wh.")) return {};  // AUFS' own notes
  const std::string hidden = name.substr(4);
  if (hidden.empty() || hidden == "." || hidden == "..")
    return fail(Code::kInvalid, "layer: invalid whiteout " + name);
  const std::string path = dir.empty() ? hidden : dir + "/" + hidden;
  clear_way(path, false);
  if (::mknod(path.c_str(), S_IFCHR, makedev(0, 0)) != 0) return fail(sys_error(errno, "mknod", path));
  return {};
}

Result<> Extractor::node(archive* reader, archive_entry* entry, const std::string& path) {
  const mode_t mode = archive_entry_perm(entry);
  switch (archive_entry_filetype(entry)) {
    case AE_IFDIR:
      clear_way(path, true);
      if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return fail(sys_error(errno, "mkdir", path));
      return {};
    case AE_IFREG: {
      clear_way(path, false);
      Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
      if (!fd) return fail(sys_error(errno, "open", path));
      auto written = write_content(reader, entry, fd.get(), path, bytes);
      return written ? written : fail(wrap("layer", written.error()));
    }
    case AE_IFLNK:
      clear_way(path, false);
      if (::symlink(archive_entry_symlink(entry), path.c_str()) != 0)
        return fail(sys_error(errno, "symlink", path));
      return {};
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
      clear_way(path, false);
      if (::mknod(path.c_str(), archive_entry_filetype(entry) | mode, archive_entry_rdev(entry)) != 0)
        return fail(sys_error(errno, "mknod", path));
      return {};
    default:
      return {};  // sockets and the like have no place in a layer
  }
}

Result<> Extractor::entry(archive* reader, archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  if (!name) return fail(Code::kInvalid, "layer: an entry without a name");
  std::vector<std::string> parts;
  for (auto& part : split(name, '/')) {
    if (part == "..") return fail(Code::kInvalid, std::string("layer: refused path ") + name);
    if (!part.empty() && part != ".") parts.push_back(part);
  }
  const std::string path = join(parts, "/");
  if (!parts.empty()) {
    TRYV(ensure_parents(path));
    if (parts.back().starts_with(".wh.")) {
      parts.pop_back();
      return whiteout(join(parts, "/"),
                      path.substr(path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1));
    }
  }
  const std::string at = path.empty() ? "." : path;
  if (const char* link = archive_entry_hardlink(entry)) {
    std::vector<std::string> target;
    for (auto& part : split(link, '/')) {
      if (part == "..") return fail(Code::kInvalid, std::string("layer: refused link ") + link);
      if (!part.empty() && part != ".") target.push_back(part);
    }
    clear_way(at, false);
    if (::linkat(AT_FDCWD, join(target, "/").c_str(), AT_FDCWD, at.c_str(), 0) != 0)
      return fail(Code::kInvalid, sys_error(errno, "link", at).message);
    return {};
  }
  TRYV(node(reader, entry, at));
  if (::lchown(at.c_str(), static_cast<uid_t>(archive_entry_uid(entry)),
               static_cast<gid_t>(archive_entry_gid(entry))) != 0)
    return fail(sys_error(errno, "chown", at));
  if (archive_entry_filetype(entry) != AE_IFLNK && ::chmod(at.c_str(), archive_entry_perm(entry)) != 0)
    return fail(sys_error(errno, "chmod", at));
  archive_entry_xattr_reset(entry);
  const char* key;
  const void* value;
  size_t size;
  while (archive_entry_xattr_next(entry, &key, &value, &size) == ARCHIVE_OK)
    if (std::strncmp(key, "trusted.overlay.", 16) != 0 && ::lsetxattr(at.c_str(), key, value, size, 0) != 0 &&
        errno != ENOTSUP)
      return fail(sys_error(errno, "setxattr " + std::string(key), at));
  DirTime time{at,
               {{archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)},
                {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)}}};
  if (archive_entry_filetype(entry) == AE_IFDIR)
    dirs_.push_back(time);
  else
    ::utimensat(AT_FDCWD, at.c_str(), time.times, AT_SYMLINK_NOFOLLOW);
  return {};
}

Result<> Extractor::finish() {
  for (auto it = dirs_.rbegin(); it != dirs_.rend(); ++it)
    ::utimensat(AT_FDCWD, it->path.c_str(), it->times, AT_SYMLINK_NOFOLLOW);
  return {};
}

}  // namespace

Result<> unpack_layer(const std::string& blob, const std::string& digest, const std::string& dir) {
  Pump pump;
  pump.blob = Fd(::open(blob.c_str(), O_RDONLY | O_CLOEXEC));
  if (!pump.blob) return fail(sys_error(errno, "open", blob));
  TRYV(lock_in({.root = dir}, Attributes::kTrusted));
  archive_read_support_format_raw(pump.decompress.get());
  archive_read_support_format_empty(pump.decompress.get());
  Extractor extractor;
  archive_entry* entry = nullptr;
  if (archive_read_open(pump.decompress.get(), &pump, nullptr, read_blob, nullptr) != ARCHIVE_OK)
    return fail(Code::kInvalid, std::string("layer: ") + error_of(pump.decompress.get()));
  const int opened = archive_read_next_header(pump.decompress.get(), &entry);
  if (opened != ARCHIVE_EOF) {
    if (opened != ARCHIVE_OK && opened != ARCHIVE_WARN)
      return fail(Code::kInvalid, std::string("layer: ") + error_of(pump.decompress.get()));
    Reader reader(archive_read_new(), archive_read_free);
    archive_read_support_format_tar(reader.get());
    archive_read_support_format_empty(reader.get());
    if (archive_read_open(reader.get(), &pump, nullptr, read_plain, nullptr) != ARCHIVE_OK)
      return fail(Code::kInvalid, std::string("layer: ") + error_of(reader.get()));
    for (int64_t n = 0;; ++n) {
      const int code = archive_read_next_header(reader.get(), &entry);
      if (code == ARCHIVE_EOF) break;
      if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
        return fail(Code::kInvalid, std::string("layer: ") + error_of(reader.get()));
      if (n >= kMaxEntries) return fail(Code::kInvalid, "layer: too many entries");
      TRYV(extractor.entry(reader.get(), entry));
    }
    const void* ignored;
    while (!pump.raw_end)  // padding after the end of the tar belongs to the diff id
      if (read_plain(reader.get(), &pump, &ignored) < 0)
        return fail(Code::kInvalid, std::string("layer: ") + error_of(reader.get()));
  }
  const void* ignored;
  while (read_blob(pump.decompress.get(), &pump, &ignored) > 0) {
  }
  const std::string packed = pump.packed.text();
  if (!digest.empty() && packed != digest)
    return fail(Code::kInvalid, "layer: digest mismatch: want " + digest + ", got " + packed);
  TRYV(extractor.finish());
  JsonObject line;
  line["digest"] = pump.plain.text(), line["size"] = extractor.bytes;
  std::puts(dump(line).c_str());
  return {};
}

}  // namespace panal
