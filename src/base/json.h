// JSON for codecs. A type declares its fields once:
//
//   template <class A> void fields(A& a, Resources& r) { a("NanoCPUs", r.nano_cpus); a.opt("Pids", r.pids); }
//
// and is both written (JsonWriter) and read (JsonReader) from that declaration. `a(...)` is always written, `a.opt`
// only when it differs from the default. A reader collects the first error with its path; `a.refuse(name, why)` turns a
// non-empty field into an error that names it, so that no option is accepted and ignored.
// Include this header in .cc files only (it brings Boost.JSON).
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
inline std::string str(const Json& v) { return v.is_string() ? std::string(sv(v.get_string())) : std::string(); }

/// Parses with limits on depth (64); the message is what Docker's decoder would make of a broken body.
Result<Json> parse_json(std::string_view text);
std::string dump(const Json& value);
/// null, false, 0, "", [] and {} all say "not asked for".
bool is_blank(const Json& value);

template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E e, std::string_view s) {
  { name_of(e) } -> std::convertible_to<std::string_view>;
  { from_name(s, e) } -> std::same_as<bool>;
};

class JsonWriter {
 public:
  explicit JsonWriter(JsonObject& out) : out_(out) {}
  static constexpr bool kReading = false;

  template <class T>
  void operator()(std::string_view key, T& value) {
    out_[key] = to(value);
  }
  template <class T>
  void opt(std::string_view key, T& value) {
    // {"80/tcp": {}} says something, and so does an optional that holds a zero.
    if constexpr (requires { typename T::mapped_type; }) {
      if (!value.empty()) out_[key] = to(value);
    } else if constexpr (requires { value.has_value(); }) {
      if (value.has_value()) out_[key] = to(value);
    } else if (Json v = to(value); !is_blank(v)) {
      out_[key] = std::move(v);
    }
  }
  void refuse(std::string_view, std::string_view = {}) {}
  void ignore(std::string_view) {}

  template <class T>
  static Json to(T& value) {
    using U = std::remove_cv_t<T>;
    if constexpr (std::same_as<U, Json>) return value;
    else if constexpr (std::same_as<U, bool>) return Json(value);
    else if constexpr (std::same_as<U, uint64_t>) return Json(static_cast<uint64_t>(value));
    else if constexpr (std::integral<U>) return Json(static_cast<int64_t>(value));
    else if constexpr (std::floating_point<U>) return Json(static_cast<double>(value));
    else if constexpr (std::same_as<U, std::string>) return Json(std::string_view(to_utf8(value)));
    else if constexpr (NamedEnum<U>) return Json(std::string_view(name_of(value)));
    else if constexpr (requires { value.to_text(); }) return Json(std::string_view(value.to_text()));
    else if constexpr (requires { typename U::mapped_type; }) {
      JsonObject object;
      for (auto& [k, v] : value) object[key_text(k)] = to(v);
      return object;
    } else if constexpr (requires { value.has_value(); }) return value.has_value() ? to(*value) : Json(nullptr);
    else if constexpr (requires { value.push_back({}); }) {
      JsonArray array;
      for (auto&& v : value) array.push_back(to(v));
      return array;
    } else if constexpr (requires { typename U::element_type; }) return value ? to(*value) : Json(nullptr);
    else {
      JsonObject object;
      JsonWriter inner(object);
      fields(inner, const_cast<U&>(value));
      return object;
    }
  }
  template <class K>
  static std::string key_text(const K& key) {
    if constexpr (std::convertible_to<K, std::string>) return key;
    else return key.to_text();
  }

 private:
  JsonObject& out_;
};

class JsonReader {
 public:
  static constexpr bool kReading = true;
  JsonReader(const JsonObject& in, std::string path, std::optional<Error>& error) : in_(in), path_(std::move(path)), error_(error) {}

