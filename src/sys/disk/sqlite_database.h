// Database on SQLite: WAL, synchronous=NORMAL. A crash of the daemon loses nothing; a power cut can lose the
// last moments before it, never consistency (sqlite.org/wal.html).
#pragma once
#include <memory>

#include "ports/database.h"

namespace panal {

Result<std::unique_ptr<Database>> open_database(const std::string& path);

}  // namespace panal
