#include "unpack/copy/archive.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "unpack/unpack.h"

namespace panal {

bool is_archive(int fd) {
  const auto reader = tar_reader();
  archive_entry* entry = nullptr;
  const int code = archive_read_open_fd(reader.get(), fd, 1 << 16) == ARCHIVE_OK
                       ? archive_read_next_header(reader.get(), &entry)
                       : ARCHIVE_FATAL;
  ::lseek(fd, 0, SEEK_SET);
  if (archive_filter_count(reader.get()) > 2) return false;  // packed twice: Docker opens one layer
  return code == ARCHIVE_OK || code == ARCHIVE_WARN;
}

std::unexpected<Error> ArchiveReader::failed() { return fail(wrap(name_, bad_tar(reader_.get()))); }

Result<> ArchiveReader::open(int fd, const std::string& name) {
  reader_ = tar_reader(), name_ = name, entries_ = 0, bytes_ = 0;
  struct stat info;
  if (::fstat(fd, &info) != 0 || ::lseek(fd, 0, SEEK_SET) != 0) return fail(sys_error(errno, "lseek", name));
  packed_bytes_ = info.st_size;
  if (archive_read_open_fd(reader_.get(), fd, 1 << 18) != ARCHIVE_OK) return failed();
  return {};
}

// The layer holds what is sparse in full, so an entry is as large as it says.
Result<archive_entry*> ArchiveReader::next() {
  archive_entry* entry = nullptr;
  const int code = archive_read_next_header(reader_.get(), &entry);
  if (code == ARCHIVE_EOF) return nullptr;
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return failed();
  const int64_t size = archive_entry_size(entry);
  if (++entries_ > kMaxEntries) return fail(Code::kInvalid, name_ + ": too many entries");
  if (size < 0 || size > kMaxLayerBytes || (bytes_ += size) > kMaxLayerBytes)
    return fail(Code::kInvalid, name_ + ": larger than the limit");
  if (bytes_ > kFreeExpansion && bytes_ / kMaxExpansion > packed_bytes_)
    return fail(Code::kInvalid, name_ + ": expands more than " + std::to_string(kMaxExpansion) + " times");
  return entry;
}

Result<> ArchiveReader::content(TarWriter& to, int64_t size) {
  while (size > 0) {
    const la_ssize_t n = archive_read_data(reader_.get(), chunk_.data(),
                                           static_cast<size_t>(std::min(size, std::ssize(chunk_) + 0L)));
    if (n < 0) return failed();
    if (n == 0) return to.zeros(size);
    size -= n;
    TRYV(to.data({chunk_.data(), static_cast<size_t>(n)}));
  }
  return {};
}

}  // namespace panal
