// What a worker takes from its manager, message after message: what it then knows is written and read back as
// the same. An input is messages of two bytes' length each.
#include "swarm/assignments.h"
#include "fuzz.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  AssignmentView view("node1");
  for (size_t at = 0; at + 2 <= size;) {
    const size_t length = std::min<size_t>(data[at] << 8 | data[at + 1], size - at - 2);
    const std::string message(as_text(data + at + 2, length));
    at += 2 + length;
    if (!view.take(message)) break;
    const auto back = decode_assignments(encode(view.now()));
    MUST(back.has_value());
    MUST(encode(*back) == encode(view.now()));
  }
  return 0;
}
