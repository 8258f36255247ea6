// Image configs and manifests from archives and peers. Digests become file names: what passes names nothing
// but a digest.
#include "fuzz.h"
#include "image/config.h"
#include "image/reference.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(as_text(data, size));
  if (const auto m = parse_manifest(text)) {
    MUST(m->layer_digests.size() == m->layer_sizes.size());
    for (const auto& d : m->layer_digests) MUST(valid_digest(d));
    MUST(valid_digest(m->config_digest));
  }
  return 0;
}
