// The consensus core behind a seam: pure, no I/O, no clock. One call is one event; what must happen comes
// back as Effects, in this order: make term and vote durable, truncate and append, then send. Implemented by
// sys/raft on libraft's raft_step(); nothing above this header knows that library.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace panal::raft {

using Id = uint64_t;
using Index = uint64_t;
using Term = uint64_t;

enum class EntryType : uint8_t { kCommand = 1, kBarrier = 2, kChange = 3 };
enum class Role : uint8_t { kStandby = 0, kVoter = 1 };
enum class State : uint8_t { kUnavailable, kFollower, kCandidate, kLeader };

struct Entry {
  Term term = 0;
  EntryType type = EntryType::kCommand;
  std::string data;
  bool operator==(const Entry&) const = default;
};

struct Server {
  Id id = 0;
  std::string address;
  Role role = Role::kStandby;
  bool operator==(const Server&) const = default;
};
using Configuration = std::vector<Server>;

struct Snapshot {
  Index index = 0;
  Term term = 0;
  Configuration configuration;
  Index configuration_index = 0;
  std::string data;
};

enum class MessageType : uint8_t { kAppend = 1, kAppendResult, kVote, kVoteResult, kInstall, kTimeoutNow };

/// One message between two cores; which fields count depends on the type (Raft paper, figure 2 and section
/// 4).
struct Message {
  MessageType type = MessageType::kAppend;
  Id from = 0, to = 0;
  std::string address;  // outgoing: of `to`
  Term term = 0;
  Index prev_index = 0;  // kAppend; kVote and kTimeoutNow: last log index
  Term prev_term = 0;
  Index commit = 0;
  std::vector<Entry> entries;
  Index rejected = 0, last_index = 0;  // kAppendResult
  bool granted = false, pre_vote = false, disrupt = false;
  Snapshot snapshot;  // kInstall
};

struct Effects {
  bool term_or_vote = false;
  std::optional<Index> truncate_from;  // with `append`: the log ends before this index, then grows
  std::vector<Entry> append;
  std::vector<Message> messages;  // kAppend entries and kInstall data are filled in by the replica
  std::vector<std::pair<size_t, uint32_t>> append_counts;  // message number -> how many entries it carries
  std::optional<Snapshot> install;                         // accepted snapshot, data as received
};

struct Settings {
  Id id = 0;
  std::string address;
  uint32_t seed = 1, election_ms = 1000, heartbeat_ms = 50;
};

class Core {
 public:
  virtual ~Core() = default;
  /// First event. `log_start` is the index of entries[0].
  virtual Result<> start(uint64_t now_ms, Term term, Id vote, const Snapshot* snapshot, Index log_start,
                         const std::vector<Entry>& entries, Effects& out) = 0;
  virtual Result<> receive(uint64_t now_ms, const Message& message, Effects& out) = 0;
  virtual Result<> timeout(uint64_t now_ms, Effects& out) = 0;
  /// Error kUnavailable: not the leader. kConflict: another change of membership is under way.
  virtual Result<> submit(uint64_t now_ms, const Entry& entry, Effects& out) = 0;
  virtual Result<> persisted(uint64_t now_ms, Index index, Effects& out) = 0;
  virtual Result<> configuration_committed(uint64_t now_ms, Index index, const Configuration& configuration,
                                           Effects& out) = 0;
  virtual Result<> snapshot_taken(uint64_t now_ms, const Snapshot& snapshot, uint32_t trailing,
                                  Effects& out) = 0;
  virtual Result<> snapshot_installed(uint64_t now_ms, const Snapshot& snapshot, Effects& out) = 0;
  virtual Result<> transfer(uint64_t now_ms, Id to, Effects& out) = 0;

  virtual State state() const = 0;
  virtual Term term() const = 0;
  virtual Id vote() const = 0;
  virtual Id leader() const = 0;
  virtual Index commit_index() const = 0;
  virtual Index last_index() const = 0;
  virtual uint64_t next_timeout_ms() const = 0;
  virtual std::optional<Index> match_index(Id server) const = 0;

  virtual std::string encode(const Configuration& configuration) const = 0;
  virtual Result<Configuration> decode(const std::string& bytes) const = 0;
};

}  // namespace panal::raft
