// sys/disk/raft_files on real files: what a crash may leave, truncation, segments.
#include "sys/disk/raft_files.h"
#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/fd.h"
#include "ports/loop_test.h"
#undef CHECK
#include <doctest/doctest.h>

namespace panal {
namespace {

using raft::Entry;
using raft::EntryType;
using raft::Index;

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/panal-raft-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::vector<std::string> segments() const {
    std::vector<std::string> out;
    for (const auto& e : std::filesystem::directory_iterator(path))
      if (e.path().filename().string().starts_with("log-")) out.push_back(e.path());
    std::ranges::sort(out);
    return out;
  }
};

using test::ManualLoop;
struct Store {
  Folder& folder;
  ManualLoop loop;
  std::unique_ptr<raft::Disk> disk;
  explicit Store(Folder& f) : folder(f), disk(open_raft_files(loop, f.path)) {}
  raft::Persistent load() {
    auto p = disk->load();
    REQUIRE_MESSAGE(p.has_value(), p.error().message);
    return *p;
  }
  size_t acknowledged = 0;
  void append(Index from, std::vector<std::string> words, raft::Term term = 1) {
    std::vector<Entry> entries;
    for (auto& w : words) entries.push_back({term, EntryType::kCommand, w});
    disk->append(from, entries, raft::Disk::When::kLater,
                 [this](Result<> r) { acknowledged += r.has_value(); });
  }
  void write(Index from, std::vector<std::string> words, raft::Term term = 1) {
    append(from, std::move(words), term), loop.run();
  }
};

std::string text(const raft::Persistent& p) {
  std::string out = std::to_string(p.log_start) + ":";
  for (const auto& e : p.entries) out += " " + e.data;
  return out;
}
raft::Snapshot snapshot_at(Index index) { return {index, 1, {{1, "a", raft::Role::kVoter}}, 1, "state"}; }

}  // namespace

TEST_CASE("an empty folder is an empty log") {
  Folder f;
  Store s(f);
  const auto p = s.load();
  CHECK(p.term == 0);
  CHECK(p.vote == 0);
  CHECK(!p.snapshot.has_value());
  CHECK(text(p) == "1:");
}

TEST_CASE("what was acknowledged is there after reopening, and appending goes on") {
  Folder f;
  {
    Store s(f);
    s.load();
    REQUIRE(s.disk->save_vote(3, 2).has_value());
    s.write(1, {"a", "b"}), s.write(3, {"c"}, 3);
    CHECK(s.acknowledged == 2);
  }
  {
    Store s(f);
    const auto p = s.load();
    CHECK(p.term == 3);
    CHECK(p.vote == 2);
    CHECK(text(p) == "1: a b c");
    CHECK(p.entries[2].term == 3);
    s.write(4, {"d"});
  }
  Store s(f);
  CHECK(text(s.load()) == "1: a b c d");
}

