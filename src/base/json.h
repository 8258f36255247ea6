// JSON for codecs. A type declares its fields once:
//
//   template <class A> void fields(A& a, Resources& r) { a("NanoCPUs", r.nano_cpus); a.opt("Pids", r.pids); }
//
// and is both written (JsonWriter) and read (JsonReader) from that declaration. `a(...)` is always written,
// `a.opt` only when it differs from the default. A reader collects the first error with its path;
// `a.refuse(name, why)` turns a non-empty field into an error that names it, so that no option is accepted
// and ignored. Include this header in .cc files only (it brings Boost.JSON).
#pragma once
#include <boost/json.hpp>

#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "base/text.h"

namespace panal {

using Json = boost::json::value;
using JsonObject = boost::json::object;
using JsonArray = boost::json::array;

inline std::string_view sv(const boost::json::string& s) { return {s.data(), s.size()}; }
inline std::string str(const Json& v) {
  return v.is_string() ? std::string(sv(v.get_string())) : std::string();
}

/// Parses with limits on depth (64); the message is what Docker's decoder would make of a broken body.
Result<Json> parse_json(std::string_view text);
std::string dump(const Json& value);
/// A field of that name, or else of the last that differs in upper and lower case only, as in Go; else null.
const Json* field_of(const JsonObject& object, std::string_view name);
/// null, false, 0, "", [] and {} all say "not asked for".
bool is_blank(const Json& value);

}  // namespace panal

#include "base/json_codec.h"

namespace panal {

template <class T>
Json to_json(const T& value) {
  return JsonWriter::to(const_cast<T&>(value));
}
template <class T>
Result<T> from_json(const Json& json) {
  T value{};
  std::optional<Error> error;
  static const JsonObject kEmpty;
  JsonReader reader(kEmpty, "", error);
  reader.from(json, value, "");
  if (error) return fail(std::move(*error));
  return value;
}
template <class T>
Result<T> from_text(std::string_view text) {
  TRY(Json json, parse_json(text));
  return from_json<T>(json);
}
template <class T>
std::string to_text(const T& value) {
  return dump(to_json(value));
}

}  // namespace panal
