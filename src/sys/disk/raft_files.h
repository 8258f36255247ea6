// raft::Disk on files of one folder: `vote`, `snapshot` (each replaced atomically) and segments
// `log-<number>`.
//   record: length (u32), crc32 (u32), protobuf RaftLogWrite. One write is one record and is synced before
//   the next begins: what a crash
// leaves of the last one is cut off and never fatal, and a sound record behind a damaged one says that the
// disk lost what was promised. An append below an earlier index cuts the log there, so truncation changes
// nothing in place. A new segment starts with each snapshot and beyond 64 MiB; drop_prefix() deletes whole
// segments. Appends are group-committed on the loop's pool.
#pragma once
#include "ports/durable_files.h"
#include "ports/loop.h"
#include "raft/replica.h"

namespace panal {

std::unique_ptr<raft::Disk> open_raft_files(Loop& loop, const std::string& dir);
std::unique_ptr<raft::Disk> open_raft_files(Loop& loop, std::shared_ptr<DurableFiles> files,
                                            const std::string& dir);

}  // namespace panal
