// What the tests of a copy share: two trees, what a copy makes of them, and archives.
#pragma once
#include <archive.h>
#include <archive_entry.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <map>

#include "base/json.h"
#include "unpack/copy/copy.h"
#include "unpack/tar_writer.h"

namespace panal::copy_test {

struct Written {
  mode_t mode = 0;
  int64_t uid = 0, gid = 0, mtime = 0;
  std::string content, link, hard;
  std::map<std::string, std::string> attributes;
};
using Layer = std::map<std::string, Written>;

// Two trees, /base and a context, and what a copy makes of them.
struct Desk {
  std::string dir;
  CopyJob job;
  std::string stream;  // the last layer, as bytes
  std::vector<std::string> order;

  Desk() {
    char name[] = "/tmp/panal-copy-XXXXXX";
    dir = ::mkdtemp(name);
    folder("src"), folder("base");
    job.trees.emplace_back(), job.destination = "/", job.now = 1'700'000'000;
  }
  ~Desk() { (void)remove_tree(dir); }
  std::string at(const std::string& path) const { return dir + "/" + path; }
  void folder(const std::string& path, mode_t mode = 0755, uid_t owner = 0) {
    REQUIRE(make_dirs(at(path), 0755));
    REQUIRE(::chown(at(path).c_str(), owner, owner) == 0);
    REQUIRE(::chmod(at(path).c_str(), mode) == 0);
  }
  void file(const std::string& path, const std::string& content = "", mode_t mode = 0644, uid_t owner = 0) {
    REQUIRE(make_dirs(at(path).substr(0, at(path).rfind('/'))));
    REQUIRE(write_file(at(path), content, 0644));
    REQUIRE(::chown(at(path).c_str(), owner, owner) == 0);
    REQUIRE(::chmod(at(path).c_str(), mode) == 0);
    time(path, 1'600'000'000);
  }
  void time(const std::string& path, int64_t seconds) {
    const timespec times[2]{{seconds, 5}, {seconds, 5}};
    REQUIRE(::utimensat(AT_FDCWD, at(path).c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
  }
  void link(const std::string& target, const std::string& path) {
    REQUIRE(::symlink(target.c_str(), at(path).c_str()) == 0);
  }
  Desk& from(std::vector<std::string> patterns, const std::string& destination) {
    job.sources.clear(), job.destination = destination;
    for (auto& p : patterns) job.sources.push_back({0, std::move(p)});
    return *this;
  }
  std::vector<Fd> trees() const {
    std::vector<Fd> out;
    for (size_t i = 0; i < job.trees.size(); ++i)
      out.emplace_back(
          ::open(at(i ? "src" + std::to_string(i) : "src").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return out;
  }
  Result<> write(int to) const {
    const Fd base(::open(at("base").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return write_copy(job, trees(), base.get(), to);
  }
  std::string error() const {
    const Fd to(::memfd_create("layer", MFD_CLOEXEC));
    const auto written = write(to.get());
    if (!written) CHECK(written.error().code == Code::kInvalid);
    return written ? "" : written.error().message;
  }
  Layer layer() {
    const Fd to(::memfd_create("layer", MFD_CLOEXEC));
    const auto written = write(to.get());
    INFO((written ? "" : written.error().message));
    REQUIRE(written);
    return read(to.get());
  }
  Layer read(int fd) {
    ::lseek(fd, 0, SEEK_SET);
    stream = *read_all(fd, 1 << 30);
    order.clear();
    Layer out;
    if (stream.empty()) return out;
    archive* reader = archive_read_new();
    archive_read_support_format_tar(reader);
    REQUIRE(archive_read_open_memory(reader, stream.data(), stream.size()) == ARCHIVE_OK);
    archive_entry* e = nullptr;
    for (int code = 0; (code = archive_read_next_header(reader, &e)) != ARCHIVE_EOF;) {
      REQUIRE(code >= ARCHIVE_WARN);
      std::string path = archive_entry_pathname(e);
      order.push_back(path);
      if (path.ends_with('/')) path.pop_back();
      CHECK_MESSAGE(!out.contains(path), path << " is there twice");
      Written& w = out[path];
      w = {archive_entry_mode(e), archive_entry_uid(e), archive_entry_gid(e), archive_entry_mtime(e)};
      if (const char* link = archive_entry_symlink(e)) w.link = link;
      if (const char* hard = archive_entry_hardlink(e)) w.hard = hard;
      w.content.resize(static_cast<size_t>(archive_entry_size(e)));
      if (w.hard.empty())
        CHECK(archive_read_data(reader, w.content.data(), w.content.size()) == std::ssize(w.content));
      const char* key;
      const void* value;
      size_t size;
      archive_entry_xattr_reset(e);
      while (archive_entry_xattr_next(e, &key, &value, &size) == ARCHIVE_OK)
        w.attributes[key] = {static_cast<const char*>(value), size};
    }
    archive_read_free(reader);
    return out;
  }
  std::vector<std::string> paths() {
    std::vector<std::string> out;
    for (const auto& [path, w] : layer()) out.push_back(path);
    return out;
  }
  Result<CopyDigestLine> digest() const { return digest_copy(job, trees()); }
};

using Paths = std::vector<std::string>;

struct Member {
  std::string path, content, link, hard;
  mode_t mode = S_IFREG | 0640;
};
// A tar in the context, packed by `filter` (libarchive's archive_write_add_filter_...).
inline void tar(const std::string& file, const std::vector<Member>& members,
                int (*filter)(archive*) = archive_write_add_filter_none) {
  archive* writer = archive_write_new();
  archive_write_set_format_pax_restricted(writer);
  filter(writer);
  REQUIRE(archive_write_open_filename(writer, file.c_str()) == ARCHIVE_OK);
  for (const auto& m : members) {
    const Entry entry = new_entry();
    struct stat info{};
    info.st_mode = m.mode, info.st_uid = 7, info.st_gid = 8, info.st_size = std::ssize(m.content),
    info.st_mtim.tv_sec = 1'500'000'000;
    if (!m.link.empty()) info.st_mode = S_IFLNK | 0777;
    set_entry(entry.get(), m.path, info);
    if (!m.link.empty()) archive_entry_set_symlink(entry.get(), m.link.c_str());
    if (!m.hard.empty())
      archive_entry_set_hardlink(entry.get(), m.hard.c_str()), archive_entry_unset_size(entry.get());
    REQUIRE(archive_write_header(writer, entry.get()) >= ARCHIVE_WARN);
    REQUIRE(archive_write_data(writer, m.content.data(), m.content.size()) >= 0);
  }
  REQUIRE(archive_write_close(writer) == ARCHIVE_OK);
  archive_write_free(writer);
}

}  // namespace panal::copy_test
