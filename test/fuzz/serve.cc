// A whole connection to the API's HTTP server, several requests one after the other: every exchange ends,
// whatever its handler does. The first byte chooses what the handler does and the size of the pieces.
#include "sys/http/server.h"
#include "wire.h"

using namespace panal;

namespace {

Task<void> handle(HttpExchange& http, uint8_t how) {
  MUST(!http.request().method.empty());
  switch (how % 5) {
    case 0: {
      auto body = co_await http.body(1000);
      MUST(!body || body->size() <= 1000);
      co_await http.reply(body ? 200 : 413, body.value_or("too large"));
      break;
    }
    case 1: {
      http.add_header("X-A", "b");
      (void)co_await http.begin(200, "application/json");
      for (;;) {
        auto piece = co_await http.read_body();
        if (!piece || piece->empty()) break;
        (void)co_await http.write(*piece);
      }
      (void)co_await http.end();
      break;
    }
    case 2: {
      auto raw = co_await http.hijack("application/vnd.docker.raw-stream");
      if (!raw) break;
      std::array<char, 64> chunk;
      for (;;) {
        auto n = co_await (*raw)->read(chunk);
        if (!n || *n == 0) break;
        (void)co_await (*raw)->write({chunk.data(), *n});
      }
      break;
    }
    case 3:
      co_await http.reply(http.request().flag("all") ? 200 : 404,
                          http.request().param("q") + http.request().header("host"));
      break;
    default:
      break;  // no answer at all
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const uint8_t how = data[0];
  on_loop([&](AsioLoop& loop) -> Task<void> {
    FuzzStream stream(loop, std::string(as_text(data + 1, size - 1)), how & 128 ? 5 : 16384);
    const std::function<Task<void>(HttpExchange&)> handler = [&](HttpExchange& http) {
      return handle(http, how & 127);
    };
    co_await serve_http(stream, "fuzz", handler);
  });
  return 0;
}
