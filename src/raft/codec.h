// Raft messages, entries and snapshots as bytes (model/wire.proto).
#pragma once
#include "raft/core.h"

namespace panal::raft {

std::string encode_batch(const std::vector<Message>& messages);
Result<std::vector<Message>> decode_batch(const std::string& bytes);
/// What goes to the log's file in one write; the bytes of two writes, one behind the other, are those of both
/// together.
using Append = std::pair<Index, std::vector<Entry>>;  // the log ends before the index, then grows
std::string encode_write(Index from, const std::vector<Entry>& entries);
Result<std::vector<Append>> decode_write(const std::string& bytes);
std::string encode_snapshot(const Snapshot& snapshot);
Result<Snapshot> decode_snapshot(const std::string& bytes);

}  // namespace panal::raft
