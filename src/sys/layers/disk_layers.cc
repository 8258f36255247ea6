#include "sys/layers/disk_layers.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>

#include "base/as_user.h"
#include "base/in_root.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "sys/process/helper.h"
#include "sys/process/spawn.h"

namespace panal {

static constexpr size_t kMaxHelperOutput = 64 << 20;

std::string sha256_hex(std::string_view data) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  ::SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest.data());
  return hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

DiskLayers::DiskLayers(AsioLoop& loop, Entropy& entropy, std::string root, std::string helper)
    : loop_(loop), entropy_(entropy), root_(std::move(root)), helper_(std::move(helper)) {}

// Nobody waits for what a killed daemon has left.
Result<> DiskLayers::open() {
  const std::string ingest = root_ + "/ingest";
  (void)::rename(ingest.c_str(), (ingest + "-" + hex(entropy_.bytes(8))).c_str());
  for (const auto& name : list_dir(root_))
    if (name.starts_with("ingest-"))
      loop_.offload([old = root_ + "/" + name] { (void)remove_tree(old); }, [] {}, Lane::kLong);
  for (const char* dir : {"/blobs/sha256", "/layers", "/ingest"}) {
    const std::string path = root_ + dir;
    TRYV(make_dirs(path, 0711));
    // Images hold programs that run as root for whoever starts them.
    if (::chmod(path.c_str(), 0700) != 0) return fail(sys_error(errno, "chmod", path));
  }
  return {};
}

Task<Result<std::string>> DiskLayers::helper(std::vector<std::string> words, Source source) {
  words.insert(words.begin(), helper_);
  std::string output;
  Sink sink = [&output](std::string_view data) -> Task<Result<>> {
    if (output.size() + data.size() > kMaxHelperOutput)
      co_return fail(Code::kTooLarge, "panal-unpack says too much");
    output.append(data);
    co_return Result<>{};
  };
  auto done = co_await run_helper(loop_, std::move(words), std::move(source), sink);
  if (done) co_return output;
  if (done.error().code != Code::kInvalid)
    done.error().code = Code::kInternal;  // no client has named these files
  co_return fail(done.error());
}

struct UnpackLine {
  std::string path, link, file, digest;
  int64_t size = 0, at = 0;
};
template <class A>
void fields(A& a, UnpackLine& l) {
  a("path", l.path), a("link", l.link), a("file", l.file), a("digest", l.digest), a("size", l.size),
      a.opt("at", l.at);
}

Task<Result<std::vector<ArchiveFile>>> DiskLayers::open_archive(Source source, std::string ingest_dir) {
  CO_TRY(const std::string output, co_await helper({"archive", ingest_dir}, std::move(source)));
  std::vector<ArchiveFile> files;
  for (const auto& line : split(output, '\n')) {
    if (line.empty()) continue;
    CO_TRY(auto parsed, from_text<UnpackLine>(line));
    files.push_back({parsed.path, parsed.link, parsed.file, parsed.digest, parsed.size});
  }
  co_return files;
}

Task<Result<ArchiveFile>> DiskLayers::save_blob(Source source, std::string file) {
  CO_TRY(const std::string output, co_await helper({"blob", file}, std::move(source)));
  CO_TRY(auto parsed, from_text<UnpackLine>(output));
  co_return ArchiveFile{"", "", file, parsed.digest, parsed.size};
}

Task<Result<UnpackedLayer>> DiskLayers::unpack(std::string blob_file, std::string digest, int64_t number,
                                               std::function<void(int64_t)> progress) {
  const std::string dir = layer_dir(number);
  (void)remove_tree(dir);
  CO_TRYV(make_dirs(dir, 0755));
  std::string pending;
  UnpackLine last;
  const Sink sink = [&](std::string_view data) -> Task<Result<>> {
    pending.append(data);
    for (size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1)) {
      CO_TRY(last, from_text<UnpackLine>(std::string_view(pending).substr(0, end)));
      if (progress && last.digest.empty()) progress(last.at);
    }
    co_return Result<>{};
  };
  auto done = co_await run_helper(loop_, {helper_, "layer", blob_file, digest, dir}, {}, sink);
  if (done && last.digest.empty()) done = fail(Code::kInternal, "panal-unpack layer gave no answer");
  if (done) co_return UnpackedLayer{last.digest, last.size};
  if (done.error().code != Code::kInvalid)
    done.error().code = Code::kInternal;  // no client has named these files
  (void)co_await remove_layer(number);
  co_return std::unexpected(done.error());
}

