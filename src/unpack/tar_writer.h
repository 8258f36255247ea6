// A tar stream (POSIX pax, as Docker writes it: whole seconds).
#pragma once
#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace panal {

using Entry = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;
inline Entry new_entry() { return {archive_entry_new(), archive_entry_free}; }
/// Name, kind, mode, owner, time and device; the size is zero but for a regular file.
void set_entry(archive_entry* entry, const std::string& path, const struct stat& info);

class TarWriter {
 public:
  Result<> open(int fd);
  Result<> head(archive_entry* entry);
  /// `path` is another name of what has been written as `first`.
  Result<> hard_link(archive_entry* entry, const std::string& first);
  Result<> data(std::string_view data);
  Result<> zeros(int64_t size);
  /// A file that grows meanwhile is cut, one that shrinks is filled up: its size stands in the archive
  /// already.
  Result<> content(int fd, int64_t size, const std::string& path);
  Result<> close();

 private:
  std::unexpected<Error> failed();

  std::unique_ptr<archive, decltype(&archive_write_free)> writer_{archive_write_new(), archive_write_free};
  std::string chunk_ = std::string(1 << 18, '\0');
  int64_t entries_ = 0;
};

}  // namespace panal
