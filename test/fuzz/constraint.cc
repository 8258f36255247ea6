// Placement constraints: what parses can be asked of any node.
#include "swarm/constraint.h"
#include "fuzz.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(as_text(data, size));
  const auto list = parse_constraints({text});
  if (!list) return 0;
  MUST(list->size() == 1);
  Node node;
  node.spec.labels = {{"zone", "a"}};
  Constraint other = list->at(0);
  other.equal = !other.equal;
  MUST(matches(list->at(0), node) != matches(other, node));
  return 0;
}
