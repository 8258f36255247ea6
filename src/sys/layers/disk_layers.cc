#include "sys/layers/disk_layers.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <openssl/sha.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <array>
#include <filesystem>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "sys/loop/async_fd.h"
#include "sys/process/spawn.h"

namespace panal {

std::string sha256_hex(std::string_view data) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  ::SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest.data());
  return hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

DiskLayers::DiskLayers(AsioLoop& loop, Entropy& entropy, std::string root, std::string helper)
    : loop_(loop), entropy_(entropy), root_(std::move(root)), helper_(std::move(helper)) {}

Result<> DiskLayers::open() {
  (void)remove_tree(root_ + "/ingest");
  for (const char* dir : {"/blobs/sha256", "/layers", "/ingest"}) TRYV(make_dirs(root_ + dir, 0711));
  return {};
}

static Task<void> feed(AsioLoop& loop, Fd fd, Source source, std::optional<Error>& error) {
  FdStream stream(loop, std::move(fd));
  for (;;) {
    auto piece = co_await source();
    if (!piece) {
      error = piece.error();
      co_return;
    }
    if (piece->empty()) co_return;
    if (auto sent = co_await stream.write(*piece); !sent) co_return;  // the helper stopped reading: its error says why
  }
}

static Task<void> gather(AsioLoop& loop, Fd fd, std::string& into) {
  FdStream stream(loop, std::move(fd));
  std::array<char, 65536> chunk;
  for (;;) {
    auto n = co_await stream.read(chunk);
    if (!n || *n == 0) co_return;
    if (into.size() < 64u << 20) into.append(chunk.data(), *n);
  }
}

Task<Result<std::string>> DiskLayers::helper(std::vector<std::string> words, Source source) {
  CO_TRY(auto in, make_pipe());
  CO_TRY(auto out, make_pipe());
  CO_TRY(auto err, make_pipe());
  (void)::fcntl(in.second.get(), F_SETPIPE_SZ, 1 << 20);
  Spawn what;
  what.argv = {helper_};
  what.argv.insert(what.argv.end(), words.begin(), words.end());
  what.fds = {{in.first.get(), 0}, {out.second.get(), 1}, {err.second.get(), 2}};
  CO_TRY(const int pid, spawn(what));
  in.first.reset(), out.second.reset(), err.second.reset();
  std::string output, errors;
  std::optional<Error> source_error;
  Scope scope;
  if (source) scope.spawn(feed(loop_, std::move(in.second), std::move(source), source_error));
  else in.second.reset();
  scope.spawn(gather(loop_, std::move(out.first), output));
  scope.spawn(gather(loop_, std::move(err.first), errors));
  auto status = co_await wait_status(loop_, pid);
  co_await scope.join();
  if (source_error) co_return std::unexpected(*source_error);
  if (!status) co_return std::unexpected(status.error());
  if (*status != 0) {
    const std::string text(trim(errors));
    co_return fail(*status == 2 ? Code::kInvalid : Code::kInternal, text.empty() ? "panal-unpack ended with status " + std::to_string(*status) : text);
  }
  co_return output;
}

struct UnpackLine {
  std::string path, link, file, digest;
  int64_t size = 0;
};
template <class A>
void fields(A& a, UnpackLine& l) {
  a("path", l.path), a("link", l.link), a("file", l.file), a("digest", l.digest), a("size", l.size);
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

Task<Result<UnpackedLayer>> DiskLayers::unpack(std::string blob_file, std::string digest, int64_t number) {
  const std::string dir = layer_dir(number);
  (void)remove_tree(dir);
  CO_TRYV(make_dirs(dir, 0755));
  auto output = co_await helper({"layer", blob_file, digest, dir}, {});
  if (!output) {
    (void)co_await remove_layer(number);
    co_return std::unexpected(output.error());
  }
  CO_TRY(auto parsed, from_text<UnpackLine>(*output));
  co_return UnpackedLayer{parsed.digest, parsed.size};
}

Task<Result<>> DiskLayers::pack(std::vector<ArchiveFile> files, Sink sink) {
  std::string list;
  for (auto& f : files) {
    UnpackLine line{f.path, f.link, f.file, "", 0};
    list += to_text(line) + "\n";
  }
  CO_TRY(auto in, make_pipe());
  CO_TRY(auto out, make_pipe());
  Spawn what;
  what.argv = {helper_, "pack"};
  what.fds = {{in.first.get(), 0}, {out.second.get(), 1}};
  CO_TRY(const int pid, spawn(what));
  in.first.reset(), out.second.reset();
  Scope feeding;
  std::optional<Error> ignored;
  bool fed = false;
  const Source source = [&list, &fed]() -> Task<Result<std::string>> { co_return std::exchange(fed, true) ? std::string() : list; };
  feeding.spawn(feed(loop_, std::move(in.second), source, ignored));
  FdStream stream(loop_, std::move(out.first));
  std::string chunk(65536, '\0');
  Result<> sent;
  for (;;) {
    auto n = co_await stream.read(chunk);
    if (!n || *n == 0) break;
    sent = co_await sink(std::string_view(chunk).substr(0, *n));
    if (!sent) break;
  }
  stream.close();
  auto ended = co_await wait_status(loop_, pid);
  co_await feeding.join();
  if (!sent) co_return sent;
  CO_TRY(const int status, std::move(ended));
  if (status != 0) co_return fail(Code::kInternal, "panal-unpack pack ended with status " + std::to_string(status));
  co_return Result<>{};
}

std::string DiskLayers::blob_path(const std::string& digest) const { return root_ + "/blobs/sha256/" + digest.substr(digest.find(':') + 1); }
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
  return write_file_atomic(blob_path(digest), data, 0644);
}

