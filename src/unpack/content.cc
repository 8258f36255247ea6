#include "unpack/content.h"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include <cerrno>

#include "unpack/archive_reader.h"
#include "unpack/unpack.h"

namespace panal {

Result<> write_content(archive* reader, archive_entry* entry, int fd, const std::string& path,
                       int64_t& bytes) {
  for (;;) {
    const void* data;
    size_t length;
    la_int64_t offset;
    const int code = archive_read_data_block(reader, &data, &length, &offset);
    if (code == ARCHIVE_EOF) break;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
      return fail(Code::kInvalid, path + ": " + error_of(reader));
    const char* at = static_cast<const char*>(data);
    while (length > 0) {
      const ssize_t n = ::pwrite(fd, at, length, offset);
      if (n < 0) return fail(sys_error(errno, "write", path));
      at += n, offset += n, length -= static_cast<size_t>(n), bytes += n;
    }
    if (bytes > kMaxLayerBytes) return fail(Code::kInvalid, "larger than the limit");
    const int64_t plain = archive_filter_bytes(reader, 0), packed = archive_filter_bytes(reader, -1);
    if (plain > kFreeExpansion && plain / kMaxExpansion > packed)
      return fail(Code::kInvalid, "expands more than " + std::to_string(kMaxExpansion) + " times");
  }
  if (::ftruncate(fd, archive_entry_size(entry)) != 0) return fail(sys_error(errno, "truncate", path));
  return {};
}

}  // namespace panal
