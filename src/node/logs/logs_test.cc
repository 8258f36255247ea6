#include "node/logs/logs.h"

#include <cstdlib>
#include <filesystem>

#include "base/fd.h"
#include "ports/loop_test.h"
#undef CHECK
#include <doctest/doctest.h>

namespace panal {
namespace {

using test::NowLoop;
NowLoop now_loop;

template <class T>
T wait_for(Task<T> task) {
  std::optional<T> out;
  Scope scope;
  const auto run = [&]() -> Task<void> { out.emplace(co_await std::move(task)); };
  scope.spawn(run());
  return std::move(*out);
}

std::string rest_of(LogReader& reader) {
  std::string out;
  do
    while (auto l = reader.next()) out += l->text;
  while (wait_for(reader.advance(now_loop)));
  return out;
}

struct LogFile {
  std::string dir, path;
  LogFile() {
    char name[] = "/tmp/panal-logs-XXXXXX";
    dir = ::mkdtemp(name), path = dir + "/log";
    add("");
  }
  ~LogFile() { std::filesystem::remove_all(dir); }
  std::string content;
  void add(const std::string& text) {
    content += text;
    REQUIRE(write_file(path, content).has_value());
  }
  void line(const std::string& text, const char* stream = "stdout", char tag = 'F') {
    add("2026-11-20T16:57:59.000000001+00:00 " + std::string(stream) + " " + tag + " " + text + "\n");
  }
  std::string tail(
      size_t lines,
      const std::function<bool(const LogLine&)>& keep = [](const LogLine&) { return true; }) const {
    LogReader reader(path);
    REQUIRE(wait_for(reader.seek_tail(now_loop, lines, keep)).has_value());
    return rest_of(reader);
  }
};

}  // namespace

TEST_CASE("one line of conmon's") {
  const auto l = parse_log_line("2026-11-20T16:57:59.5+01:00 stderr F hello  world ");
  REQUIRE(l.has_value());
  CHECK(rfc3339(l->time) == "2026-11-20T15:57:59.5Z");
  CHECK(l->stream == 2);
  CHECK(l->text == "hello  world \n");
  CHECK(parse_log_line("2026-11-20T16:57:59Z stdout P part")->text == "part");
  CHECK(parse_log_line("2026-11-20T16:57:59Z stdout F ")->text == "\n");
  for (const auto* text :
       {"", "x", "2026-11-20T16:57:59Z", "2026-11-20T16:57:59Z stdout", "2026-11-20T16:57:59Z stdout F",
        "2026-11-20T16:57:59Z stdout FF x", "when stdout F x"})
    CHECK_MESSAGE(!parse_log_line(text), std::string(text));
}

TEST_CASE("a reader gives whole lines of a growing file") {
  LogFile f;
  LogReader r(f.path);
  CHECK(!r.next());
  f.line("one");
  CHECK(wait_for(r.advance(now_loop)));
  CHECK(r.next()->text == "one\n");
  CHECK(!r.next());
  f.add("2026-11-20T16:57:59Z stdout F half");
  CHECK(!r.next());
  f.add(" done\nnonsense\n");
  f.line("after");
  CHECK(r.next()->text == "half done\n");
  CHECK(r.next()->text == "after\n");
  LogReader none(f.dir + "/none");
  CHECK(!wait_for(none.advance(now_loop)));
}

TEST_CASE("lines longer than a block are whole") {
  LogFile f;
  f.line(std::string(200'000, 'x')), f.line("end");
  LogReader r(f.path);
  REQUIRE(wait_for(r.advance(now_loop)));
  CHECK(r.next()->text.size() == 200'001);
  CHECK(r.next()->text == "end\n");
  CHECK(f.tail(1) == "end\n");
  CHECK(f.tail(2).size() == 200'005);
}

TEST_CASE("the tail counts lines, with partial ones joined") {
  LogFile f;
  f.line("1"), f.line("2a", "stdout", 'P'), f.line("2b", "stdout", 'P'), f.line("2c"), f.line("3");
  CHECK(f.tail(0).empty());
  CHECK(f.tail(1) == "3\n");
  CHECK(f.tail(2) == "2a2b2c\n3\n");
  CHECK(f.tail(3) == "1\n2a2b2c\n3\n");
  CHECK(f.tail(99) == "1\n2a2b2c\n3\n");
  f.line("4 unfinished", "stdout", 'P');
  CHECK(f.tail(1) == "4 unfinished");
  CHECK(f.tail(2) == "3\n4 unfinished");
}

TEST_CASE("the tail counts what is kept only") {
  LogFile f;
  for (int i = 0; i < 6; ++i) f.line(std::to_string(i), i % 2 ? "stderr" : "stdout");
  const auto out = [](const LogLine& l) { return l.stream == 1; };
  CHECK(f.tail(1, out) == "4\n5\n");
  CHECK(f.tail(2, out) == "2\n3\n4\n5\n");
}

TEST_CASE("an interleaved stream does not break a partial line") {
  LogFile f;
  f.line("0"), f.line("a1", "stdout", 'P'), f.line("err", "stderr"), f.line("a2"), f.line("z");
  const auto out = [](const LogLine& l) { return l.stream == 1; };
  CHECK(f.tail(2, out) == "a1err\na2\nz\n");
}

TEST_CASE("tails across many blocks, each length") {
  LogFile f;
  std::string text;
  std::vector<std::string> lines;
  for (int i = 0; i < 5000; ++i) {
    lines.push_back(std::string(static_cast<size_t>(i * 7 % 90), 'x') + std::to_string(i));
    text += "2026-11-20T16:57:59.000000001+00:00 stdout F " + lines.back() + "\n";
  }
  f.add(text);
  for (const size_t n : {1u, 2u, 100u, 700u, 1500u, 4999u, 5000u, 5001u}) {
    std::string want;
    for (size_t i = n < lines.size() ? lines.size() - n : 0; i < lines.size(); ++i) want += lines[i] + "\n";
    CHECK_MESSAGE((f.tail(n) == want), n);
  }
}

TEST_CASE("a tail of a file whose last line is not whole yet") {
  LogFile f;
  f.line("1"), f.line("2");
  f.add("2026-11-20T16:57:59Z stdout F hal");
  CHECK(f.tail(1) == "2\n");
}

}  // namespace panal