Task<Result<>> DiskLayers::remove_layer(int64_t number) {
  const std::string dir = layer_dir(number);
  auto work = [dir] { return remove_tree(dir); };
  co_return co_await blocking(loop_, work);
}

std::string DiskLayers::new_ingest_dir() {
  const std::string dir = root_ + "/ingest/" + hex(entropy_.bytes(8));
  (void)make_dirs(dir, 0700);
  return dir;
}

Task<void> DiskLayers::drop_ingest(std::string dir) {
  auto work = [dir] { return remove_tree(dir); };
  (void)co_await blocking(loop_, work);
}

Task<Result<>> DiskLayers::mount_rootfs(std::string dir, std::vector<int64_t> layers) {
  for (const char* part : {"/diff", "/work", "/merged"}) CO_TRYV(make_dirs(dir + part, 0755));
  const std::string merged = dir + "/merged";
  struct stat inside, outside;
  if (::stat(merged.c_str(), &inside) == 0 && ::stat(dir.c_str(), &outside) == 0 && inside.st_dev != outside.st_dev) co_return Result<>{};
  std::string lower;
  for (auto it = layers.rbegin(); it != layers.rend(); ++it) lower += (lower.empty() ? "" : ":") + layer_dir(*it);
  if (lower.empty()) {  // an image without layers: an empty lower directory
    CO_TRYV(make_dirs(dir + "/empty", 0755));
    lower = dir + "/empty";
  }
  const std::string options = "lowerdir=" + lower + ",upperdir=" + dir + "/diff,workdir=" + dir + "/work";
  if (options.size() >= 4096) co_return fail(Code::kInvalid, "max depth exceeded: the image has too many layers");
  if (::mount("overlay", merged.c_str(), "overlay", 0, options.c_str()) != 0) co_return fail(sys_error(errno, "mount overlay", merged));
  co_return Result<>{};
}

Task<Result<>> DiskLayers::unmount_rootfs(std::string dir) {
  if (::umount2((dir + "/merged").c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT) co_return fail(sys_error(errno, "umount", dir));
  co_return Result<>{};
}

Task<Result<>> DiskLayers::remove_rootfs(std::string dir) {
  (void)co_await unmount_rootfs(dir);
  auto work = [dir] { return remove_tree(dir); };
  co_return co_await blocking(loop_, work);
}

static Result<Fd> open_in_root(const std::string& root, const std::string& path, uint64_t flags) {
  Fd top(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!top) return fail(sys_error(errno, "open", root));
  open_how how{.flags = flags | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  Fd fd(static_cast<int>(::syscall(SYS_openat2, top.get(), path.empty() ? "." : path.c_str(), &how, sizeof how)));
  if (!fd) return fail(sys_error(errno, "open", path));
  return fd;
}

Result<std::string> DiskLayers::read_in_root(const std::string& root, const std::string& path) {
  TRY(Fd fd, open_in_root(root, path, O_RDONLY | O_NONBLOCK));
  struct stat info;
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return fail(Code::kInvalid, path + ": not a regular file");
  return read_all(fd.get(), 4 << 20);
}

Result<std::string> DiskLayers::make_dir_in_root(const std::string& root, const std::string& path) {
  std::string done;
  for (const auto& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    const std::string next = done + "/" + part;
    if (auto there = open_in_root(root, next, O_PATH); !there) {
      if (there.error().code != Code::kNotFound) return std::unexpected(there.error());
      TRY(Fd parent, open_in_root(root, done.empty() ? "/" : done, O_PATH | O_DIRECTORY));
      if (::mkdirat(parent.get(), part.c_str(), 0755) != 0 && errno != EEXIST) return fail(sys_error(errno, "mkdir", next));
    }
    done = next;
  }
  TRY(Fd fd, open_in_root(root, done.empty() ? "/" : done, O_PATH));
  std::error_code error;
  auto real = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd.get()), error);
  if (error) return fail(sys_error(error.value(), "readlink", path));
  return real.string();
}

Task<Result<>> DiskLayers::copy_up(std::string root, std::string path, std::string target) {
  std::error_code error;
  if (!std::filesystem::is_empty(target, error) || error) co_return Result<>{};
  auto fd = open_in_root(root, path, O_PATH | O_DIRECTORY);
  if (!fd) co_return Result<>{};  // the image has nothing there
  const std::string from = "/proc/self/fd/" + std::to_string(fd->get());
  auto real = std::filesystem::read_symlink(from, error);
  if (error) co_return Result<>{};
  CO_TRY(const auto output, co_await run_program(loop_, {"cp", "-a", "--reflink=auto", real.string() + "/.", target + "/"}, {}, 600s));
  if (output.status != 0) co_return fail(Code::kInternal, "copy " + path + " into the volume: " + std::string(trim(output.err)));
  struct stat info;
  if (::stat(real.c_str(), &info) == 0) {
    (void)!::chown(target.c_str(), info.st_uid, info.st_gid);
    ::chmod(target.c_str(), info.st_mode & 07777);
  }
  co_return Result<>{};
}

std::string DiskLayers::sha256(std::string_view data) const { return "sha256:" + sha256_hex(data); }

Task<int64_t> DiskLayers::disk_usage(std::string dir) {
  auto work = [dir] {
    int64_t total = 0;
    std::error_code error;
    for (auto it = std::filesystem::recursive_directory_iterator(dir, std::filesystem::directory_options::skip_permission_denied, error);
         !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
      struct stat info;
      if (::lstat(it->path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) total += info.st_size;
    }
    return total;
  };
  co_return co_await blocking(loop_, work);
}

}  // namespace panal
