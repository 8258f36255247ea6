#include "base/json.h"

namespace panal {

PANAL_JSON_VALUES()

void JsonReader::refuse(std::string_view key, std::string_view why) {
  if (error_) return;
  const Json* v = field_of(in_, key);
  if (!v || is_blank(*v)) return;
  error_ =
      Error{Code::kUnsupported, (path_.empty() ? "" : path_ + ".") + std::string(key) +
                                    " is not supported yet" + (why.empty() ? "" : ": " + std::string(why))};
}

void JsonReader::mismatch(const std::string& path, std::string_view want) {
  if (!error_)
    error_ = Error{Code::kInvalid, "invalid JSON: field " + path + " must be " + std::string(want)};
}

}  // namespace panal
