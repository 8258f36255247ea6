// raft/replica on the real core: elections, crashes, snapshots, changes of membership, storms.
#include <random>

#include "raft_group.h"

namespace panal::raft {
using namespace test;

TEST_CASE("one manager alone: leads at once, acknowledges what is durable") {
  Group g;
  g.form(1);
  CHECK(g.write("a").has_value());
  CHECK(g.at(1).machine.words == std::vector<std::string>{"a"});
  const auto refused = g.write("no");
  REQUIRE(!refused.has_value());
  CHECK(refused.error().message == "refused");
  const Term term = g[1].term();
  g.crash(1);
  g.boot(1);
  g.settle();
  CHECK(g[1].term() > term);
  CHECK(g.at(1).machine.words == std::vector<std::string>{"a"});
}

TEST_CASE("three managers elect, write, and lose no acknowledged write with their leader") {
  Group g;
  g.form(3);
  for (int i = 0; i < 20; ++i) CHECK(g.write("w" + std::to_string(i)).has_value());
  const Id first = g.leader();
  const size_t written = g.at(first).machine.words.size();
  g.crash(first);
  CHECK(g.write("after").has_value());
  CHECK(g.leader() != first);
  g.boot(first);
  g.agree({1, 2, 3});
  CHECK(g.at(first).machine.words.size() == written + 1);
}

TEST_CASE("a minority writes nothing and forgets what it tried") {
  Group g;
  g.form(3);
  (void)g.write("a");
  const Id old = g.leader();
  g.cut.insert(old);
  std::optional<Result<Index>> done;
  g[old].propose(g.now, "lost", [&](Result<Index> r) { done = r; });
  CHECK(g.write("b").has_value());
  g.wait([&] { return done.has_value(); });
  CHECK(!done->has_value());
  g.cut.clear();
  g.agree({1, 2, 3});
  CHECK(g.at(old).machine.words == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a configuration that is none, from a peer or the disk, is not taken and breaks nothing") {
  const std::string word(7, '\0');
  const std::string one = std::string("\x01\x01") + word + std::string("\x07\0\0\0\0\0\0\0", 8);
  std::vector<std::string> bad = {"",
                                  "x",
                                  "\x01",
                                  std::string("\x01\xff") + word,
                                  one,
                                  one + "address",
                                  one + std::string("address\0", 8),
                                  one + std::string("address\0\x09", 9)};
  std::string twice = std::string("\x01\x02") + word;
  for (const char* address : {"a", "b"})
    twice += std::string("\x07\0\0\0\0\0\0\0", 8) + address + std::string("\0\x01", 2);
  bad.push_back(twice);
  for (const auto& data : bad) {
    Group g;
    g.form(3);
    (void)g.write("a");
    const Id leader = g.leader(), follower = leader == 1 ? 2 : 1;
    g.agree({1, 2, 3});
    const Index last = g[follower].last_index();
    Message m{.type = MessageType::kAppend,
              .from = leader,
              .to = follower,
              .address = address(leader),
              .term = g[leader].term(),
              .prev_index = last,
              .prev_term = g[leader].term(),
              .commit = last};
    m.entries = {{g[leader].term(), EntryType::kChange, data}};
    g[follower].receive(g.now, m);
    CHECK(g[follower].last_index() == last);
    (void)g.write("b");
    g.agree({1, 2, 3});
    g.crash(follower);
    auto& stable = g.at(follower).disk.stable;
    stable.entries.push_back({stable.term, EntryType::kChange, data});
    g.build(follower);
    CHECK(!g.at(follower).replica->start(g.now, {}).has_value());
  }
}

TEST_CASE("a snapshot whose configuration names a server twice is not taken") {
  Group g;
  g.form(3);
  (void)g.write("a");
  g.agree({1, 2, 3});
  const Id leader = g.leader(), follower = leader == 1 ? 2 : 1;
  Message m{.type = MessageType::kInstall,
            .from = leader,
            .to = follower,
            .address = address(leader),
            .term = g[leader].term()};
  m.snapshot = {g[leader].last_index() + 100,
                g[leader].term(),
                {{1, "a", Role::kVoter}, {1, "b", Role::kVoter}},
                1,
                "x\n"};
  g[follower].receive(g.now, m);
  CHECK(!g[follower].failed());
  CHECK(g.at(follower).machine.words == std::vector<std::string>{"a"});
  (void)g.write("b");
  g.agree({1, 2, 3});
}

TEST_CASE("a replica that stops tells whoever waits, and takes part no more") {
  Group g;
  g.form(3);
  const Id first = g.leader();
  std::optional<Result<Index>> waiting, late, change;
  g.lose = [](const Message&) { return true; };
  g[first].propose(g.now, "a", [&](Result<Index> r) { waiting = r; });
  CHECK(!waiting.has_value());
  g[first].stop();
  REQUIRE(waiting.has_value());
  CHECK(!waiting->has_value());
  CHECK(!g[first].leader());
  g[first].propose(g.now, "b", [&](Result<Index> r) { late = r; });
  g[first].change(g.now, {9, address(9), Role::kStandby}, false, [&](Result<Index> r) { change = r; });
  REQUIRE(late.has_value());
  CHECK(!late->has_value());
  REQUIRE(change.has_value());
  CHECK(!change->has_value());
  g.lose = [](const Message&) { return false; };
  g.crash(first);
  CHECK(g.write("c").has_value());
}

TEST_CASE("a write to a follower is refused, not lost") {
  Group g;
  g.form(3);
  const Id follower = g.leader() == 1 ? 2 : 1;
  std::optional<Result<Index>> done;
  g[follower].propose(g.now, "x", [&](Result<Index> r) { done = r; });
  REQUIRE(done.has_value());
  REQUIRE(!done->has_value());
  CHECK(done->error().message == "raft: not the leader");
}

TEST_CASE("a manager that missed entries catches up though answers to the leader get lost") {
  for (const int kind : {0, 1, 2}) {
    Group g;
    g.form(3);
    (void)g.write("a");
    const Id behind = g.leader() == 3 ? 2 : 3;
    g.cut.insert(behind);
    for (int i = 0; i < 30; ++i) (void)g.write("b");
    g.cut.clear();
    // The first answers of the one that lags never arrive, or the first appends to it.
    int left = 12;
    g.lose = [&](const Message& m) {
      const bool hit = kind == 0   ? m.from == behind && m.type == MessageType::kAppendResult
                       : kind == 1 ? m.to == behind && m.type == MessageType::kAppend
                                   : m.from == behind || m.to == behind;
      return hit && left-- > 0;
    };
    (void)g.write("c"), (void)g.write("d");
    g.agree({1, 2, 3});
  }
}

TEST_CASE("a new leader that keeps writing brings a lagging manager along") {
  Group g;
  g.form(3);
  const Id first = g.leader();
  const Id behind = first == 3 ? 2 : 3;
  g.cut.insert(behind);
  for (int i = 0; i < 10; ++i) (void)g.write("a");
  g.crash(first);
  g.cut.clear();
  g.boot(first);
  // The one that lags answers the new leader's first appends into the void.
  std::set<Term> heard;
  int left = 6;
  g.lose = [&](const Message& m) {
    return m.from == behind && m.type == MessageType::kAppendResult && m.rejected != 0 && left-- > 0;
  };
  for (int i = 0; i < 5; ++i) (void)g.write("b");
  g.agree({1, 2, 3});
}

TEST_CASE("a follower that lags too far gets the snapshot, and a restart finds it") {
  Group g;
  g.form(3);
  const Id behind = g.leader() == 3 ? 2 : 3;
  g.crash(behind);
  for (size_t i = 0; i < Retention{}.snapshot_every + 200; ++i) {
    const Id l = g.leader();
    g[l].propose(g.now, "w" + std::to_string(i), [](Result<Index>) {});
    if (i % 100 == 99) g.tick();
  }
  (void)g.write("last");
  CHECK(g.at(g.leader()).disk.snapshots > 0);
  CHECK(g[g.leader()].entry(1) == nullptr);
  g.boot(behind);
  g.agree({1, 2, 3});
  CHECK(g.at(behind).disk.stable.snapshot.has_value());
  CHECK(g.at(behind).machine.words.size() == Retention{}.snapshot_every + 201);
  for (const Id id : {1, 2, 3}) g.crash(id);
  for (const Id id : {1, 2, 3}) g.boot(id);
  (void)g.write("again");
  g.agree({1, 2, 3});
  CHECK(g.at(behind).machine.words.back() == "again");
  CHECK(g.at(behind).machine.words.size() == Retention{}.snapshot_every + 202);
}

TEST_CASE("entries from the log's beginning that come late change nothing behind a snapshot") {
  Group g;
  std::vector<Message> early;  // with entries, from the very first on
  g.lose = [&](const Message& m) {
    if (m.type == MessageType::kAppend && m.prev_index == 0 && !m.entries.empty()) early.push_back(m);
    return false;
  };
  g.form(3);
  for (size_t i = 0; i < Retention{}.snapshot_every + 300; ++i) {
    g[g.leader()].propose(g.now, "w" + std::to_string(i), [](Result<Index>) {});
    if (i % 100 == 99) g.tick();
  }
  (void)g.write("last");
  g.agree({1, 2, 3});
  REQUIRE(!early.empty());
  for (auto m : early) {
    REQUIRE(g[m.to].entry(1) == nullptr);  // its snapshot has cut it off
    const auto last = g[m.to].last_index();
    m.term = g[m.to].term(), m.from = g.leader();
    if (m.to == m.from) continue;
    g[m.to].receive(g.now, m);
    CHECK(g[m.to].last_index() == last);
  }
  (void)g.write("after");
  g.agree({1, 2, 3});
  for (const Id id : {1, 2, 3}) CHECK(g.at(id).machine.words.size() == Retention{}.snapshot_every + 302);
}

TEST_CASE("a crash between a received snapshot and the emptied log is repaired at start") {
  Group g;
  g.form(1);
  for (int i = 0; i < 5; ++i) (void)g.write("a");
  g.crash(1);
  auto& p = g.at(1).disk.stable;
  // As if a snapshot of index 100 had been written and the old log not yet deleted.
  p.snapshot = Snapshot{100, 3, {{1, address(1), Role::kVoter}}, 1, "x\ny\n"};
  p.term = std::max<Term>(p.term, 3);
  g.boot(1);
  g.settle();
  CHECK(g.at(1).machine.words == std::vector<std::string>{"x", "y"});
  CHECK(g.write("z").value() > 100);
}

static void leave_traces_on_the_stack() {
  volatile char traces[4096];
  for (size_t i = 0; i < sizeof traces; ++i) traces[i] = 7;
}

TEST_CASE("who refuses a leader of an earlier term claims nothing that its log does not hold") {
  Group g;
  g.form(3);
  (void)g.write("a");
  g.agree({1, 2, 3});
  const Id leader = g.leader(), follower = leader == 1 ? 2 : 1;
  const Term term = g[follower].term();
  Message append{.type = MessageType::kAppend,
                 .from = leader,
                 .to = follower,
                 .address = address(leader),
                 .term = term - 1,
                 .prev_index = 1,
                 .prev_term = 1,
                 .commit = 1};
  Message from_the_start = append, install = append;
  from_the_start.prev_index = from_the_start.prev_term = 0;
  install.type = MessageType::kInstall, install.snapshot = {2, 1, g[leader].configuration(), 1, "a\n"};
  for (const auto& m : {append, from_the_start, install}) {
    g.wire.clear();
    leave_traces_on_the_stack();
    g[follower].receive(g.now, m);
    REQUIRE(g.wire.size() == 1);
    CHECK(g.wire[0].term == term);
    CHECK(g.wire[0].last_index == (g.wire[0].rejected ? g[follower].last_index() : 0));
  }
}

TEST_CASE("members come as standbys, vote when promoted, and leave") {
  Group g;
  g.form(1);
  (void)g.write("a");
  g.add(2, Role::kStandby);
  CHECK(g[1].configuration().size() == 2);
  g.crash(2);
  CHECK(g.write("b").has_value());  // a standby is not needed for a majority
  g.boot(2);
  g.add(2, Role::kVoter), g.add(3, Role::kStandby), g.add(3, Role::kVoter);
  g.agree({1, 2, 3});
  const Id l = g.leader();
  const Id leaves = l == 2 ? 3 : 2;
  std::optional<Result<Index>> done;
  g[l].change(g.now, {leaves, "", Role::kVoter}, true, [&](Result<Index> r) { done = r; });
  g.wait([&] { return done.has_value(); });
  CHECK(done->has_value());
  g.crash(leaves);
  CHECK(g.write("c").has_value());
  CHECK(g[l].configuration().size() == 2);
  done.reset();
  g[g.leader()].change(g.now, {99, "", Role::kVoter}, true, [&](Result<Index> r) { done = r; });
  REQUIRE(done.has_value());
  CHECK(done->has_value());  // removing who is not there has happened
}

TEST_CASE("adding a manager that votes already takes no vote away") {
  Group g;
  g.form(3);
  const Id l = g.leader();
  const Configuration before = g[l].configuration();
  std::optional<Result<Index>> done;
  g[l].change(g.now, {l == 2 ? 3u : 2u, address(l == 2 ? 3 : 2), Role::kStandby}, false,
              [&](Result<Index> r) { done = r; });
  REQUIRE(done.has_value());
  CHECK(done->has_value());
  CHECK(g[l].configuration() == before);
}

TEST_CASE("a leader that removes itself hands over") {
  Group g;
  g.form(3);
  (void)g.write("a");
  const Id l = g.leader();
  std::optional<Result<Index>> done;
  g[l].change(g.now, {l, "", Role::kVoter}, true, [&](Result<Index> r) { done = r; });
  g.wait([&] { return done.has_value() && g.leader() != 0 && g.leader() != l; });
  g.crash(l);
  CHECK(g.write("b").has_value());
  CHECK(g[g.leader()].configuration().size() == 2);
}

TEST_CASE("two changes of membership at once: the second is told to wait") {
  Group g;
  g.form(3);
  g.boot(4), g.boot(5);
  const Id l = g.leader();
  std::optional<Result<Index>> one, two;
  g[l].change(g.now, {4, address(4), Role::kStandby}, false, [&](Result<Index> r) { one = r; });
  g[l].change(g.now, {5, address(5), Role::kStandby}, false, [&](Result<Index> r) { two = r; });
  REQUIRE(two.has_value());
  REQUIRE(!two->has_value());
  CHECK((two->error().code == Code::kConflict));
  g.wait([&] { return one.has_value(); });
  CHECK(one->has_value());
}

TEST_CASE("a change of membership in the middle of a batch lands under its own index") {
  Group g;
  g.form(3);
  const Id l = g.leader();
  const Id behind = l == 3 ? 2 : 3;
  g.cut.insert(behind);
  g.boot(4);
  for (int i = 0; i < 5; ++i) (void)g.write("a");
  std::optional<Result<Index>> done;
  g[l].change(g.now, {4, address(4), Role::kStandby}, false, [&](Result<Index> r) { done = r; });
  g.wait([&] { return done.has_value(); });
  REQUIRE(done->has_value());
  for (int i = 0; i < 5; ++i) (void)g.write("b");
  g.cut.clear();
  g.agree({1, 2, 3, 4});
  CHECK(g[behind].configuration() == g[l].configuration());
  // The one that got it in a batch can lead and change the group again.
  const Id other = 6 - l - behind;
  g.crash(behind);
  g.boot(behind);
  g.wait([&] { return g[behind].applied() == g[g.leader()].last_index(); });
  g[g.leader()].transfer(g.now, behind);
  g.wait([&] { return g.leader() == behind && g[behind].ready(); }, 500);
  done.reset();
  g[behind].change(g.now, {4, address(4), Role::kVoter}, false, [&](Result<Index> r) { done = r; });
  g.wait([&] { return done.has_value(); });
  CHECK(done->has_value());
  g.crash(other);
  CHECK(g.write("c").has_value());
}

TEST_CASE("force-new-cluster keeps what the log holds and leads alone") {
  Group g;
  g.form(3);
  for (int i = 0; i < 5; ++i) (void)g.write("a" + std::to_string(i));
  g.agree({1, 2, 3});
  const Id survivor = g.leader() == 1 ? 2 : 1;
  for (const Id id : {1, 2, 3}) g.crash(id);
  g.build(survivor);
  REQUIRE(g[survivor].start_alone(g.now, "192.0.2.77:2377").has_value());
  g.wait([&] { return g[survivor].ready(); });
  CHECK(g.at(survivor).machine.words.size() == 5);
  CHECK(g[survivor].configuration() == Configuration{{survivor, "192.0.2.77:2377", Role::kVoter}});
  CHECK(g.write("b").has_value());
  g.add(9, Role::kStandby), g.add(9, Role::kVoter);
  g.agree({survivor, 9});
  MemoryDisk empty;
  Words machine;
  Replica fresh(make_libraft_core({1, address(1), 1, 1000, 100}), 1, empty, machine, [](Message) {});
  CHECK(!fresh.start_alone(0, address(1)).has_value());
}

TEST_CASE("large writes travel in several messages") {
  Group g;
  g.form(3);
  const Id behind = g.leader() == 3 ? 2 : 3;
  g.cut.insert(behind);
  for (int i = 0; i < 12; ++i) (void)g.write(std::string(300'000, static_cast<char>('a' + i)));
  g.cut.clear();
  size_t largest = 0;
  g.lose = [&](const Message& m) {
    size_t bytes = 0;
    for (const auto& e : m.entries) bytes += e.data.size();
    largest = std::max(largest, bytes);
    return false;
  };
  g.agree({1, 2, 3});
  CHECK(largest > 0);
  CHECK(largest <= Replica::kMaxMessageBytes);
}

TEST_CASE("storms of crashes, cuts and losses: acknowledged writes stand, all agree in the end") {
  for (uint64_t seed = 1; seed <= storm_seeds(); ++seed) {
    CAPTURE(seed);
    std::mt19937_64 dice(seed);
    Group g;
    g.form(3);
    std::vector<std::string> acknowledged;
    g.lose = [&](const Message&) { return dice() % 10 == 0; };
    for (int round = 0; round < 120; ++round) {
      const Id id = 1 + dice() % 3;
      switch (dice() % 8) {
        case 0:
          if (g.at(id).replica) g.crash(id);
          break;
        case 1:
        case 2:
          if (!g.at(id).replica) g.boot(id);
          break;
        case 3:
          g.cut.insert(id);
          break;
        case 4:
          g.cut.clear();
          break;
        default:
          break;
      }
      const std::string word = std::to_string(round);
      for (auto& [who, s] : g.servers)
        if (s.replica && s.replica->leader())
          s.replica->propose(g.now, word + "@" + std::to_string(who),
                             [&acknowledged, word, who](Result<Index> r) {
                               if (r) acknowledged.push_back(word + "@" + std::to_string(who));
                             });
      for (uint64_t i = dice() % 40; i > 0; --i) g.tick();
    }
    g.lose = [](const Message&) { return false; };
    g.cut.clear();
    for (const Id id : {1, 2, 3})
      if (!g.at(id).replica) g.boot(id);
    (void)g.write("end");
    g.agree({1, 2, 3});
    const auto& words = g.at(1).machine.words;
    const std::set<std::string> have(words.begin(), words.end());
    CHECK(have.size() == words.size());
    for (const auto& w : acknowledged) CHECK_MESSAGE(have.contains(w), w);
    for (auto& [id, s] : g.servers) s.replica.reset();
  }
}

}  // namespace panal::raft
