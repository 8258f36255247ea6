// Image archives: regular files by number with their digests; layers are left packed.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <memory>

#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "base/text.h"
#include "unpack/archive_reader.h"
#include "unpack/digest.h"
#include "unpack/unpack.h"

namespace panal {

static void print_line(const std::string& path, const std::string& link, const std::string& file,
                       const std::string& digest, int64_t size) {
  JsonObject line;
  line["path"] = path, line["link"] = link, line["file"] = file, line["digest"] = digest, line["size"] = size;
  std::puts(dump(line).c_str());
}

static Result<std::pair<std::string, int64_t>> save_entry(archive* reader, const std::string& file) {
  Fd out(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out) return fail(sys_error(errno, "open", file));
  Digest digest;
  int64_t size = 0;
  for (;;) {
    const void* data;
    size_t length;
    la_int64_t offset;
    const int code = archive_read_data_block(reader, &data, &length, &offset);
    if (code == ARCHIVE_EOF) break;
    if (code != ARCHIVE_OK) return fail(Code::kInvalid, std::string("archive: ") + error_of(reader));
    // Before anything is written: a hole costs its archive nothing.
    if (offset > kMaxLayerBytes - static_cast<int64_t>(length))
      return fail(Code::kInvalid, "archive: a file is larger than the limit");
    if (offset > kFreeExpansion && offset / kMaxExpansion > archive_filter_bytes(reader, -1))
      return fail(Code::kInvalid,
                  "archive: a file expands more than " + std::to_string(kMaxExpansion) + " times");
    static constexpr std::array<char, 4096> kZeros{};
    while (size < offset) {  // a sparse member: its holes count
      const auto part =
          static_cast<size_t>(std::min<int64_t>(offset - size, static_cast<int64_t>(kZeros.size())));
      TRYV(write_all(out.get(), {kZeros.data(), part}));
      digest.add({kZeros.data(), part});
      size += static_cast<int64_t>(part);
    }
    const std::string_view piece(static_cast<const char*>(data), length);
    TRYV(write_all(out.get(), piece));
    digest.add(piece);
    size += static_cast<int64_t>(length);
  }
  return std::pair{digest.text(), size};
}

Result<> unpack_archive(const std::string& dir) {
  TRYV(lock_in({.root = dir}));
  Reader reader = tar_reader();
  archive_read_support_format_empty(reader.get());
  if (archive_read_open_fd(reader.get(), 0, 1 << 18) != ARCHIVE_OK)
    return fail(Code::kInvalid, std::string("archive/tar: invalid tar header: ") + error_of(reader.get()));
  for (int64_t n = 0;; ++n) {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(reader.get(), &entry);
    if (code == ARCHIVE_EOF) return {};
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
      return fail(Code::kInvalid, std::string("archive/tar: invalid tar header: ") + error_of(reader.get()));
    if (n >= kMaxArchiveFiles) return fail(Code::kInvalid, "archive: too many files for an image");
    const char* name = archive_entry_pathname(entry);
    if (!name) return fail(Code::kInvalid, "archive: a file without a name");
    const std::string path = clean_path(name);
    if (const char* link = archive_entry_symlink(entry)) {
      const size_t slash = path.rfind('/');
      print_line(path,
                 link[0] == '/'
                     ? clean_path(link)
                     : clean_path((slash == std::string::npos ? "" : path.substr(0, slash) + "/") + link),
                 "", "", 0);
    } else if (const char* hard = archive_entry_hardlink(entry)) {
      print_line(path, clean_path(hard), "", "", 0);
    } else if (archive_entry_filetype(entry) == AE_IFREG) {
      const std::string file = std::to_string(n);
      TRY(const auto saved, save_entry(reader.get(), file));
      print_line(path, "", dir + "/" + file, saved.first, saved.second);
    }
  }
}

Result<> save_blob(const std::string& file) {
  Fd out(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!out) return fail(sys_error(errno, "open", file));
  const size_t slash = file.rfind('/');
  if (slash == std::string::npos) return fail(Code::kInvalid, file + ": not a full path");
  TRYV(lock_in({.root = file.substr(0, slash)}));
  Digest digest;
  int64_t size = 0;
  std::string chunk(1 << 18, '\0');
  for (;;) {
    const ssize_t n = ::read(0, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(sys_error(errno, "read"));
    if (n == 0) break;
    const std::string_view piece(chunk.data(), static_cast<size_t>(n));
    digest.add(piece);
    TRYV(write_all(out.get(), piece));
    size += n;
  }
  print_line("", "", file, digest.text(), size);
  return {};
}

Result<> pack_archive(const std::string& dir) {
  TRYV(lock_in({.root = dir, .read_only = true}));
  std::unique_ptr<archive, decltype(&archive_write_free)> writer(archive_write_new(), archive_write_free);
  archive_write_set_format_pax_restricted(writer.get());
  if (archive_write_open_fd(writer.get(), 1) != ARCHIVE_OK)
    return fail(Code::kInternal, error_of(writer.get()));
  std::string line, chunk(1 << 18, '\0');
  while (std::getline(std::cin, line)) {
    TRY(const Json json, parse_json(line));
    const auto& object = json.as_object();
    const std::string file = str(object.at("file"));
    if (!file.starts_with(dir + "/")) return fail(Code::kInvalid, file + ": not below " + dir);
    Fd in(::open(file.c_str() + dir.size(), O_RDONLY | O_CLOEXEC));
    struct stat info;
    if (!in || ::fstat(in.get(), &info) != 0) return fail(sys_error(errno, "open", file));
    std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                        archive_entry_free);
    archive_entry_set_pathname(entry.get(), str(object.at("path")).c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_size(entry.get(), info.st_size);
    if (archive_write_header(writer.get(), entry.get()) != ARCHIVE_OK)
      return fail(Code::kInternal, error_of(writer.get()));
    for (;;) {
      const ssize_t n = ::read(in.get(), chunk.data(), chunk.size());
      if (n < 0) return fail(sys_error(errno, "read", file));
      if (n == 0) break;
      if (archive_write_data(writer.get(), chunk.data(), static_cast<size_t>(n)) < 0)
        return fail(Code::kInternal, error_of(writer.get()));
    }
  }
  if (archive_write_close(writer.get()) != ARCHIVE_OK) return fail(Code::kInternal, error_of(writer.get()));
  return {};
}

}  // namespace panal
