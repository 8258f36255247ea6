// A group of replicas on a table for tests: the real core, disks in memory, one queue of messages, virtual
// time.
#pragma once
#include "raft/replica.h"

#undef CHECK
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "raft/codec.h"
#include "sys/raft/libraft_core.h"

namespace panal::raft::test {

/// How many seeds a storm runs; PANAL_SEEDS=2000 for the long run.
inline uint64_t storm_seeds() {
  const char* asked = std::getenv("PANAL_SEEDS");
  return asked && *asked ? std::strtoull(asked, nullptr, 10) : 25;
}

struct MemoryDisk final : Disk {
  Persistent stable;
  std::deque<std::function<void()>> late;  // appends that are not durable yet
  size_t snapshots = 0;

  Result<Persistent> load() override { return stable; }
  Result<> save_vote(Term term, Id vote) override {
    CHECK(term >= stable.term);
    CHECK((term > stable.term || stable.vote == 0 || vote == stable.vote));
    stable.term = term, stable.vote = vote;
    return {};
  }
  void write(Index from, const std::vector<Entry>& entries) {
    REQUIRE(from >= stable.log_start);
    REQUIRE(from <= stable.log_start + stable.entries.size());
    stable.entries.resize(from - stable.log_start);
    stable.entries.insert(stable.entries.end(), entries.begin(), entries.end());
  }
  void append(Index from, std::vector<Entry> entries, When when,
              std::function<void(Result<>)> done) override {
    if (when == When::kNow) {
      write(from, entries);
      return done({});
    }
    late.push_back([this, from, entries = std::move(entries), done = std::move(done)] {
      write(from, entries);
      done({});
    });
  }
  Result<> save_snapshot(const Snapshot& s, bool reset) override {
    ++snapshots;
    stable.snapshot = s;
    if (reset) stable.entries.clear(), stable.log_start = s.index + 1, late.clear();
    return {};
  }
  void drop_prefix(Index index) override {
    const auto n = static_cast<long>(std::min<size_t>(stable.entries.size(), index + 1 - stable.log_start));
    stable.entries.erase(stable.entries.begin(), stable.entries.begin() + n), stable.log_start = index + 1;
  }
};

struct Words final : StateMachine {
  std::vector<std::string> words;
  Result<> apply(Index, const std::string& command) override {
    if (command == "no") return fail(Code::kInvalid, "refused");
    words.push_back(command);
    return {};
  }
  std::string snapshot() override {
    std::string out;
    for (const auto& w : words) out += w + "\n";
    return out;
  }
  Result<> restore(const std::string& data) override {
    words.clear();
    for (size_t at = 0, end; (end = data.find('\n', at)) != std::string::npos; at = end + 1)
      words.push_back(data.substr(at, end - at));
    return {};
  }
};

inline std::string address(Id id) { return "192.0.2." + std::to_string(id) + ":2377"; }

struct Member {
  MemoryDisk disk;
  Words machine;
  std::unique_ptr<Replica> replica;  // null: crashed
};

struct Group {
  std::map<Id, Member> servers;
  std::deque<Message> wire;
  std::set<Id> cut;      // nobody hears them, they hear nobody
  std::set<Id> stalled;  // their disks take their time
  std::function<bool(const Message&)> lose = [](const Message&) { return false; };
  std::set<std::pair<Term, Id>> leaders;
  uint64_t now = 1000;

