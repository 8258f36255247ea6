// An image reference that parses reads back from its printed forms as the same.
#include "image/reference.h"
#include "fuzz.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = as_text(data, size);
  (void)looks_like_id(text);
  const auto ref = parse_reference(text);
  if (!ref) return 0;
  MUST(parse_tagged(text).has_value());
  const auto same = [&](const std::string& form) {
    const auto back = parse_reference(form);
    MUST(back.has_value());
    MUST(back->full() == ref->full());
  };
  same(ref->full());
  // "docker.io/a.b/c" is shown as "a.b/c", which names a host; 64 hex digits name an id: Docker's own
  // ambiguities.
  const std::string head = ref->path.substr(0, ref->path.find('/'));
  if (ref->domain != "docker.io" ||
      (head.find('.') == std::string::npos && head != "localhost" && ref->familiar_name().size() != 64))
    same(ref->familiar());
  return 0;
}
