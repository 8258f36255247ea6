// Bytes from another manager or from a torn disk: decoded to what encodes to the same again, or an error.
#include "fuzz.h"
#include "raft/codec.h"
#include "sys/raft/libraft_core.h"

using namespace panal;
using namespace panal::raft;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(as_text(data, size));
  if (const auto batch = decode_batch(bytes)) {
    const auto again = decode_batch(encode_batch(*batch));
    MUST(again.has_value());
    MUST(encode_batch(*again) == encode_batch(*batch));
  }
  if (const auto write = decode_write(bytes)) {
    std::string all;
    for (const auto& [from, entries] : *write) all += encode_write(from, entries);
    const auto again = decode_write(all);
    MUST(again.has_value());
    MUST(*again == *write);
  }
  if (const auto snapshot = decode_snapshot(bytes))
    MUST(decode_snapshot(encode_snapshot(*snapshot)).has_value());
  static const auto core = make_libraft_core({1, "a", 1, 1000, 100});
  (void)core->decode(bytes);
  return 0;
}
