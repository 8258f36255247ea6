// sys/http/parser: the same message whatever pieces it comes in, and every end of a stream is an answer.
#include "sys/http/parser.h"

#undef CHECK
#include <doctest/doctest.h>

namespace panal {

static std::string read(HttpParser& parser, std::string_view text, size_t piece) {
  std::string body, buffer;
  for (size_t at = 0; at < text.size() && !parser.done();) {
    buffer += text.substr(at, piece), at += piece;
    for (;;) {
      const auto taken = parser.feed(buffer, [&](std::string_view b) { body += b; });
      REQUIRE(taken.has_value());
      buffer.erase(0, *taken);
      if (*taken == 0 || buffer.empty()) break;
    }
  }
  return body;
}

TEST_CASE("a chunked request in pieces of any size") {
  const std::string text =
      "POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Thing:  v \r\nTransfer-Encoding: "
      "chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    HttpParser p(HttpParser::Kind::kRequest);
    CHECK(read(p, text, piece) == "hello world");
    CHECK(p.done());
    CHECK(p.head().method == "POST");
    CHECK(p.head().target == "/a?b=c");
    CHECK(p.head().chunked);
    CHECK(p.head().keep_alive);
    CHECK(p.head().fields.at(1) == std::pair<std::string, std::string>{"x-thing", "v"});
  }
}

TEST_CASE("an empty chunked body, and one with trailers, in pieces of any size") {
  for (const std::string end : {"0\r\n\r\n", "0\r\nA: b\r\n\r\n", "00;x=y\r\n\r\n"}) {
    const std::string text = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + end;
    for (size_t piece = 1; piece <= text.size(); ++piece) {
      HttpParser p(HttpParser::Kind::kRequest);
      CHECK(read(p, text, piece).empty());
      CHECK(p.done());
    }
  }
}

TEST_CASE("lengths, upgrades and bodies that end with the stream") {
  HttpParser p(HttpParser::Kind::kRequest);
  CHECK(read(p, "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcEXTRA", 1000) == "abc");
  CHECK(p.done());
  HttpParser up(HttpParser::Kind::kRequest);
  read(up, "POST /attach HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", 7);
  CHECK(up.head().upgrade);
  HttpParser reply(HttpParser::Kind::kResponse);
  CHECK(read(reply, "HTTP/1.0 200 OK\r\n\r\nuntil the end", 4) == "until the end");
  CHECK(!reply.done());
  CHECK(reply.finish().has_value());
  CHECK(reply.head().status == 200);
}

TEST_CASE("a stream that ends too early is an error, also before its first byte") {
  for (const auto* text :
       {"", "GET", "GET / HTTP/1.1\r\nHost", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"}) {
    HttpParser p(HttpParser::Kind::kRequest);
    read(p, text, 1000);
    CHECK_MESSAGE(!p.finish().has_value(), std::string(text));
  }
  HttpParser reply(HttpParser::Kind::kResponse);
  CHECK(!reply.finish().has_value());
}

TEST_CASE("what is no HTTP, and headers without end, are refused") {
  for (const auto& text :
       {std::string("\x16\x03\x01 tls hello\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
        "GET / HTTP/1.1\r\nA: " + std::string(100'000, 'a') + "\r\n\r\n"}) {
    HttpParser p(HttpParser::Kind::kRequest);
    CHECK_MESSAGE(!p.feed(text, [](std::string_view) {}).has_value(), text.substr(0, 40));
  }
  std::string many = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 300; ++i) many += "a: b\r\n";
  HttpParser p(HttpParser::Kind::kRequest);
  CHECK(!p.feed(many + "\r\n", [](std::string_view) {}).has_value());
}

}  // namespace panal
