#include "node/logs/log_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "node/logs/logs.h"
#include "ports/loop_test.h"
#undef CHECK
#include <doctest/doctest.h>

namespace panal {
namespace {

namespace fs = std::filesystem;

using test::NowLoop;
// conmon as far as its log goes: it writes to what it has open and turns it over by name.
struct Monitor {
  NowLoop loop;
  std::string dir, path;
  Fd fd;
  int written = 0;
  Monitor() {
    char name[] = "/tmp/panal-log-files-XXXXXX";
    dir = ::mkdtemp(name), path = dir + "/container.log";
  }
  ~Monitor() { fs::remove_all(dir); }
  void start() {
    fd = Fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(static_cast<bool>(fd));
  }
  void write(int lines) {
    for (int i = 0; i < lines; ++i)
      REQUIRE(write_all(fd.get(),
                        "2026-11-20T16:57:59.000000001+00:00 stdout F " + std::to_string(++written) + "\n")
                  .has_value());
  }
  void turn() {
    const std::string fresh = path + ".tmp";
    fd = Fd(::open(fresh.c_str(), O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(static_cast<bool>(fd));
    REQUIRE(::rename(fresh.c_str(), path.c_str()) == 0);
  }
  std::string numbers() const {
    std::string out;
    for (const auto& s : log_segments(path))
      out +=
          (out.empty() ? "" : " ") + std::to_string(s.number) + (s.packed ? "z" : "") + (s.live ? "*" : "");
    return out;
  }
  bool advance(LogReader& reader) {
    bool more = false;
    Scope scope;
    const auto run = [&]() -> Task<void> { more = co_await reader.advance(loop); };
    scope.spawn(run());
    return more;
  }
  std::vector<int> rest(LogReader& reader) {
    std::vector<int> out;
    do
      while (auto l = reader.next()) out.push_back(std::atoi(l->text.c_str()));
    while (advance(reader));
    return out;
  }
  std::vector<int> tail(size_t lines) {
    LogReader reader(path);
    Scope scope;
    const auto run = [&]() -> Task<void> {
      REQUIRE((co_await reader.seek_tail(loop, lines, [](const LogLine&) { return true; })).has_value());
    };
    scope.spawn(run());
    return rest(reader);
  }
  std::vector<int> all() {
    LogReader reader(path);
    return rest(reader);
  }
  static std::vector<int> from_to(int first, int last) {
    std::vector<int> out;
    for (int i = first; i <= last; ++i) out.push_back(i);
    return out;
  }
};

const LogLimits kThree{1000, 3, false};

}  // namespace

TEST_CASE("log files: each turn leaves the last one in place, the oldest go") {
  Monitor m;
  REQUIRE(prepare_log(m.path, kThree).has_value());
  m.start();
  m.write(2);
  CHECK(m.numbers() == "1*");
  for (int turn = 2; turn <= 5; ++turn) {
    m.turn();
    log_turned(m.path, kThree, Hole::kDropOlder);
    m.write(2);
  }
  CHECK(m.numbers() == "3 4 5*");
  CHECK(m.all() == Monitor::from_to(5, 10));
  CHECK(m.tail(3) == Monitor::from_to(8, 10));
  CHECK(m.tail(0).empty());
  CHECK(m.tail(99) == Monitor::from_to(5, 10));
}

TEST_CASE("log files: a turn on its way is left alone, also one that found no link") {
  Monitor m;
  REQUIRE(prepare_log(m.path, kThree).has_value());
  m.start();
  m.write(2), m.turn(), m.write(2);
  const std::string fresh = m.path + ".tmp";
  m.fd = Fd(::open(fresh.c_str(), O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC,
                   0600));  // conmon's second turn, halfway
  log_turned(m.path, kThree, Hole::kDropOlder);
  REQUIRE(::rename(fresh.c_str(), m.path.c_str()) == 0);  // conmon ends itself when this fails
  m.write(2);
  log_turned(m.path, kThree, Hole::kKeepOlder);
  CHECK(m.all() == Monitor::from_to(1, 6));
}

TEST_CASE("log files: one turn while no daemon looks loses nothing") {
  Monitor m;
  REQUIRE(prepare_log(m.path, kThree).has_value());
  m.start();
  m.write(2), m.turn(), m.write(2);
  CHECK(m.all() == Monitor::from_to(1, 4));  // also before the daemon has done its part
  log_turned(m.path, kThree, Hole::kKeepOlder);
  m.turn(), m.write(1);
  log_turned(m.path, kThree, Hole::kKeepOlder);
  CHECK(m.numbers() == "1 2 3*");
  CHECK(m.all() == Monitor::from_to(1, 5));
}

TEST_CASE("log files: many turns while no daemon looks leave the last, and a number is left out") {
  Monitor m;
  REQUIRE(prepare_log(m.path, kThree).has_value());
  m.start();
  for (int i = 0; i < 6; ++i) m.write(2), m.turn();
  m.write(2);
  CHECK(m.numbers() == "1 2 4*");
  CHECK(m.all() == std::vector<int>{1, 2, 3, 4, 13, 14});
  log_turned(m.path, kThree, Hole::kKeepOlder);
  CHECK(m.numbers() == "1 2 4*");
  m.turn(), m.write(1);
  log_turned(m.path, kThree, Hole::kKeepOlder);
  CHECK(m.numbers() == "2 4 5*");
  CHECK(m.all() == std::vector<int>{3, 4, 13, 14, 15});
}

TEST_CASE("log files: turns faster than a living daemon leave the end without a hole") {
  Monitor m;
  REQUIRE(prepare_log(m.path, kThree).has_value());
  m.start();
  for (int i = 0; i < 6; ++i) m.write(2), m.turn();
  m.write(2);
  log_turned(m.path, kThree, Hole::kDropOlder);
  CHECK(m.all() == Monitor::from_to(13, 14));
}

TEST_CASE("log files: a follower goes on across turns") {
  Monitor m;
  REQUIRE(prepare_log(m.path, kThree).has_value());
  m.start();
  m.write(1);
  LogReader reader(m.path);
  CHECK(m.rest(reader) == Monitor::from_to(1, 1));
  m.write(2), m.turn(), m.write(2);
  log_turned(m.path, kThree, Hole::kDropOlder);
  CHECK(m.rest(reader) == Monitor::from_to(2, 5));
  CHECK(m.rest(reader).empty());
  for (int i = 0; i < 5; ++i) {
    m.write(2), m.turn();
    log_turned(m.path, kThree, Hole::kDropOlder);
  }
  m.write(1);
  CHECK(m.rest(reader).back() == m.written);
  // Turns it has slept through: it goes on with the oldest that is left.
  LogReader late(m.path);
  REQUIRE(m.advance(late));
  const int first = std::atoi(late.next()->text.c_str());
  for (int i = 0; i < 5; ++i) {
    m.write(2), m.turn();
    log_turned(m.path, kThree, Hole::kDropOlder);
  }
  const auto rest = m.rest(late);
  CHECK(rest.front() == first + 1);  // of the file it holds
  CHECK(rest.back() == m.written);
}

TEST_CASE("log files: a restart goes on in the same file, or in the next when that is half full") {
  Monitor m;
  const LogLimits two{400, 2, false};
  REQUIRE(prepare_log(m.path, two).has_value());
  m.start();
  m.write(2);
  REQUIRE(prepare_log(m.path, two).has_value());
  m.start();
  m.write(5);
  CHECK(m.numbers() == "1*");
  REQUIRE(prepare_log(m.path, two).has_value());
  m.start();
  m.write(1);
  CHECK(m.numbers() == "1 2*");
  CHECK(m.all() == Monitor::from_to(1, 8));
  m.turn();
  log_turned(m.path, two, Hole::kDropOlder);
  CHECK(m.numbers() == "2 3*");
}

TEST_CASE(
    "log files: one file is kept when only one is wanted; a plain file of an older daemon is taken over") {
  Monitor m;
  m.start();
  m.write(3);
  CHECK(m.numbers() == "1*");
  const LogLimits one{100, 1, false};
  REQUIRE(prepare_log(m.path, one).has_value());
  m.start();
  m.write(1);
  CHECK(m.numbers() == "2*");
  m.turn(), m.write(1);
  log_turned(m.path, one, Hole::kDropOlder);
  CHECK(m.numbers() == "3*");
  CHECK(m.all() == Monitor::from_to(5, 5));
}

TEST_CASE("log files: packed ones are read and counted like others") {
  Monitor m;
  const LogLimits packed{1000, 4, true};
  REQUIRE(prepare_log(m.path, packed).has_value());
  m.start();
  for (int i = 0; i < 4; ++i) {
    m.write(3), m.turn();
    log_turned(m.path, packed, Hole::kDropOlder);
    while (const auto next = log_to_pack(m.path, packed)) REQUIRE(pack_log(*next).has_value());
  }
  m.write(1);
  CHECK(m.numbers() == "2z 3z 4z 5*");
  CHECK(m.all() == Monitor::from_to(4, 13));
  CHECK(m.tail(5) == Monitor::from_to(9, 13));
  // A crash between packing and removing leaves both.
  REQUIRE(write_file(m.path + ".4", "half").has_value());
  CHECK(m.numbers() == "2z 3z 4z 5*");
}

TEST_CASE("log files: a place that was noted is found again") {
  Monitor m;
  REQUIRE(prepare_log(m.path, kThree).has_value());
  m.start();
  m.write(3);
  LogReader reader(m.path);
  REQUIRE(m.advance(reader));
  (void)reader.next(), (void)reader.next();
  const auto place = reader.place();
  m.turn(), m.write(1);
  log_turned(m.path, kThree, Hole::kDropOlder);
  LogReader again(m.path);
  Scope scope;
  const auto run = [&]() -> Task<void> { co_await again.seek(m.loop, place); };
  scope.spawn(run());
  CHECK(m.rest(again) == Monitor::from_to(3, 4));
}

}  // namespace panal
