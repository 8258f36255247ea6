// gRPC frames from a peer that may be anything: our side neither crashes nor keeps a stream waiting when the
// connection is gone. The first byte chooses our side, how many streams we open and the size of the pieces.
#include "sys/rpc/h2.h"
#include "wire.h"

using namespace panal;

namespace {

Task<void> talk(std::shared_ptr<H2Connection> connection, std::shared_ptr<H2Stream> stream, bool reply) {
  if (reply) connection->start_response(*stream);
  for (;;) {
    auto message = co_await connection->read(stream);
    if (!message || !*message) break;
    MUST((*message)->size() <= H2Limits{}.message_bytes);
    if (!co_await connection->write(stream, std::move(**message))) break;
  }
  if (reply)
    connection->reply(*stream, {});
  else
    connection->cancel(*stream);
}

Task<void> session(AsioLoop& loop, std::string_view text, uint8_t how) {
  const bool server = how & 1;
  // What every client begins with is not worth the fuzzer's time.
  std::string input = server ? "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" : "";
  input.append(std::string_view("\0\0\0\4\0\0\0\0\0", 9)).append(text);
  auto stream = std::make_shared<FuzzStream>(loop, std::move(input), how & 2 ? 7 : 16384);
  auto connection = std::make_shared<H2Connection>(
      loop, stream, server ? H2Connection::Side::kServer : H2Connection::Side::kClient);
  Scope scope;
  connection->on_stream = [&, c = connection.get()](std::shared_ptr<H2Stream> s) {
    scope.spawn([](AsioLoop& l, std::shared_ptr<H2Connection> k, std::shared_ptr<H2Stream> t) -> Task<void> {
      co_await l.yield();
      co_await talk(k, t, true);
    }(loop, c->shared_from_this(), std::move(s)));
  };
  for (int i = 0; !server && i < 1 + (how >> 2 & 3); ++i) {
    auto opened = connection->open("peer", "/panal/Method");
    MUST(opened.has_value());
    (void)co_await connection->write(*opened, "question");
    scope.spawn(talk(connection, *opened, false));
  }
  co_await connection->run();
  MUST(connection->closed());
  co_await scope.join();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const auto text = as_text(data + 1, size - 1);
  on_loop([&](AsioLoop& loop) { return session(loop, text, data[0]); });
  return 0;
}
