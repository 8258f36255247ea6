// An entry's data, from the archive into a file.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"

struct archive;
struct archive_entry;

namespace panal {

/// Leaves out the holes of sparse files. `bytes` counts what this archive has written, for the limits.
Result<> write_content(archive* reader, archive_entry* entry, int fd, const std::string& path,
                       int64_t& bytes);

}  // namespace panal
