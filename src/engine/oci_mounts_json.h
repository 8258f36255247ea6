// The mounts of a container in the OCI runtime's configuration. Include in .cc files only.
#pragma once
#include "base/json.h"
#include "engine/oci.h"

namespace panal {

template <class T>
JsonArray strings(const T& list) {
  JsonArray out;
  for (const auto& s : list) out.push_back(Json(std::string_view(s)));
  return out;
}

JsonArray mounts_json(const Container& c, const OciInputs& in);

}  // namespace panal
