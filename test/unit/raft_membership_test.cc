// raft/replica on the real core: who votes while the group's members change, and crashes in the middle of a
// change.
#include <random>

#include "raft_group.h"

namespace panal::raft {
using namespace test;

static Message vote_request(Id from, Id to, Term term, Index last, Term last_term, bool pre_vote = false) {
  Message m{.type = MessageType::kVote,
            .from = from,
            .to = to,
            .address = address(from),
            .term = term,
            .prev_index = last,
            .prev_term = last_term};
  m.pre_vote = pre_vote;
  return m;
}

// The answer of a server to one message.
static Message answer(Group& g, const Message& m) {
  g.wire.clear();
  g[m.to].receive(g.now, m);
  REQUIRE(g.wire.size() == 1);
  return std::exchange(g.wire, {}).front();
}

TEST_CASE("a manager that crashes before the second one knows of its vote leads again") {
  for (const bool knows_nothing : {false, true}) {
    CAPTURE(knows_nothing);
    Group g;
    g.form(1);
    (void)g.write("a");
    if (knows_nothing) g.boot(2), g.cut.insert(2);
    std::optional<Result<Index>> done;
    g[1].change(g.now, {2, address(2), Role::kStandby}, false, [&](Result<Index> r) { done = r; });
    g.wait([&] { return done.has_value(); });
    if (!knows_nothing) {
      g.boot(2);
      g.agree({1, 2});
      g.cut.insert(2);
    }
    g[1].change(g.now, {2, address(2), Role::kVoter}, false, [](Result<Index>) {});
    g.step();
    g.crash(1);
    g.cut.clear();
    g.boot(1);
    REQUIRE(!g[1].leader());  // it takes two votes now
    CHECK(g.write("b").has_value());
    g.agree({1, 2});
    CHECK(g[2].configuration() ==
          Configuration{{1, address(1), Role::kVoter}, {2, address(2), Role::kVoter}});
    g.crash(1), g.crash(2);
    g.boot(2), g.boot(1);
    CHECK(g.write("c").has_value());
  }
}

TEST_CASE(
    "who has no vote of its own votes as any other: once in a term, also across a restart, and not against "
    "its log or its leader") {
  for (const Id asked : {Id{2}, Id{3}}) {  // a standby; one that was never heard of
    CAPTURE(asked);
    Group g;
    g.form(1);
    (void)g.write("a"), (void)g.write("b");
    g.add(2, Role::kStandby);
    g.agree({1, 2});
    if (asked == 3) g.boot(3);
    const Term term = g[1].term();
    const Index last = g[asked].last_index();
    if (asked == 2) {
      CHECK(!answer(g, vote_request(9, 2, term + 5, last + 9, term)).granted);  // it hears its leader
      CHECK(g[2].term() == term);
    }
    g.crash(1);
    for (int i = 0; i < 300; ++i) g.tick();
    CHECK(g[asked].leader_id() == 0);
    if (asked == 2) {
      CHECK(!answer(g, vote_request(9, 2, term + 5, last - 1, term, true)).granted);
      CHECK(!answer(g, vote_request(9, 2, term + 5, last - 1, term)).granted);
      CHECK(!answer(g, vote_request(9, 2, term + 5, last + 9, term - 1)).granted);
    }
    CHECK(answer(g, vote_request(9, asked, term + 6, last, term, true)).granted);
    CHECK(answer(g, vote_request(8, asked, term + 6, last, term, true)).granted);  // that binds nobody
    CHECK(answer(g, vote_request(9, asked, term + 6, last, term)).granted);
    CHECK(g.at(asked).disk.stable.term == term + 6);
    CHECK(g.at(asked).disk.stable.vote == 9);
    CHECK(!answer(g, vote_request(8, asked, term + 6, last + 9, term + 1)).granted);
    g.crash(asked), g.boot(asked);
    CHECK(!answer(g, vote_request(8, asked, term + 6, last + 9, term + 1)).granted);
    CHECK(answer(g, vote_request(9, asked, term + 6, last, term)).granted);
    CHECK(!answer(g, vote_request(8, asked, term + 5, last + 9, term + 5)).granted);
    CHECK(answer(g, vote_request(8, asked, term + 7, last, term)).granted);
    g.crash(asked), g.build(asked);
    CHECK(g[asked].start_alone(g.now, address(asked)).has_value() ==
          (asked == 2));  // a vote is no cluster's state
  }
}

TEST_CASE("a standby that voted and then gets a vote of its own elects nobody else in that term") {
  Group g;
  g.form(1);
  g.add(2, Role::kStandby), g.add(3, Role::kStandby);
  g.cut = {2, 3};
  g[1].change(g.now, {2, address(2), Role::kVoter}, false, [](Result<Index>) {});
  g.step();
  g.crash(1);
  g.cut = {3};
  g.boot(1);
  g.settle();
  CHECK(g.at(2).disk.stable.vote == 1);
  const Term term = g[1].term();
  CHECK(g.at(2).disk.stable.term == term);
  g.cut.clear();
  g.agree({1, 2, 3});
  g.crash(1), g.crash(2);
  g.boot(2);
  CHECK(!answer(g, vote_request(3, 2, term, g[2].last_index() + 9, term)).granted);
  g.boot(1);
  CHECK(g.write("b").has_value());
}

// Its log would be ahead, so it would vote for nobody; without a vote it would not stand itself.
TEST_CASE("a manager is not told of its removal before the removal stands") {
  Group g;
  g.form(2);
  (void)g.write("a");
  g.agree({1, 2});
  const Id leader = g.leader(), other = 3 - leader;
  g.stalled.insert(leader);
  g[leader].change(g.now, {other, "", Role::kVoter}, true, [](Result<Index>) {});
  g[leader].propose(g.now, "lost", [](Result<Index>) {});
  for (int i = 0; i < 30; ++i) g.tick();
  CHECK(g.leader() == leader);  // it goes on being heard
  g.crash(leader);
  g.stalled.clear();
  g.boot(leader);
  CHECK(g.write("b").has_value());
  g.agree({1, 2});
  CHECK(g.at(1).machine.words == std::vector<std::string>{"a", "b"});
  CHECK(g[1].configuration().size() == 2);
}

TEST_CASE(
    "storms while members come and go: the group always finds a leader again, acknowledged writes stand") {
  for (uint64_t seed = 1; seed <= storm_seeds(); ++seed) {
    CAPTURE(seed);
    std::mt19937_64 dice(seed);
    Group g;
    g.form(1 + dice() % 3);
    Id newest = g.servers.rbegin()->first;
    std::set<Id> gone;  // for good, with their disks
    std::vector<std::string> acknowledged;
    g.lose = [&](const Message&) { return dice() % 10 == 0; };
    const auto any = [&] {
      return std::next(g.servers.begin(), static_cast<long>(dice() % g.servers.size()))->first;
    };
    for (int round = 0; round < 150; ++round) {
      const Id id = any();
      switch (dice() % 10) {
        case 0:
          if (g.at(id).replica) g.crash(id);
          break;
        case 1:
        case 2:
        case 3:
          if (!g.at(id).replica && !gone.contains(id)) g.boot(id);
          break;
        case 4:
          g.cut.insert(id);
          break;
        case 5:
          g.cut.clear();
          break;
        case 6:
          g.stalled.insert(id);
          break;
        case 7:
          g.stalled.clear();
          break;
        default:
          break;
      }
      const std::string word = std::to_string(round);
      for (auto& [who, s] : g.servers) {
        if (!s.replica || !s.replica->leader()) continue;
        s.replica->propose(g.now, word + "@" + std::to_string(who),
                           [&acknowledged, word, who](Result<Index> r) {
                             if (r) acknowledged.push_back(word + "@" + std::to_string(who));
                           });
        const auto configuration = s.replica->configuration();
        const Server& one = configuration[dice() % configuration.size()];
        if (dice() % 3 == 0 && one.id != who) {
          const bool remove = one.role == Role::kVoter;
          s.replica->change(g.now, {one.id, one.address, Role::kVoter}, remove,
                            [&gone, remove, id = one.id](Result<Index> r) {
                              if (r && remove) gone.insert(id);
                            });
        } else if (dice() % 3 == 0 && configuration.size() < 5) {
          s.replica->change(g.now, {newest + 1, address(newest + 1), Role::kStandby}, false,
                            [](Result<Index>) {});
          g.boot(++newest);
          break;  // the map has changed
        }
      }
      for (const Id id : gone) g.crash(id);
      for (uint64_t i = dice() % 40; i > 0; --i) g.tick();
    }
    g.lose = [](const Message&) { return false; };
    g.cut.clear(), g.stalled.clear();
    for (const Id id : gone) g.crash(id);
    for (auto& [id, s] : g.servers)
      if (!s.replica && !gone.contains(id)) g.boot(id);
    (void)g.write("end");
    std::set<Id> members;
    for (const auto& s : g[g.leader()].configuration()) members.insert(s.id);
    g.agree(members);
    const auto& words = g.at(*members.begin()).machine.words;
    const std::set<std::string> have(words.begin(), words.end());
    for (const auto& w : acknowledged) CHECK_MESSAGE(have.contains(w), w);
    for (auto& [id, s] : g.servers) s.replica.reset();
  }
}

}  // namespace panal::raft
