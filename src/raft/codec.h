// Raft messages, entries and snapshots as bytes (model/wire.proto).
#pragma once
#include "raft/core.h"

namespace panal::raft {

std::string encode_batch(const std::vector<Message>& messages);
Result<std::vector<Message>> decode_batch(const std::string& bytes);
std::string encode_record(Index index, const Entry& entry);
Result<std::pair<Index, Entry>> decode_record(const std::string& bytes);
std::string encode_snapshot(const Snapshot& snapshot);
Result<Snapshot> decode_snapshot(const std::string& bytes);

}  // namespace panal::raft
