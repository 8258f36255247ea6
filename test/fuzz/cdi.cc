// Vendors' files of devices (CDI), JSON or YAML; and what is said of JSON that is broken.
#include "engine/devices/cdi.h"
#include "base/formats/json_complaint.h"
#include "base/formats/yaml.h"
#include "base/json.h"
#include "fuzz.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(as_text(data, size));
  if (const auto json = parse_yaml(text)) MUST(parse_json(dump(*json)));
  if (parse_json(text)) MUST(json_complaint(text).empty());
  const auto spec = parse_cdi(text);
  if (!spec) {
    MUST(!spec.error().message.empty());
    return 0;
  }
  MUST(!spec->devices.empty());
  for (const auto& [name, edits] : spec->devices) {
    MUST(!name.empty());
    for (const auto& m : edits.mounts) MUST(m.target[0] == '/' && !m.target.contains("/../"));
    for (const auto& n : edits.nodes) MUST(n.path[0] == '/');
  }
  return 0;
}
