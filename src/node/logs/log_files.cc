#include "node/logs/log_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <map>

#include "base/log.h"
#include "base/text.h"

namespace panal {

namespace {

using Inode = std::pair<dev_t, ino_t>;

std::optional<struct stat> status_of(const std::string& path) {
  struct stat s{};
  if (::stat(path.c_str(), &s) != 0) return std::nullopt;
  return s;
}
Inode inode_of(const struct stat& s) { return {s.st_dev, s.st_ino}; }
std::string numbered(const std::string& path, uint64_t number) { return path + "." + std::to_string(number); }
std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Numbers that have a file, without looking at the live one.
std::map<uint64_t, LogSegment> numbered_files(const std::string& path) {
  std::map<uint64_t, LogSegment> out;
  const std::string folder = path.substr(0, path.rfind('/')), head = file_name(path) + ".";
  for (const auto& name : list_dir(folder)) {
    if (!name.starts_with(head)) continue;
    std::string rest = name.substr(head.size());
    const bool packed = rest.ends_with(".gz");
    if (packed) rest.resize(rest.size() - 3);
    const auto number = parse_int(rest);
    if (!number || *number <= 0 || (rest[0] < '1' || rest[0] > '9')) continue;
    const auto n = static_cast<uint64_t>(*number);
    if (!out.contains(n) || packed)
      out[n] = {n, folder + "/" + name, packed,
                false};  // a crash in between leaves both: the packed one is whole
  }
  return out;
}

Result<> link_to(const std::string& path, const std::string& target) {
  ::unlink(path.c_str());
  if (::symlink(file_name(target).c_str(), path.c_str()) != 0) return fail(sys_error(errno, "symlink", path));
  return {};
}

void drop(const LogSegment& s) { ::unlink(s.path.c_str()); }

void prune(const std::string& path, size_t most) {
  auto all = log_segments(path);
  for (size_t i = 0; i + most < all.size(); ++i)
    if (!all[i].live) drop(all[i]);
}

}  // namespace

std::vector<LogSegment> log_segments(const std::string& path) {
  auto files = numbered_files(path);
  const auto live = status_of(path);
  if (live) {
    bool known = false;
    for (auto& [number, segment] : files)
      if (const auto s = segment.packed ? std::nullopt : status_of(segment.path);
          s && inode_of(*s) == inode_of(*live))
        segment.live = known = true;
    // Not numbered yet, after turns nobody saw: one number is left out.
    const uint64_t highest = files.empty() ? 0 : files.rbegin()->first;
    if (!known) files[highest == 0 ? 1 : highest + 2] = {highest == 0 ? 1 : highest + 2, path, false, true};
  }
  std::vector<LogSegment> out;
  for (auto& [number, segment] : files) out.push_back(std::move(segment));
  return out;
}

Result<> prepare_log(const std::string& path, const LogLimits& limits) {
  ::unlink((path + ".tmp").c_str());
  if (limits.max_size_bytes == 0) return {};
  const auto all = log_segments(path);
  uint64_t number = all.empty() ? 1 : all.back().number + 1;
  if (const auto live = status_of(path)) {
    --number;
    if (all.back().path == path && ::link(path.c_str(), numbered(path, number).c_str()) != 0)
      return fail(sys_error(errno, "link", path));
    if (live->st_size >= limits.max_size_bytes / 2) ++number;  // conmon counts from its start
  }
  const std::string fresh = path + ".new";
  TRYV(link_to(fresh, numbered(path, number)));
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail(sys_error(errno, "rename", fresh));
  TRYV(link_to(path + ".tmp", numbered(path, number + 1)));
  prune(path, static_cast<size_t>(limits.max_files) -
                  (exists(path) ? 0 : 1));  // the file that conmon is about to make counts, too
  return {};
}

void log_turned(const std::string& path, const LogLimits& limits, Hole hole) {
  if (limits.max_size_bytes == 0) return;
  for (int tries = 0; tries < 8; ++tries) {
    auto all = log_segments(path);
    if (all.empty() || !all.back().live) return;
    const LogSegment live = all.back();
    const bool plain = live.path == path;
    if (plain) {
      if (::link(path.c_str(), numbered(path, live.number).c_str()) != 0) {
        log::warn("msg=\"a log file could not be numbered\" file={} error=\"{}\"", path,
                  sys_error(errno, "link", path).message);
        return;
      }
      all.pop_back();
      if (hole == Hole::kDropOlder)
        for (const auto& s : all) drop(s);
    }
    const std::string next = numbered(path, live.number + 1);
    // One that is there is never taken away: conmon may have it open and end itself when it cannot rename it.
    // A link leads to `next`, as a turn uses it up; a plain file is a turn on its way, of which we are told.
    if (::symlink(file_name(next).c_str(), (path + ".tmp").c_str()) != 0 && errno != EEXIST)
      log::warn("msg=\"prepare the next log file\" error=\"{}\"",
                sys_error(errno, "symlink", path + ".tmp").message);
    const auto again = log_segments(path);
    if (!again.empty() && again.back().number == live.number && again.back().path != path)
      break;  // else it was turned over meanwhile
  }
  prune(path, static_cast<size_t>(limits.max_files));
}

std::optional<LogSegment> log_to_pack(const std::string& path, const LogLimits& limits) {
  if (!limits.compress) return std::nullopt;
  for (const auto& s : log_segments(path))
    if (!s.packed && !s.live) return s;
  return std::nullopt;
}

Result<> pack_log(const LogSegment& segment) {
  Fd in(::open(segment.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) return fail(sys_error(errno, "open", segment.path));
  const std::string part = segment.path + ".gz.part";
  Fd out(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!out) return fail(sys_error(errno, "open", part));
  const gzFile zip = ::gzdopen(::fcntl(out.get(), F_DUPFD_CLOEXEC, 0), "wb6");
  if (!zip) return fail(Code::kInternal, "gzdopen " + part + ": out of memory");
  std::string buffer(65536, '\0');
  bool good = true;
  for (ssize_t n; good && (n = ::read(in.get(), buffer.data(), buffer.size())) != 0;)
    good = n > 0 && ::gzwrite(zip, buffer.data(), static_cast<unsigned>(n)) == n;
  good = ::gzclose(zip) == Z_OK && good;
  // Removed meanwhile: it stays so.
  if (good)
    good = exists(segment.path) && ::fsync(out.get()) == 0 &&
           ::rename(part.c_str(), (segment.path + ".gz").c_str()) == 0;
  ::unlink(good ? segment.path.c_str() : part.c_str());
  return good ? Result<>{} : fail(Code::kInternal, "pack " + segment.path + " failed");
}

Result<Fd> open_segment(const LogSegment& segment) {
  Fd file(::open(segment.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail(sys_error(errno, "open", segment.path));
  if (!segment.packed) return file;
  const std::string folder = segment.path.substr(0, segment.path.rfind('/'));
  Fd copy(::open(folder.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
  if (!copy) return fail(sys_error(errno, "open a temporary file in", folder));
  const gzFile zip = ::gzdopen(file.release(), "rb");
  if (!zip) return fail(Code::kInternal, "gzdopen " + segment.path + ": out of memory");
  std::string buffer(65536, '\0');
  Result<> done;
  for (int n; done && (n = ::gzread(zip, buffer.data(), static_cast<unsigned>(buffer.size()))) > 0;)
    done = write_all(copy.get(), {buffer.data(), static_cast<size_t>(n)});
  ::gzclose_r(zip);
  if (!done) return std::unexpected(done.error());
  return copy;
}

}  // namespace panal
