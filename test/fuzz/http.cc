// An HTTP message gives the same head and body whatever pieces it arrives in. The first byte chooses kind and
// pieces.
#include <algorithm>

#include "fuzz.h"
#include "sys/http/parser.h"

using namespace panal;

namespace {

struct Outcome {
  bool failed = false, done = false;
  std::string body, head;
  size_t taken = 0;
};

Outcome run(HttpParser::Kind kind, std::string_view text, unsigned seed) {
  HttpParser parser(kind);
  Outcome out;
  std::string buffer;
  size_t at = 0;
  for (int idle = 0; !parser.done() && idle < 3;) {
    const size_t piece = seed == 0 ? text.size() : 1 + (seed = seed * 1103515245u + 12345u, seed >> 16) % 40;
    const size_t before = buffer.size();
    buffer += text.substr(at, piece);
    at += buffer.size() - before;
    const auto taken = parser.feed(buffer, [&](std::string_view b) { out.body += b; });
    if (!taken) {
      out.failed = true;
      return out;
    }
    MUST(*taken <= buffer.size());
    buffer.erase(0, *taken);
    out.taken += *taken;
    idle = at == text.size() && *taken == 0 ? idle + 1 : 0;
  }
  out.done = parser.done();
  if (!out.done) (void)parser.finish();
  const auto& h = parser.head();
  MUST(h.fields.size() <= 256);
  if (parser.header_done()) {
    out.head = h.method + " " + h.target + " " + std::to_string(h.status) + (h.chunked ? "c" : "") +
               (h.upgrade ? "u" : "") + (h.keep_alive ? "k" : "") + (h.has_body ? "b" : "");
    for (const auto& [name, value] : h.fields) out.head += "\n" + name + ":" + value;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 100'000) return 0;
  const auto kind = data[0] & 1 ? HttpParser::Kind::kRequest : HttpParser::Kind::kResponse;
  const auto text = as_text(data + 1, size - 1);
  const Outcome whole = run(kind, text, 0), pieces = run(kind, text, 1u + data[0]);
  if (whole.failed || pieces.failed) return 0;  // where it gives up may differ by a piece
  MUST(whole.done == pieces.done);
  MUST(whole.body == pieces.body);
  MUST(whole.head == pieces.head);
  return 0;
}