  Member& at(Id id) { return servers[id]; }
  Replica& operator[](Id id) { return *servers.at(id).replica; }
  void boot(Id id, const Configuration& bootstrap = {}) {
    build(id);
    REQUIRE(at(id).replica->start(now, bootstrap).has_value());
  }
  void build(Id id) {
    auto& s = at(id);
    s.machine.words.clear();
    s.replica = std::make_unique<Replica>(
        make_libraft_core({id, address(id), static_cast<uint32_t>(id * 77), 1000, 100}), id, s.disk,
        s.machine, [this, id](Message m) {
          if (m.from == 0) m.from = id;
          wire.push_back(std::move(m));
        });
  }
  void crash(Id id) {
    at(id).replica.reset();
    at(id).disk.late.clear();
  }
  void form(Id count) {
    boot(1, {{1, address(1), Role::kVoter}});
    wait([&] { return (*this)[1].ready(); });
    for (Id id = 2; id <= count; ++id) add(id, Role::kStandby), add(id, Role::kVoter);
  }
  void add(Id id, Role role) {
    if (!at(id).replica) boot(id);
    std::optional<Result<Index>> done;
    wait([&] { return leader() && (*this)[leader()].ready(); });
    (*this)[leader()].change(now, {id, address(id), role}, false, [&](Result<Index> r) { done = r; });
    wait([&] { return done.has_value(); });
    REQUIRE_MESSAGE(done->has_value(), done->error().message);
    wait([&] { return (*this)[id].applied() == (*this)[leader()].applied(); });
  }

  bool deliver() {
    if (wire.empty()) return false;
    Message m = std::move(wire.front());
    wire.pop_front();
    // As it would travel: through bytes.
    auto back = decode_batch(encode_batch({m}));
    REQUIRE(back.has_value());
    Message in = back->at(0);
    in.address = address(in.from);
    if (cut.contains(m.from) || cut.contains(m.to) || lose(m)) return true;
    auto it = servers.find(m.to);
    if (it == servers.end() || !it->second.replica) return true;
    it->second.replica->receive(now, in);
    return true;
  }
  void step() {
    for (auto& [id, s] : servers) {
      while (s.replica && !s.disk.late.empty() && !stalled.contains(id)) {
        auto write = std::move(s.disk.late.front());
        s.disk.late.pop_front();
        write();
      }
    }
    for (int i = 0; i < 2000 && deliver(); ++i) {
    }
    for (auto& [id, s] : servers) {
      if (!s.replica) continue;
      REQUIRE_MESSAGE(!s.replica->failed(), s.replica->failure());
      if (s.replica->leader()) leaders.insert({s.replica->term(), id});
    }
    std::set<Term> terms;
    for (const auto& [term, id] : leaders)
      CHECK_MESSAGE(terms.insert(term).second, "two leaders in term " << term);
  }
  void tick() {
    const uint64_t before = std::exchange(now, now + 10);
    for (auto& [id, s] : servers)
      if (s.replica && s.replica->next_tick_ms(before) <= now) s.replica->tick(now);
    step();
  }
  void wait(const std::function<bool()>& until, int ticks = 3000) {
    step();
    for (int i = 0; i < ticks; ++i) {
      if (until()) return;
      tick();
    }
    FAIL("waited in vain");
  }
  Id leader() {
    Id found = 0;
    Term best = 0;
    for (auto& [id, s] : servers)
      if (s.replica && !cut.contains(id) && s.replica->leader() && s.replica->term() > best)
        found = id, best = s.replica->term();
    return found;
  }
  void settle() {
    wait([&] { return leader() && (*this)[leader()].ready(); });
  }
  Result<Index> write(const std::string& word) {
    for (int i = 0; i < 20; ++i) {
      settle();
      std::optional<Result<Index>> done;
      (*this)[leader()].propose(now, word, [&](Result<Index> r) { done = r; });
      wait([&] { return done.has_value(); });
      if (*done || word == "no") return *done;
    }
    return fail(Code::kTimeout, "no leader took the write");
  }
  void agree(const std::set<Id>& ids) {
    settle();
    wait([&] {
      return leader() && std::ranges::all_of(ids, [&](Id id) {
               return (*this)[id].applied() == (*this)[leader()].last_index();
             });
    });
    for (const Id id : ids) CHECK(at(id).machine.words == at(*ids.begin()).machine.words);
  }
};

}  // namespace panal::raft::test
