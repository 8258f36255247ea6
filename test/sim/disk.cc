#include "sim/disk.h"

namespace panal::sim {

void Platter::write(raft::Index index, const raft::Entry& entry) {
  CHECK(index >= state.log_start && index <= state.log_start + state.entries.size());
  state.entries.resize(index - state.log_start);
  state.entries.push_back(entry);
}

Result<> SimDisk::save_vote(raft::Term term, raft::Id vote) {
  if (broken_) return fail(Code::kInternal, "write vote: input/output error");
  if (dead_) return {};
  CHECK(term >= platter_.state.term);
  platter_.state.term = term, platter_.state.vote = vote;
  return {};
}

void SimDisk::commit(std::vector<Write>& batch) {
  for (auto& w : batch)
    for (size_t i = 0; i < w.entries.size(); ++i) platter_.write(w.from + i, w.entries[i]);
}

void SimDisk::append(raft::Index from, std::vector<raft::Entry> entries, When when, std::function<void(Result<>)> done) {
  if (broken_) return done(fail(Code::kInternal, "fdatasync raft log: input/output error"));
  waiting_.push_back({from, std::move(entries), std::move(done)});
  if (when == When::kLater) return flush();
  CHECK(!in_flight_);
  auto batch = std::exchange(waiting_, {});
  if (!dead_) commit(batch);
  for (auto& w : batch) w.done({});
}

void SimDisk::flush() {
  if (in_flight_ || waiting_.empty() || dead_) return;
  in_flight_ = std::make_shared<std::vector<Write>>(std::exchange(waiting_, {}));
  const Duration takes = random_.chance(0.01) ? random_.between(Duration(20ms), Duration(200ms)) : random_.between(Duration(50us), platter_.slowest);
  loop_.call_after(takes, [this, batch = in_flight_, epoch = epoch_] {
    if (dead_) return;
    in_flight_.reset();
    if (epoch == epoch_) {
      if (!broken_) commit(*batch);
      for (auto& w : *batch) w.done(broken_ ? Result<>(fail(Code::kInternal, "fdatasync raft log: input/output error")) : Result<>());
    }
    flush();
  });
}

Result<> SimDisk::save_snapshot(const raft::Snapshot& snapshot, bool reset) {
  if (broken_) return fail(Code::kInternal, "write snapshot: no space left on device");
  if (dead_) return {};
  platter_.state.snapshot = snapshot;
  if (reset) {
    ++platter_.installs;
    ++epoch_;
    waiting_.clear();
    platter_.state.entries.clear();
    platter_.state.log_start = snapshot.index + 1;
  }
  return {};
}

// Whole segments go: something of the prefix stays.
void SimDisk::drop_prefix(raft::Index index) {
  auto& s = platter_.state;
  if (dead_ || index < s.log_start) return;
  const raft::Index upto = s.log_start + random_.below(index - s.log_start + 2);  // exclusive
  const size_t count = std::min<size_t>(upto - s.log_start, s.entries.size());
  s.entries.erase(s.entries.begin(), s.entries.begin() + static_cast<long>(count));
  s.log_start += count;
}

void SimDisk::die() {
  dead_ = true;
  if (broken_) return;
  std::vector<std::pair<raft::Index, raft::Entry>> records;
  const auto gather = [&](const std::vector<Write>& writes) {
    for (const auto& w : writes)
      for (size_t i = 0; i < w.entries.size(); ++i) records.emplace_back(w.from + i, w.entries[i]);
  };
  if (in_flight_) gather(*in_flight_);
  gather(waiting_);
  const size_t survive = random_.below(records.size() + 1);
  for (size_t i = 0; i < survive; ++i) platter_.write(records[i].first, records[i].second);
}

}  // namespace panal::sim
