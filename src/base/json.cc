#include "base/json.h"

#include "base/formats/json_complaint.h"

#include <boost/json/src.hpp>

namespace panal {

Result<Json> parse_json(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = 64;
  boost::system::error_code error;
  Json value = boost::json::parse(boost::json::string_view(text.data(), text.size()), error, {}, options);
  if (error == boost::json::error::extra_data)
    return fail(Code::kInvalid, "invalid JSON: unexpected content after JSON");
  if (error) {
    const std::string complaint = json_complaint(text);
    return fail(Code::kInvalid, "invalid JSON: " + (complaint.empty() ? error.message() : complaint));
  }
  return value;
}

std::string dump(const Json& value) { return boost::json::serialize(value); }

const Json* field_of(const JsonObject& object, std::string_view name) {
  if (const Json* exact = object.if_contains(name)) return exact;
  const Json* found = nullptr;
  for (const auto& [key, value] : object)
    if (key.size() == name.size() && lower(std::string(key)) == lower(std::string(name))) found = &value;
  return found;
}

bool is_blank(const Json& v) {
  switch (v.kind()) {
    case boost::json::kind::null:
      return true;
    case boost::json::kind::bool_:
      return !v.get_bool();
    case boost::json::kind::int64:
      return v.get_int64() == 0;
    case boost::json::kind::uint64:
      return v.get_uint64() == 0;
    case boost::json::kind::double_:
      return v.get_double() == 0;
    case boost::json::kind::string:
      return v.get_string().empty();
    case boost::json::kind::array:
      return v.get_array().empty();
    case boost::json::kind::object:
      for (const auto& [key, item] : v.get_object())
        if (!is_blank(item)) return false;
      return true;
  }
  return true;
}

}  // namespace panal