Task<Result<>> DiskLayers::pack(std::vector<ArchiveFile> files, Sink sink) {
  std::string list;
  for (auto& f : files) {
    UnpackLine line{f.path, f.link, f.file, "", 0};
    list += to_text(line) + "\n";
  }
  bool fed = false;
  const Source source = [&list, &fed]() -> Task<Result<std::string>> {
    co_return std::exchange(fed, true) ? std::string() : list;
  };
  co_return co_await run_helper(loop_, {helper_, "pack", root_}, source, sink);
}

std::string DiskLayers::blob_path(const std::string& digest) const {
  return root_ + "/blobs/sha256/" + digest.substr(digest.find(':') + 1);
}
bool DiskLayers::has_blob(const std::string& digest) const { return exists(blob_path(digest)); }
void DiskLayers::remove_blob(const std::string& digest) { ::unlink(blob_path(digest).c_str()); }

Result<> DiskLayers::adopt_blob(const std::string& file, const std::string& digest) {
  if (has_blob(digest)) {
    ::unlink(file.c_str());
    return {};
  }
  if (::rename(file.c_str(), blob_path(digest).c_str()) != 0) return fail(sys_error(errno, "rename", file));
  return {};
}

Result<> DiskLayers::write_blob(const std::string& digest, std::string_view data) {
  if (has_blob(digest)) return {};
  // Whole or not there for everybody; whether it outlives a crash of the machine, its row tells, as for
  // layers.
  const std::string fresh = blob_path(digest) + ".new";
  TRYV(write_file(fresh, data));
  if (::rename(fresh.c_str(), blob_path(digest).c_str()) != 0) return fail(sys_error(errno, "rename", fresh));
  return {};
}

