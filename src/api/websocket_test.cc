#include "api/websocket.h"

#include <doctest/doctest.h>

namespace panal {
namespace {

std::string masked(int opcode, std::string text) {
  std::string frame = websocket_frame(opcode, text);
  const size_t head = frame.size() - text.size();
  frame[1] = static_cast<char>(frame[1] | 0x80);
  for (size_t i = 0; i < text.size(); ++i)
    frame[head + i] = static_cast<char>(frame[head + i] ^ "mask"[i % 4]);
  return frame.insert(head, "mask");
}

}  // namespace

TEST_CASE("websocket: the key of the specification's example") {
  CHECK(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("websocket: frames of every size, byte by byte") {
  for (const size_t size : {0u, 1u, 125u, 126u, 70'000u}) {
    const std::string text(size, 'x'), frame = masked(2, text);
    WebSocketParser parser;
    for (size_t i = 0; i + 1 < frame.size(); ++i) {
      parser.feed(frame.substr(i, 1));
      if (i < 20 || i + 20 > frame.size()) REQUIRE(!parser.next().value());
    }
    parser.feed(frame.substr(frame.size() - 1));
    const auto message = parser.next().value();
    REQUIRE(message.has_value());
    CHECK(message->payload == text);
    CHECK(!parser.next().value());
  }
}

TEST_CASE("websocket: kinds, and what is refused") {
  WebSocketParser parser;
  parser.feed(masked(9, "ping") + masked(8, ""));
  CHECK(parser.next().value()->kind == WebSocketParser::Kind::kPing);
  CHECK(parser.next().value()->kind == WebSocketParser::Kind::kClose);
  WebSocketParser plain;
  plain.feed(websocket_frame(2, "not masked"));
  CHECK(!plain.next());
  WebSocketParser big;
  big.feed(masked(2, std::string(2 << 20, 'x')).substr(0, 100));
  CHECK(big.next().error().code == Code::kTooLarge);
}

}  // namespace panal