  template <class T>
  void operator()(std::string_view key, T& value) {
    if (error_) return;
    if (const Json* v = in_.if_contains(key); v && !v->is_null()) from(*v, value, path_.empty() ? std::string(key) : path_ + "." + std::string(key));
  }
  template <class T>
  void opt(std::string_view key, T& value) {
    (*this)(key, value);
  }
  /// A field known to Docker that Panal does not support: anything but "not asked for" is an error naming it.
  void refuse(std::string_view key, std::string_view why = {}) {
    if (error_) return;
    if (const Json* v = in_.if_contains(key); v && !is_blank(*v))
      error_ = Error{Code::kUnsupported, (path_.empty() ? std::string(key) : path_ + "." + std::string(key)) + " is not supported yet" +
                                         (why.empty() ? "" : ": " + std::string(why))};
  }
  void ignore(std::string_view) {}

  void mismatch(const std::string& path, std::string_view want) {
    if (!error_) error_ = Error{Code::kInvalid, "invalid JSON: field " + path + " must be " + std::string(want)};
  }

  template <class T>
  void from(const Json& v, T& value, const std::string& path) {
    if (error_ || v.is_null()) return;
    if constexpr (std::same_as<T, Json>) value = v;
    else if constexpr (std::same_as<T, bool>) {
      if (v.is_bool()) value = v.get_bool();
      else mismatch(path, "a boolean");
    } else if constexpr (std::integral<T>) {
      int64_t n = 0;
      if (v.is_int64()) n = v.get_int64();
      else if (v.is_uint64() && std::same_as<T, uint64_t>) return void(value = static_cast<T>(v.get_uint64()));
      else if (v.is_double() && v.get_double() == static_cast<double>(static_cast<int64_t>(v.get_double()))) n = static_cast<int64_t>(v.get_double());
      else return mismatch(path, "an integer");
      if (!std::in_range<T>(n)) return mismatch(path, "an integer in range");
      value = static_cast<T>(n);
    } else if constexpr (std::floating_point<T>) {
      if (v.is_double()) value = v.get_double();
      else if (v.is_int64()) value = static_cast<T>(v.get_int64());
      else mismatch(path, "a number");
    } else if constexpr (std::same_as<T, std::string>) {
      if (v.is_string()) value = std::string(sv(v.get_string()));
      else mismatch(path, "a string");
    } else if constexpr (NamedEnum<T>) {
      if (!v.is_string() || !from_name(sv(v.get_string()), value)) mismatch(path, "one of the known values");
    } else if constexpr (requires { T::from_text(std::string_view()); }) {
      if (!v.is_string()) return mismatch(path, "a string");
      value = T::from_text(sv(v.get_string()));
    } else if constexpr (requires { typename T::mapped_type; }) {
      if (!v.is_object()) return mismatch(path, "an object");
      value.clear();
      for (const auto& [k, item] : v.get_object()) {
        typename T::mapped_type element{};
        from(item, element, path + "." + std::string(k));
        value.emplace(key_from<typename T::key_type>(k), std::move(element));
      }
    } else if constexpr (requires { value.has_value(); value.emplace(); }) {
      value.emplace();
      from(v, *value, path);
    } else if constexpr (requires { value.push_back({}); }) {
      if (!v.is_array()) return mismatch(path, "an array");
      value.clear();
      for (const auto& item : v.get_array()) {
        typename T::value_type element{};
        from(item, element, path + "[" + std::to_string(value.size()) + "]");
        value.push_back(std::move(element));
      }
    } else if constexpr (requires { typename T::element_type; }) {
      value = std::make_unique<typename T::element_type>();
      from(v, *value, path);
    } else {
      if (!v.is_object()) return mismatch(path, "an object");
      JsonReader inner(v.get_object(), path, error_);
      fields(inner, value);
    }
  }
  template <class K>
  static K key_from(std::string_view key) {
    if constexpr (std::same_as<K, std::string>) return std::string(key);
    else return K::from_text(key);
  }

 private:
  const JsonObject& in_;
  std::string path_;
  std::optional<Error>& error_;
};

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