TEST_CASE("entries of any bytes and kinds come back") {
  Folder f;
  std::string bytes(1000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  {
    Store s(f);
    s.load();
    s.disk->append(1, {{1, EntryType::kChange, bytes}, {2, EntryType::kBarrier, ""}}, raft::Disk::When::kNow,
                   [](Result<> r) { CHECK(r.has_value()); });
  }
  Store s(f);
  const auto p = s.load();
  REQUIRE(p.entries.size() == 2);
  CHECK(p.entries[0] == Entry{1, EntryType::kChange, bytes});
  CHECK(p.entries[1] == Entry{2, EntryType::kBarrier, ""});
}

TEST_CASE("a lower index cuts the log there, also across reopening") {
  Folder f;
  {
    Store s(f);
    s.load();
    s.write(1, {"a", "b", "c", "d"}), s.write(3, {"x"}, 2), s.write(4, {"y"}, 2);
  }
  {
    Store s(f);
    CHECK(text(s.load()) == "1: a b x y");
    s.write(2, {"z"}, 3);
  }
  Store s(f);
  CHECK(text(s.load()) == "1: a z");
}

TEST_CASE("a write on its way when its log is closed tells nobody") {
  Folder f;
  Store s(f);
  s.load();
  s.append(1, {"a"});
  s.disk.reset();
  s.loop.run();
  CHECK(s.acknowledged == 0);
}

TEST_CASE("an append without entries is acknowledged after what came before it") {
  Folder f;
  Store s(f);
  s.load();
  s.append(1, {"a"});
  s.append(2, {});
  CHECK(s.acknowledged == 0);
  s.loop.run();
  CHECK(s.acknowledged == 2);
  s.append(2, {});
  s.loop.run();
  CHECK(s.acknowledged == 3);
}

TEST_CASE("a torn tail is cut off at any byte, and the log goes on after it") {
  Folder whole;
  size_t first = 0;
  {
    Store s(whole);
    s.load();
    s.write(1, {"first"});
    first = read_file(whole.segments()[0])->size();
    s.write(2, {"second"});
  }
  const std::string data = *read_file(whole.segments()[0]);
  for (size_t cut = 0; cut < data.size(); ++cut) {
    Folder f;
    REQUIRE(write_file(f.path + "/log-0000000000000001", data.substr(0, cut)).has_value());
    {
      Store s(f);
      const auto p = s.load();
      CHECK(p.entries.size() == (cut >= first ? 1 : 0));
      s.write(p.log_start + p.entries.size(), {"next"});
    }
    Store s(f);
    const auto p = s.load();
    REQUIRE(!p.entries.empty());
    CHECK(p.entries.back().data == "next");
  }
}

TEST_CASE("a flipped byte in the tail of the last segment is a torn tail") {
  Folder f;
  {
    Store s(f);
    s.load();
    s.write(1, {"a"}), s.write(2, {"b"});
  }
  std::string data = *read_file(f.segments()[0]);
  data.back() = static_cast<char>(data.back() ^ 1);
  REQUIRE(write_file(f.segments()[0], data).has_value());
  Store s(f);
  CHECK(text(s.load()) == "1: a");
}

TEST_CASE("damage in the middle of the log is an error, never silence") {
  Folder f;
  {
    Store s(f);
    s.load();
    s.write(1, {"a", "b", "c"});
    REQUIRE(s.disk->save_snapshot(snapshot_at(2), false).has_value());
    s.write(4, {"d"});
  }
  REQUIRE(f.segments().size() == 2);
  std::string data = *read_file(f.segments()[0]);
  data[data.size() / 2] = static_cast<char>(data[data.size() / 2] ^ 1);
  REQUIRE(write_file(f.segments()[0], data).has_value());
  Store s(f);
  CHECK(!s.disk->load().has_value());
}

TEST_CASE("a damaged byte before sound records of the last segment is not taken for a torn tail") {
  Folder f;
  {
    Store s(f);
    s.load();
    for (Index i = 1; i <= 20; ++i) s.write(i, {"acknowledged"});
  }
  std::string data = *read_file(f.segments()[0]);
  data[12] = static_cast<char>(data[12] ^ 1);
  REQUIRE(write_file(f.segments()[0], data).has_value());
  Store s(f);
  CHECK(!s.disk->load().has_value());
}

TEST_CASE("a new segment with each snapshot; dropping the prefix deletes whole segments only") {
  Folder f;
  {
    Store s(f);
    s.load();
    s.write(1, {"a", "b", "c"});
    REQUIRE(s.disk->save_snapshot(snapshot_at(3), false).has_value());
    s.write(4, {"d", "e"});
    REQUIRE(s.disk->save_snapshot(snapshot_at(5), false).has_value());
    s.write(6, {"f"});
    CHECK(f.segments().size() == 3);
    s.disk->drop_prefix(2);
    CHECK(f.segments().size() == 3);
    s.disk->drop_prefix(3);
    CHECK(f.segments().size() == 2);
  }
  Store s(f);
  const auto p = s.load();
  CHECK(text(p) == "4: d e f");
  REQUIRE(p.snapshot.has_value());
  CHECK(p.snapshot->index == 5);
  CHECK(p.snapshot->data == "state");
}

TEST_CASE("truncation into an older segment survives reopening and dropping") {
  Folder f;
  {
    Store s(f);
    s.load();
    s.write(1, {"a", "b", "c", "d"});
    REQUIRE(s.disk->save_snapshot(snapshot_at(2), false).has_value());
    s.write(5, {"e"});
    s.write(3, {"x"}, 2);
    REQUIRE(s.disk->save_snapshot(snapshot_at(3), false).has_value());
    s.write(4, {"y"}, 2);
  }
  {
    Store s(f);
    CHECK(text(s.load()) == "1: a b x y");
    s.disk->drop_prefix(3);
    s.write(5, {"z"}, 2);
  }
  Store s(f);
  const auto p = s.load();
  REQUIRE(p.entries.size() >= 2);
  CHECK(p.log_start + p.entries.size() == 6);
  CHECK(p.entries.back().data == "z");
  CHECK(p.entries[p.entries.size() - 2].data == "y");
}

TEST_CASE("an install empties the log, also with a write under way") {
  Folder f;
  {
    Store s(f);
    s.load();
    s.write(1, {"a", "b"});
    s.append(3, {"late"});
    s.append(4, {"later"});
    REQUIRE(s.disk->save_snapshot(snapshot_at(50), true).has_value());
    s.append(51, {"new"});
    s.loop.run();
    CHECK(s.acknowledged == 2);  // the first, and the one after the install
  }
  Store s(f);
  const auto p = s.load();
  CHECK(text(p) == "51: new");
  CHECK(p.snapshot->index == 50);
}

TEST_CASE("an install without anything after it leaves a log that starts behind the snapshot") {
  Folder f;
  {
    Store s(f);
    s.load();
    s.write(1, {"a"});
    REQUIRE(s.disk->save_snapshot(snapshot_at(9), true).has_value());
  }
  Store s(f);
  CHECK(text(s.load()) == "10:");
}

TEST_CASE("appends are acknowledged in order and none before it is written") {
  Folder f;
  Store s(f);
  s.load();
  std::vector<int> order;
  for (int i = 0; i < 5; ++i)
    s.disk->append(static_cast<Index>(i + 1), {{1, EntryType::kCommand, "x"}}, raft::Disk::When::kLater,
                   [&order, i](Result<>) { order.push_back(i); });
  CHECK(order.empty());
  s.loop.run();
  CHECK(order == std::vector<int>{0, 1, 2, 3, 4});
}

TEST_CASE("a damaged vote or snapshot is an error") {
  {
    Folder f;
    REQUIRE(write_file(f.path + "/vote", "garbage").has_value());
    CHECK(!Store(f).disk->load().has_value());
  }
  Folder f;
  REQUIRE(write_file(f.path + "/snapshot", "garbage").has_value());
  CHECK(!Store(f).disk->load().has_value());
}

TEST_CASE("only the owner may read the folder") {
  Folder f;
  f.path += "/deeper";
  Store s(f);
  s.load();
  REQUIRE(s.disk->save_vote(1, 1).has_value());
  s.write(1, {"secret"});
  struct stat st{};
  REQUIRE(::stat(f.path.c_str(), &st) == 0);
  CHECK((st.st_mode & 077) == 0);
  REQUIRE(::stat(f.segments()[0].c_str(), &st) == 0);
  CHECK((st.st_mode & 077) == 0);
  std::filesystem::remove_all(f.path);
  f.path = f.path.substr(0, f.path.rfind('/'));
}

TEST_CASE("under unbroken load a segment ends, too, and nothing of the log is lost") {
  Folder f;
  std::string last;
  Index next = 1;
  {
    Store s(f);
    (void)s.load();
    const auto add = [&] { s.append(next++, {last = std::to_string(next) + std::string(8 << 20, 'x')}); };
    add();
    while (next < 22) {  // one is always on its way when the next comes
      add();
      s.loop.run_one();
    }
    s.loop.run();
    CHECK(s.acknowledged == next - 1);
  }
  CHECK(f.segments().size() > 1);
  Store s(f);
  const auto p = s.load();
  CHECK(p.log_start == 1);
  REQUIRE(p.entries.size() == next - 1);
  CHECK(p.entries.back().data == last);
}

}  // namespace panal