Task<Result<>> DiskLayers::sync() {
  auto work = [root = root_]() -> Result<> {
    for (const char* part : {"/blobs", "/layers"}) {
      const Fd fd(::open((root + part).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!fd || ::syncfs(fd.get()) != 0) return fail(sys_error(errno, "syncfs", root + part));
    }
    return {};
  };
  co_return co_await blocking(loop_, work, Lane::kLong);
}

Task<Result<>> DiskLayers::remove_layer(int64_t number) {
  const std::string dir = layer_dir(number), aside = new_ingest_dir();
  const bool moved = ::rename(dir.c_str(), (aside + "/layer").c_str()) == 0;
  co_await drop_ingest(aside);
  if (moved || !exists(dir)) co_return Result<>{};
  auto work = [dir] { return remove_tree(dir); };
  co_return co_await blocking(loop_, work, Lane::kLong);
}

std::vector<int64_t> DiskLayers::stored_layers() const {
  std::vector<int64_t> out;
  for (const auto& name : list_dir(root_ + "/layers"))
    if (const auto number = parse_int(name)) out.push_back(*number);
  return out;
}

std::vector<std::string> DiskLayers::stored_blobs() const {
  std::vector<std::string> out;
  for (const auto& name : list_dir(root_ + "/blobs/sha256")) out.push_back("sha256:" + name);
  return out;
}

Result<> DiskLayers::mount_shm(const std::string& dir, int64_t size_bytes, Ids ids) {
  TRYV(make_dirs(dir, 0700));
  unmount_shm(dir);
  const std::string options = "mode=1777,size=" + std::to_string(size_bytes) +
                              ",uid=" + std::to_string(map_of(ids).root_uid()) +
                              ",gid=" + std::to_string(map_of(ids).root_gid());
  if (::mount("shm", dir.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options.c_str()) != 0)
    return fail(sys_error(errno, "mount tmpfs", dir));
  return {};
}

void DiskLayers::unmount_shm(const std::string& dir) {
  while (::umount2(dir.c_str(), MNT_DETACH) == 0) {
  }
}

std::string DiskLayers::new_ingest_dir() {
  const std::string dir = root_ + "/ingest/" + hex(entropy_.bytes(8));
  (void)make_dirs(dir, 0700);
  return dir;
}

Task<void> DiskLayers::drop_ingest(std::string dir) {
  auto work = [dir] { return remove_tree(dir); };
  (void)co_await blocking(loop_, work, Lane::kLong);
}

// A folder that the kernel makes in a mount's work folder says that what it wrote may not be on the disk. It
// is there still after the mount's own end; after a crash of the machine the container is removed and its
// folder is not mounted any more.
static constexpr const char* kNotForced = "/work/work/incompat/volatile";

static constexpr std::string_view kVolatile = ",volatile";
static constexpr size_t kMostOptions = 4096;

static Result<> mount_overlay(const std::string& dir, std::string options, bool lasts, const IdMap& ids) {
  for (const char* part : {"/diff", "/work", "/merged"}) TRYV(make_dirs(dir + part, 0755));
  const std::string merged = dir + "/merged";
  struct stat inside, outside;
  if (::stat(merged.c_str(), &inside) == 0 && ::stat(dir.c_str(), &outside) == 0 &&
      inside.st_dev != outside.st_dev)
    return {};
  TRYV(remove_tree(dir + kNotForced));
  // Overlayfs writes as who has mounted it: somebody whom the map knows.
  const AsUser mapped(ids.root_uid(), ids.root_gid());
  const auto mounted = [&] { return ::mount("overlay", merged.c_str(), "overlay", 0, options.c_str()) == 0; };
  if (!lasts) {
    const std::string as_ever = std::exchange(options, options + std::string(kVolatile));
    if (mounted()) return {};
    options = as_ever;  // Linux 5.10 knows that word
  }
  if (!mounted()) return fail(sys_error(errno, "mount overlay", merged));
  return {};
}

Task<Result<>> DiskLayers::mount_rootfs(std::string dir, std::vector<int64_t> layers, Lasts lasts, Ids ids) {
  const auto seen = [&](const std::string& path) { return ids == Ids::kMapped ? mapped(path) : path; };
  std::string lower;
  for (auto it = layers.rbegin(); it != layers.rend(); ++it)
    lower += (lower.empty() ? "" : ":") + seen(layer_dir(*it));
  if (lower.empty()) {  // an image without layers: an empty lower directory
    CO_TRYV(make_dirs(dir + "/empty", 0755));
    lower = seen(dir + "/empty");
  }
  co_return co_await mount_layers(std::move(dir), std::move(lower), lasts, ids);
}

Task<Result<>> DiskLayers::mount_over(std::string dir, std::string lower) {
  co_return co_await mount_layers(std::move(dir), mapped(lower), Lasts::kUntilCrash, Ids::kMapped);
}

Task<Result<>> DiskLayers::mount_layers(std::string dir, std::string lower, Lasts lasts, Ids ids) {
  const std::string own = ids == Ids::kMapped ? mapped(dir) : dir;
  const std::string upper = ",upperdir=" + own + "/diff,workdir=" + own + "/work";
  auto work = [dir, lower, upper, lasts, map = map_of(ids)]() -> Result<> {
    const std::string options = "lowerdir=" + lower + upper;
    if (options.size() + kVolatile.size() < kMostOptions)
      return mount_overlay(dir, options, lasts == Lasts::kBeyondCrash, map);
    std::vector<Fd> open;  // the page that the kernel takes has room for short names of many layers
    std::string shorter;
    for (const auto& path : split(lower, ':')) {
      open.emplace_back(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      if (!open.back()) return fail(sys_error(errno, "open", path));
      shorter += (shorter.empty() ? "" : ":") + ("/proc/self/fd/" + std::to_string(open.back().get()));
    }
    if (shorter.size() + upper.size() + kVolatile.size() + 9 >= kMostOptions)
      return fail(Code::kInvalid, "max depth exceeded: the image has too many layers");
    return mount_overlay(dir, "lowerdir=" + shorter + upper, lasts == Lasts::kBeyondCrash, map);
  };
  co_return co_await blocking(loop_, work);
}

// In the pool: the kernel forces the whole disk's changes out first (a kUntilCrash one's not), which takes
// seconds where others write much.
static Result<> unmount_overlay(const std::string& dir) {
  if (::umount2((dir + "/merged").c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT)
    return fail(sys_error(errno, "umount", dir));
  return {};
}

Task<Result<>> DiskLayers::unmount_rootfs(std::string dir) {
  auto work = [dir] { return unmount_overlay(dir); };
  co_return co_await blocking(loop_, work);
}

Task<Result<>> DiskLayers::remove_rootfs(std::string dir) {
  auto work = [dir] {
    (void)unmount_overlay(dir);
    return remove_tree(dir);
  };
  co_return co_await blocking(loop_, work, Lane::kLong);
}

Result<std::string> DiskLayers::read_in_root(const std::string& root, const std::string& path) {
  TRY(const Fd top, open_root(root));
  TRY(const Fd fd, open_file_in_root(top.get(), path));
  return read_all(fd.get(), 4 << 20);
}

static Result<std::string> path_of(const Fd& fd) {
  std::error_code error;
  auto real = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd.get()), error);
  if (error) return fail(sys_error(error.value(), "readlink"));
  return real.string();
}

Result<std::string> DiskLayers::make_dir_in_root(const std::string& root, const std::string& path, Ids ids) {
  TRY(const Fd top, open_root(root));
  const AsUser maker(map_of(ids).root_uid(), map_of(ids).root_gid());
  TRY(const Fd fd, make_dirs_in_root(top.get(), path));
  return path_of(fd);
}

Result<> DiskLayers::mend_links_in_root(const std::string& root, const std::string& path, Ids ids) {
  TRY(const Fd top, open_root(root));
  const AsUser maker(map_of(ids).root_uid(), map_of(ids).root_gid());
  return panal::mend_links_in_root(top.get(), path);
}

// A copy that was cut short must not pass for a volume with data of its own: while it lasts a file stands
// beside the target.
static std::string copy_mark(const std::string& target) {
  const size_t slash = target.rfind('/');
  return target.substr(0, slash + 1) + ".filling-" + target.substr(slash + 1);
}

static Result<> empty_folder(const std::string& folder) {
  for (const auto& name : list_dir(folder)) TRYV(remove_tree(folder + "/" + name));
  return {};
}

Task<Result<>> DiskLayers::copy_up(std::string root, std::string path, std::string target) {
  const std::string mark = copy_mark(target);
  auto clear = [target] { return empty_folder(target); };
  if (exists(mark)) CO_TRYV(co_await blocking(loop_, clear, Lane::kLong));
  std::error_code error;
  if (!std::filesystem::is_empty(target, error) || error) co_return Result<>{};
  CO_TRYV(write_file(mark, ""));
  auto done = co_await copy_tree(std::move(root), std::move(path), target);
  if (!done) (void)co_await blocking(loop_, clear, Lane::kLong);
  if (done || list_dir(target).empty()) ::unlink(mark.c_str());
  co_return done;
}

Task<Result<>> DiskLayers::copy_tree(std::string root, std::string path, std::string target) {
  CO_TRY(const Fd top, open_root(root));
  auto fd = open_in_root(top.get(), path, O_PATH | O_DIRECTORY);
  if (!fd) co_return Result<>{};  // the image has nothing there
  CO_TRY(const std::string real, path_of(*fd));
  CO_TRY(const auto output,
         co_await run_program(loop_, {"cp", "-a", "--reflink=auto", real + "/.", target + "/"}, {}, 600s));
  if (output.status != 0)
    co_return fail(Code::kInternal, "copy " + path + " into the volume: " + std::string(trim(output.err)));
  struct stat info;
  if (::stat(real.c_str(), &info) == 0) {
    (void)!::chown(target.c_str(), info.st_uid, info.st_gid);
    ::chmod(target.c_str(), info.st_mode & 07777);
  }
  co_return Result<>{};
}

std::string DiskLayers::sha256(std::string_view data) const { return "sha256:" + sha256_hex(data); }

// Each level that is open takes a descriptor; what a hostile container has made deeper is not counted.
static constexpr int kDeepest = 1000;

Task<int64_t> DiskLayers::disk_usage(std::string dir) {
  auto work = [dir] {
    int64_t total = 0;
    std::error_code error;
    for (auto it = std::filesystem::recursive_directory_iterator(
             dir, std::filesystem::directory_options::skip_permission_denied, error);
         !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
      struct stat info;
      if (::lstat(it->path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) total += info.st_size;
      if (it.depth() >= kDeepest) it.disable_recursion_pending();
    }
    return total;
  };
  co_return co_await blocking(loop_, work, Lane::kLong);
}

}  // namespace panal
