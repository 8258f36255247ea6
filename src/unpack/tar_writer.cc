#include "unpack/tar_writer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "unpack/archive_reader.h"
#include "unpack/unpack.h"

namespace panal {

void set_entry(archive_entry* entry, const std::string& path, const struct stat& info) {
  archive_entry_set_pathname(entry,
                             (S_ISDIR(info.st_mode) && !path.ends_with('/') ? path + "/" : path).c_str());
  archive_entry_set_mode(entry, info.st_mode);
  archive_entry_set_uid(entry, info.st_uid), archive_entry_set_gid(entry, info.st_gid);
  archive_entry_set_mtime(entry, info.st_mtim.tv_sec, 0);
  if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) archive_entry_set_rdev(entry, info.st_rdev);
  archive_entry_set_size(entry, S_ISREG(info.st_mode) ? info.st_size : 0);
}

std::unexpected<Error> TarWriter::failed() {
  return fail(Code::kInternal, std::string("archive: ") + error_of(writer_.get()));
}

Result<> TarWriter::open(int fd) {
  archive_write_set_format_pax_restricted(writer_.get());
  archive_write_set_options(writer_.get(), "xattrheader=SCHILY");
  archive_write_set_bytes_per_block(writer_.get(), 1 << 16);
  archive_write_set_bytes_in_last_block(writer_.get(), 1);
  if (archive_write_open_fd(writer_.get(), fd) != ARCHIVE_OK) return failed();
  return {};
}

Result<> TarWriter::head(archive_entry* entry) {
  if (++entries_ > kMaxEntries) return fail(Code::kInvalid, "too many files for an archive");
  if (archive_write_header(writer_.get(), entry) < ARCHIVE_WARN)
    return failed();  // a warning is about a name that is no UTF-8
  return {};
}

Result<> TarWriter::hard_link(archive_entry* entry, const std::string& first) {
  archive_entry_set_hardlink(entry, first.c_str()), archive_entry_unset_size(entry);
  return head(entry);
}

Result<> TarWriter::data(std::string_view data) {
  if (archive_write_data(writer_.get(), data.data(), data.size()) < 0) return failed();
  return {};
}

Result<> TarWriter::zeros(int64_t size) {
  std::ranges::fill(chunk_, '\0');
  for (; size > 0; size -= std::min<int64_t>(size, std::ssize(chunk_)))
    TRYV(data(std::string_view(chunk_).substr(0, static_cast<size_t>(size))));
  return {};
}

Result<> TarWriter::content(int fd, int64_t size, const std::string& path) {
  while (size > 0) {
    const ssize_t n = ::read(fd, chunk_.data(), static_cast<size_t>(std::min(size, std::ssize(chunk_) + 0L)));
    if (n < 0) return fail(sys_error(errno, "read", path));
    if (n == 0) return zeros(size);
    TRYV(data(std::string_view(chunk_).substr(0, static_cast<size_t>(n))));
    size -= n;
  }
  return {};
}

Result<> TarWriter::close() {
  if (archive_write_close(writer_.get()) != ARCHIVE_OK) return failed();
  return {};
}

}  // namespace panal
