#include "raft/codec.h"

#include <doctest/doctest.h>

namespace panal::raft {

static Snapshot snapshot() {
  return {100, 7, {{1, "a:1", Role::kVoter}, {~0ull, "", Role::kStandby}}, 90, std::string("data\0more", 9)};
}
static bool same(const Snapshot& a, const Snapshot& b) {
  return a.index == b.index && a.term == b.term && a.configuration == b.configuration &&
         a.configuration_index == b.configuration_index && a.data == b.data;
}

TEST_CASE("messages of every type come back") {
  std::vector<Message> all;
  for (int type = 1; type <= 6; ++type) {
    Message m;
    m.type = static_cast<MessageType>(type), m.from = 1, m.to = ~0ull, m.term = 3, m.prev_index = 4,
    m.prev_term = 5, m.commit = 6, m.rejected = 7, m.last_index = 8;
    m.granted = type % 2, m.pre_vote = type % 3, m.disrupt = type == 4;
    if (m.type == MessageType::kAppend)
      m.entries = {{1, EntryType::kCommand, "x"},
                   {2, EntryType::kBarrier, std::string(8, '\0')},
                   {3, EntryType::kChange, ""}};
    if (m.type == MessageType::kInstall) m.snapshot = snapshot();
    all.push_back(m);
  }
  const auto back = decode_batch(encode_batch(all));
  REQUIRE(back.has_value());
  REQUIRE(back->size() == all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const Message &a = all[i], &b = back->at(i);
    CHECK((a.type == b.type && a.from == b.from && a.to == b.to && a.term == b.term &&
           a.prev_index == b.prev_index && a.prev_term == b.prev_term && a.commit == b.commit));
    CHECK((a.rejected == b.rejected && a.last_index == b.last_index && a.granted == b.granted &&
           a.pre_vote == b.pre_vote && a.disrupt == b.disrupt));
    CHECK(a.entries == b.entries);
    CHECK(same(a.snapshot, b.snapshot));
  }
  CHECK(decode_batch(encode_batch({}))->empty());
}

TEST_CASE("writes and snapshots come back") {
  const Entry e{5, EntryType::kChange, std::string("\0\xff", 2)};
  const auto r = decode_write(encode_write(42, {e, e}) + encode_write(43, {}));
  REQUIRE(r.has_value());
  CHECK(*r == std::vector<Append>{{42, {e, e}}, {43, {}}});
  const auto s = decode_snapshot(encode_snapshot(snapshot()));
  REQUIRE(s.has_value());
  CHECK(same(*s, snapshot()));
}

TEST_CASE("broken bytes and unknown types are errors") {
  CHECK(!decode_batch("\xff\xff\xff").has_value());
  CHECK(!decode_write("\xff").has_value());
  CHECK(!decode_write(encode_write(1, {{1, static_cast<EntryType>(4), ""}})).has_value());
  CHECK(!decode_snapshot("\xff\xff").has_value());
  Message m;
  m.type = static_cast<MessageType>(9);
  CHECK(!decode_batch(encode_batch({m})).has_value());
  m.type = MessageType::kAppend, m.entries = {{1, static_cast<EntryType>(4), ""}};
  CHECK(!decode_batch(encode_batch({m})).has_value());
  const std::string whole = encode_batch({Message{.type = MessageType::kAppend,
                                                  .from = 1,
                                                  .to = 2,
                                                  .entries = {{1, EntryType::kCommand, "0123456789"}}}});
  for (size_t size = 1; size + 1 < whole.size(); ++size)
    if (auto r = decode_batch(whole.substr(0, size))) CHECK(r->size() <= 1);
}

}  // namespace panal::raft
