// raft::Disk on files of one folder: `vote`, `snapshot` (each replaced atomically) and segments `log-<first index>`.
//   record: length (u32), crc32 (u32), protobuf RaftLogRecord. A record with an index at or below an earlier one cuts the log there,
// so truncation writes nothing in place. A torn tail of the last segment is cut off and never fatal. A new segment starts with each
// snapshot; drop_prefix() deletes whole segments. Appends are group-committed on the loop's pool.
#pragma once
#include "ports/loop.h"
#include "raft/replica.h"

namespace panal {

std::unique_ptr<raft::Disk> open_raft_files(Loop& loop, const std::string& dir);

}  // namespace panal
