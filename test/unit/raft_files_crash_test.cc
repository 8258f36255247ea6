// sys/disk/raft_files on the simulator's disk, which dies in the middle of any call, tears what was not
// synced, runs full and fails syncs: it always starts again, with everything that was acknowledged and
// nothing that was never written.
#include "base/log.h"
#include "sim/disk.h"
#include "sys/disk/raft_files.h"

#include "ports/loop_test.h"
#undef CHECK
#include <doctest/doctest.h>

namespace panal {
namespace {

using raft::Entry;
using raft::EntryType;
using raft::Index;

using test::ManualLoop;
// The log as it should stand after one call.
struct Log {
  Index start = 1;
  std::vector<Entry> entries;
  Index end() const { return start + entries.size(); }
};

class Trial {
 public:
  explicit Trial(uint64_t seed) : random_(seed), files_(std::make_shared<sim::SimFiles>(random_.fork(1))) {
    files_->short_writes = random_.chance(0.5);
  }

  /// Empty, or what went wrong.
  std::string run() {
    open();
    for (int i = 0; i < 80 && wrong_.empty(); ++i) {
      if (random_.chance(0.1)) files_->freeze_after(random_.below(15));
      if (random_.chance(0.03)) files_->failing_syncs = 1;
      if (random_.chance(0.03)) files_->room = random_.below(300);
      act();
      if (broken_ &&
          random_.chance(
              0.5)) {  // the disk works again: what is still on its way must not land behind the gap
        files_->room.reset();
        append();
        while (!loop_.work.empty()) loop_.run_one();
      }
      if (files_->frozen() || broken_ || random_.chance(0.03)) crash();
    }
    return wrong_;
  }

 private:
  void say(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }
  const Log& log() const { return logs_.back(); }

  void act() {
    const auto roll = random_.below(10);
    if (roll < 5)
      append();
    else if (roll < 7 && !loop_.work.empty())
      loop_.run_one();
    else if (roll == 7)
      vote();
    else if (roll == 8)
      snapshot();
    else if (log().end() > log().start) {
      const Index upto = log().start + random_.below(log().entries.size());
      if (snapshot_ >= upto) dropped_ = std::max(dropped_, upto), disk_->drop_prefix(upto);
    }
  }
  void append() {
    Log next = log();
    // Mostly behind the end, sometimes over what was not acknowledged or even was (another leader's log is
    // not this test's matter).
    Index from = next.end();
    const Index least = std::max(next.start, std::max(snapshot_, dropped_) + 1);
    if (from > least && random_.chance(0.2)) from = least + random_.below(from - least);
    next.entries.resize(from - next.start);
    std::vector<Entry> entries;
    for (uint64_t n = random_.chance(0.1) ? 0 : 1 + random_.below(4); n > 0; --n)
      entries.push_back(
          {++term_, EntryType::kCommand,
           std::string(random_.below(random_.chance(0.1) ? 3000 : 60), static_cast<char>('a' + term_ % 26))});
    next.entries.insert(next.entries.end(), entries.begin(), entries.end());
    logs_.push_back(std::move(next));
    disk_->append(from, std::move(entries), raft::Disk::When::kLater,
                  [this, number = logs_.size() - 1](Result<> done) {
                    if (!done)
                      broken_ = true;
                    else
                      acknowledged_ = std::max(acknowledged_, number);
                  });
  }
  void vote() {
    const uint64_t next = votes_.back() + 1;
    if (disk_->save_vote(next, next * 2))
      votes_ = {next};
    else
      votes_.push_back(next), broken_ = true;
  }
  void snapshot() {
    const bool reset = random_.chance(0.3);
    if (!reset && acknowledged_ + 1 != logs_.size()) return;  // only what is durable is taken
    const Index least = std::max(snapshot_ + 1, log().start);
    if (!reset && least >= log().end()) return;
    const Index index = reset ? log().end() + random_.below(20) : least + random_.below(log().end() - least);
    const raft::Term term = reset ? ++term_ : log().entries[index - log().start].term;
    const auto saved = disk_->save_snapshot({index, term, {}, 0, std::to_string(index)}, reset);
    if (!saved) {
      broken_ = true, trying_ = index;
      return;
    }
    snapshot_ = index, taken_term_ = term;
    if (reset) logs_ = {{index + 1, {}}}, acknowledged_ = 0, dropped_ = index;
  }

