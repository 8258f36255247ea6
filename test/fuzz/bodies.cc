// JSON bodies of the API and what the store keeps: what is accepted is written to a text that is accepted
// again and stays the same.
#include "fuzz.h"
#include "model/cluster_json.h"
#include "store/store.h"

using namespace panal;

namespace {

template <class T>
void stable(std::string_view text) {
  const auto value = from_text<T>(text);
  if (!value) {
    MUST(!value.error().message.empty());
    return;
  }
  const std::string once = to_text(*value);
  const auto again = from_text<T>(once);
  MUST(again.has_value());
  MUST(to_text(*again) == once);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const auto text = as_text(data + 1, size - 1);
  switch (data[0] % 8) {
    case 0:
      stable<ContainerConfig>(text);
      break;
    case 1:
      stable<HostConfig>(text);
      break;
    case 2:
      stable<ServiceSpec>(text);
      break;
    case 3:
      stable<NodeSpec>(text);
      break;
    case 4:
      stable<Endpoint>(text);
      break;
    case 5:
      stable<ClusterTask>(text);
      break;
    case 6:
      if (const auto c = decode_command(std::string(text))) {
        const auto back = decode_command(encode(*c));
        MUST(back.has_value());
        MUST(encode(*back) == encode(*c));
        Store s;
        (void)s.apply(1, *c);
        Store t;
        MUST(t.restore(s.snapshot()).has_value());
        MUST(t.hash() == s.hash());
      }
      break;
    default: {
      Store s;
      if (s.restore(std::string(text))) {
        Store t;
        MUST(t.restore(s.snapshot()).has_value());
        MUST(t.hash() == s.hash());
      }
    }
  }
  return 0;
}
