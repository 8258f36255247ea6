// The two codecs of base/json.h, which includes this file.
#pragma once
#include <cmath>
#include <concepts>
#include <type_traits>

#include "base/json.h"

namespace panal {

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
  void operator()(std::string_view key, T& value);
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
  static Json to(T& value);
  template <class K>
  static std::string key_text(const K& key) {
    if constexpr (std::convertible_to<K, std::string>)
      return key;
    else
      return key.to_text();
  }

 private:
  JsonObject& out_;
};

class JsonReader {
 public:
  static constexpr bool kReading = true;
  JsonReader(const JsonObject& in, std::string path, std::optional<Error>& error)
      : in_(in), path_(std::move(path)), error_(error) {}

  template <class T>
  void operator()(std::string_view key, T& value);
  template <class T>
  void opt(std::string_view key, T& value) {
    (*this)(key, value);
  }
  /// A field known to Docker that Panal does not support: anything but "not asked for" is an error naming it.
  void refuse(std::string_view key, std::string_view why = {});
  void ignore(std::string_view) {}

  void mismatch(const std::string& path, std::string_view want);

  template <class T>
  void from(const Json& v, T& value, const std::string& path);
  template <class K>
  static K key_from(std::string_view key) {
    if constexpr (std::same_as<K, std::string>)
      return std::string(key);
    else
      return K::from_text(key);
  }

 private:
  const JsonObject& in_;
  std::string path_;
  std::optional<Error>& error_;
};

// Outside of the classes, so that they are not inline and `extern template` keeps them out of every file.
template <class T>
void JsonWriter::operator()(std::string_view key, T& value) {
  out_[key] = to(value);
}
template <class T>
Json JsonWriter::to(T& value) {
  using U = std::remove_cv_t<T>;
  if constexpr (std::same_as<U, Json>)
    return value;
  else if constexpr (std::same_as<U, bool>)
    return Json(value);
  else if constexpr (std::same_as<U, uint64_t>)
    return Json(static_cast<uint64_t>(value));
  else if constexpr (std::integral<U>)
    return Json(static_cast<int64_t>(value));
  else if constexpr (std::floating_point<U>)
    return Json(static_cast<double>(value));
  else if constexpr (std::same_as<U, std::string>)
    return Json(std::string_view(to_utf8(value)));
  else if constexpr (NamedEnum<U>)
    return Json(std::string_view(name_of(value)));
  else if constexpr (requires { value.to_text(); })
    return Json(std::string_view(value.to_text()));
  else if constexpr (requires { typename U::mapped_type; }) {
    JsonObject object;
    for (auto& [k, v] : value) object[key_text(k)] = to(v);
    return object;
  } else if constexpr (requires { value.has_value(); })
    return value.has_value() ? to(*value) : Json(nullptr);
  else if constexpr (requires { value.push_back({}); }) {
    JsonArray array;
    for (auto&& v : value) array.push_back(to(v));
    return array;
  } else if constexpr (requires { typename U::element_type; })
    return value ? to(*value) : Json(nullptr);
  else {
    JsonObject object;
    JsonWriter inner(object);
    fields(inner, const_cast<U&>(value));
    return object;
  }
}
template <class T>
void JsonReader::operator()(std::string_view key, T& value) {
  if (error_) return;
  if (const Json* v = field_of(in_, key); v && !v->is_null())
    from(*v, value, path_.empty() ? std::string(key) : path_ + "." + std::string(key));
}
template <class T>
void JsonReader::from(const Json& v, T& value, const std::string& path) {
  if (error_ || v.is_null()) return;
  if constexpr (std::same_as<T, Json>)
    value = v;
  else if constexpr (std::same_as<T, bool>) {
    if (v.is_bool())
      value = v.get_bool();
    else
      mismatch(path, "a boolean");
  } else if constexpr (std::integral<T>) {
    int64_t n = 0;
    if (v.is_int64())
      n = v.get_int64();
    else if (v.is_uint64() && std::same_as<T, uint64_t>)
      return void(value = static_cast<T>(v.get_uint64()));
    else if (v.is_double() && std::abs(v.get_double()) < 0x1p63 &&
             v.get_double() == std::trunc(v.get_double()))
      n = static_cast<int64_t>(v.get_double());
    else
      return mismatch(path, "an integer");
    if (!std::in_range<T>(n)) return mismatch(path, "an integer in range");
    value = static_cast<T>(n);
  } else if constexpr (std::floating_point<T>) {
    if (v.is_double())
      value = v.get_double();
    else if (v.is_int64())
      value = static_cast<T>(v.get_int64());
    else
      mismatch(path, "a number");
  } else if constexpr (std::same_as<T, std::string>) {
    if (v.is_string())
      value = std::string(sv(v.get_string()));
    else
      mismatch(path, "a string");
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
  } else if constexpr (requires {
                         value.has_value();
                         value.emplace();
                       }) {
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

#define PANAL_JSON_VALUE(extern, ...)                                                   \
  extern template Json JsonWriter::to(__VA_ARGS__&);                                    \
  extern template void JsonWriter::operator()(std::string_view, __VA_ARGS__&);          \
  extern template void JsonReader::from(const Json&, __VA_ARGS__&, const std::string&); \
  extern template void JsonReader::operator()(std::string_view, __VA_ARGS__&);
#define PANAL_JSON_VALUES(extern)                                   \
  PANAL_JSON_VALUE(extern, bool)                                    \
  PANAL_JSON_VALUE(extern, int)                                     \
  PANAL_JSON_VALUE(extern, int64_t)                                 \
  PANAL_JSON_VALUE(extern, uint64_t)                                \
  PANAL_JSON_VALUE(extern, std::string)                             \
  PANAL_JSON_VALUE(extern, std::optional<int64_t>)                  \
  PANAL_JSON_VALUE(extern, std::vector<std::string>)                \
  PANAL_JSON_VALUE(extern, std::optional<std::vector<std::string>>) \
  PANAL_JSON_VALUE(extern, std::map<std::string, std::string>)
PANAL_JSON_VALUES(extern)

/// A type whose fields() many files need: PANAL_JSON(extern, T) after its declaration, PANAL_JSON(, T) in one
/// .cc file.
#define PANAL_JSON(extern, T)                   \
  extern template void fields(JsonWriter&, T&); \
  extern template void fields(JsonReader&, T&);

}  // namespace panal