  void crash() {
    disk_.reset();
    loop_.work.clear();
    files_->freeze();
    files_->thaw(random_.chance(0.6));
    open();
  }
  void open() {
    for (int tries = 0; wrong_.empty(); ++tries) {
      files_->room.reset();
      broken_ = false;
      if (tries < 3 && random_.chance(0.3)) files_->freeze_after(random_.below(6));
      disk_ = open_raft_files(loop_, files_, "/raft");
      const int errors = files_->errors;
      const auto p = disk_->load();
      if (p && !files_->frozen()) {
        if (compare(*p)) return;
      } else if (!p && !files_->frozen() && files_->errors == errors) {
        return say("does not start: " + p.error().message);
      }
      files_->freeze();
      files_->thaw(random_.chance(0.5));
    }
  }

  // False when the start itself broke off.
  bool compare(const raft::Persistent& p) {
    if (p.term != votes_.front() && std::ranges::find(votes_, p.term) == votes_.end())
      say("vote " + std::to_string(p.term) + " was never cast, or an older one");
    if (p.vote != p.term * 2) say("term and vote do not belong together");
    votes_ = {p.term};
    const Index had = p.snapshot ? p.snapshot->index : 0;
    if (had != snapshot_ && had != trying_)
      say("snapshot " + std::to_string(had) + " instead of " + std::to_string(snapshot_));
    if (had && p.snapshot->data != std::to_string(had)) say("a snapshot holds something else");
    snapshot_ = had, trying_ = 0, taken_term_ = had ? p.snapshot->term : 0;
    const bool inside = had >= p.log_start && had < p.log_start + p.entries.size();
    if (had && p.log_start != had + 1 &&
        !(inside && p.entries[had - p.log_start].term ==
                        taken_term_)) {  // in the middle of an install: as Replica::start does
      if (auto saved = disk_->save_snapshot(*p.snapshot, true); !saved) {
        trying_ = had;
        return false;
      }
      logs_ = {{had + 1, {}}}, acknowledged_ = 0, dropped_ = had;
      return true;
    }
    const bool installed = p.log_start == had + 1 && p.entries.empty();
    for (size_t k = logs_.size(); k-- > acknowledged_;)
      if (installed || same(p, logs_[k])) {
        logs_ = {{p.log_start, p.entries}}, acknowledged_ = 0;
        return true;
      }
    say("log " + std::to_string(p.log_start) + " to " + std::to_string(p.log_start + p.entries.size()) +
        " is none of those from " + std::to_string(logs_[acknowledged_].start) + " to " +
        std::to_string(logs_[acknowledged_].end()) + " or later, dropped " + std::to_string(dropped_));
    return true;
  }
  bool same(const raft::Persistent& p, const Log& log) const {
    if (p.log_start + p.entries.size() != log.end()) return false;
    if (p.log_start > std::max(dropped_ + 1, log.start) && p.log_start != log.end()) return false;
    for (Index i = std::max({p.log_start, log.start, dropped_ + 1}); i < log.end(); ++i)
      if (p.entries[i - p.log_start] != log.entries[i - log.start]) return false;
    return true;
  }

  sim::Random random_;
  std::shared_ptr<sim::SimFiles> files_;
  ManualLoop loop_;
  std::unique_ptr<raft::Disk> disk_;
  std::vector<Log> logs_{Log{}};  // after each call since the last start; [acknowledged_] is durable
  size_t acknowledged_ = 0;
  std::vector<uint64_t> votes_{0};  // the durable one, and those tried since
  Index snapshot_ = 0, trying_ = 0, dropped_ = 0;
  raft::Term term_ = 0, taken_term_ = 0;
  bool broken_ = false;
  std::string wrong_;
};

}  // namespace

TEST_CASE("whatever happens to the disk, the raft log starts again with all that was acknowledged") {
  const char* asked = std::getenv("PANAL_SEEDS");
  const uint64_t seeds = asked && *asked ? std::strtoull(asked, nullptr, 10) : 2000;
  log::set_level(log::Level::kError);
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const std::string wrong = Trial(seed).run();
    CHECK_MESSAGE(wrong.empty(), "seed " << seed << ": " << wrong);
  }
  log::set_level(log::Level::kInfo);
}

}  // namespace panal
