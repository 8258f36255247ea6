// A manager's log as checkers see it: stands before the disk that the replica writes to and keeps what
// snapshots cut off. One event may apply a hundred entries and cut off all but the last few; afterwards the
// replica's memory does not tell what they were.
#pragma once
#include "base/check.h"
#include "raft/replica.h"

namespace panal::sim {

class RecordedLog final : public raft::Disk {
 public:
  explicit RecordedLog(std::unique_ptr<raft::Disk> below) : below_(std::move(below)) {}

  /// What the log follows: cut off before this process began, or in the snapshot that a leader sent.
  raft::Index base() const { return base_; }
  /// Null outside the log.
  const raft::Entry* entry(raft::Index index) const {
    return index > base_ && index - base_ <= entries_.size() ? &entries_[index - base_ - 1] : nullptr;
  }

  Result<raft::Persistent> load() override {
    auto p = below_->load();
    if (p) base_ = p->log_start - 1, entries_.assign(p->entries.begin(), p->entries.end());
    return p;
  }
  Result<> save_vote(raft::Term term, raft::Id vote) override { return below_->save_vote(term, vote); }
  void append(raft::Index from, std::vector<raft::Entry> entries, When when,
              std::function<void(Result<>)> done) override {
    CHECK(from > base_ && from - base_ <= entries_.size() + 1);
    entries_.resize(from - base_ - 1);
    entries_.insert(entries_.end(), entries.begin(), entries.end());
    below_->append(from, std::move(entries), when, std::move(done));
  }
  Result<> save_snapshot(const raft::Snapshot& snapshot, bool reset) override {
    if (reset) base_ = snapshot.index, entries_.clear();
    return below_->save_snapshot(snapshot, reset);
  }
  void drop_prefix(raft::Index index) override { below_->drop_prefix(index); }

 private:
  std::unique_ptr<raft::Disk> below_;
  raft::Index base_ = 0;
  std::deque<raft::Entry> entries_;
};

}  // namespace panal::sim
