// YAML, for files that hold one or the other. One document; mappings with text keys; no aliases (they
// can blow a small file up to any size) and no tags of one's own. Plain words are read as YAML 1.1 has them.
#pragma once
#include <string_view>

#include "base/json.h"

namespace panal {

Result<Json> parse_yaml(std::string_view text);

}  // namespace panal
