// Frames of a client that attached by websocket: taken apart alike however they arrive.
#include "api/websocket.h"
#include "fuzz.h"

using namespace panal;

static std::string all_of(WebSocketParser& parser, std::string& out) {
  for (;;) {
    auto message = parser.next();
    if (!message) return message.error().message;
    if (!*message) return "";
    out += std::to_string(static_cast<int>((*message)->kind)) + (*message)->payload;
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = as_text(data, size);
  WebSocketParser whole, pieces;
  std::string from_whole, from_pieces, error;
  whole.feed(text);
  const std::string expected = all_of(whole, from_whole);
  for (size_t i = 0; i < size && error.empty(); ++i) {
    pieces.feed(text.substr(i, 1));
    error = all_of(pieces, from_pieces);
  }
  MUST(error == expected);
  MUST(from_pieces == from_whole);
  return 0;
}
