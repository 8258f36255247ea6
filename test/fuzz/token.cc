// Join tokens: what is accepted is what make_join_token() writes.
#include "fuzz.h"
#include "swarm/join_token.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(as_text(data, size));
  if (const auto token = parse_join_token(text)) {
    MUST(token->fingerprint.size() == 64);
    MUST(make_join_token(token->fingerprint, token->secret) == text);
  }
  return 0;
}
