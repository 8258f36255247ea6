// A local archive that ADD unpacks: a tar, plain or packed with gzip, bzip2, xz or zstd.
#pragma once
#include <archive_entry.h>

#include "base/result.h"
#include "unpack/archive_reader.h"
#include "unpack/tar_writer.h"

namespace panal {

/// By content, as Docker does: it opens as a tar and has a first entry. The place in the file is the
/// beginning, before and after.
bool is_archive(int fd);

/// Its entries, twice if need be: once for what is in it, once for the contents. The limits of unpack.h hold.
class ArchiveReader {
 public:
  Result<> open(int fd, const std::string& name);
  /// The next entry; null at the end. Valid until the next call.
  Result<archive_entry*> next();
  /// What the entry holds, its holes as zeros.
  Result<> content(TarWriter& to, int64_t size);

 private:
  std::unexpected<Error> failed();

  Reader reader_{nullptr, archive_read_free};
  std::string name_, chunk_ = std::string(1 << 18, '\0');
  int64_t packed_bytes_ = 0, entries_ = 0, bytes_ = 0;  // bytes_: of all entries so far, as they say
};

}  // namespace panal
