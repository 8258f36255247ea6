#include "build/transcript.h"

#include "ports/loop_test.h"
#undef CHECK
#include <doctest/doctest.h>

namespace panal {

// Takes all there is until the end, as the API's handler does.
static Task<void> gather(Transcript& transcript, std::string& out) {
  for (std::string text; !(text = co_await transcript.next()).empty();) out += text;
  out += "end";
}

TEST_CASE("stages that run side by side are told one after the other") {
  test::NowLoop loop;
  Transcript transcript(loop, 3, false);
  std::string out;
  Scope scope;
  scope.spawn(gather(transcript, out));
  const auto say = [&](size_t part, const char* text) { scope.spawn(transcript.say(part, text)); };
  say(1, "b1"), say(0, "a1");
  CHECK(out == Transcript::line("a1"));
  say(1, "b2"), transcript.end(1), say(0, "a2");
  CHECK(out == Transcript::line("a1") + Transcript::line("a2"));
  transcript.end(2), transcript.end(0);
  CHECK(out == Transcript::line("a1") + Transcript::line("a2") + Transcript::line("b1") +
                   Transcript::line("b2") + "end");
}

TEST_CASE("what waits for its turn is bounded, and nobody waits for a client that is gone") {
  test::NowLoop loop;
  Transcript transcript(loop, 2, false);
  Scope scope;
  int said = 0;
  const auto chatter = [&]() -> Task<void> {
    for (int i = 0; i < 100; ++i) {
      co_await transcript.say(1, std::string(64 << 10, 'x'));
      ++said;
    }
  };
  scope.spawn(chatter());
  CHECK(said < 30);
  transcript.abandon();
  CHECK(said == 100);
}

}  // namespace panal
