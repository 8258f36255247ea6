#include "base/formats/yaml.h"

#include <yaml.h>

#include <charconv>

namespace panal {
namespace {

constexpr int kMostDepth = 64;

struct Event {
  yaml_event_t event{};
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&event); }
};

std::string_view text_of(const yaml_char_t* text, size_t length) {
  return {reinterpret_cast<const char*>(text), length};
}

std::optional<int64_t> whole_number(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0o")) {
    base = text[1] == 'x' ? 16 : 8;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
  }
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || text[0] == '-' || error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return negative ? -number : number;
}

Json plain(std::string_view text) {
  const auto is = [&](std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, text) != words.end();
  };
  if (is({"", "~", "null", "Null", "NULL"})) return nullptr;
  if (is({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})) return true;
  if (is({"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})) return false;
  if (const auto number = whole_number(text)) return *number;
  return Json(text);
}

class Reader {
 public:
  explicit Reader(std::string_view text) {
    if (!yaml_parser_initialize(&parser_)) return;
    ready_ = true;
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() {
    if (ready_) yaml_parser_delete(&parser_);
  }

  Result<Json> document() {
    Event e;
    do {
      TRYV(next(e));
    } while (e.event.type == YAML_STREAM_START_EVENT || e.event.type == YAML_DOCUMENT_START_EVENT);
    if (e.event.type == YAML_STREAM_END_EVENT) return fail(Code::kInvalid, "yaml: there is nothing in it");
    TRY(Json out, node(e.event, 0));
    do {
      TRYV(next(e));
    } while (e.event.type == YAML_DOCUMENT_END_EVENT);
    if (e.event.type != YAML_STREAM_END_EVENT) return bad(e.event, "one document is all there may be");
    return out;
  }

 private:
  static std::unexpected<Error> bad(const yaml_event_t& at, const std::string& why) {
    return fail(Code::kInvalid, "yaml: line " + std::to_string(at.start_mark.line + 1) + ": " + why);
  }

  Result<> next(Event& e) {
    yaml_event_delete(&e.event);
    if (ready_ && yaml_parser_parse(&parser_, &e.event)) return {};
    return fail(Code::kInvalid, "yaml: line " + std::to_string(parser_.problem_mark.line + 1) + ": " +
                                    (parser_.problem ? parser_.problem : "no memory"));
  }

  Result<Json> node(const yaml_event_t& e, int depth) {
    if (depth > kMostDepth) return bad(e, "nested too deeply");
    switch (e.type) {
      case YAML_SCALAR_EVENT: {
        const auto& s = e.data.scalar;
        const std::string_view text = text_of(s.value, s.length);
        if (s.tag && std::string_view(reinterpret_cast<const char*>(s.tag)) != YAML_STR_TAG)
          return bad(e, "tags are not supported");
        return s.tag || s.style != YAML_PLAIN_SCALAR_STYLE ? Json(text) : plain(text);
      }
      case YAML_SEQUENCE_START_EVENT:
        if (e.data.sequence_start.tag) return bad(e, "tags are not supported");
        return sequence(depth);
      case YAML_MAPPING_START_EVENT:
        if (e.data.mapping_start.tag) return bad(e, "tags are not supported");
        return mapping(depth);
      case YAML_ALIAS_EVENT:
        return bad(e, "aliases are not supported");
      default:
        return bad(e, "a value is missing");
    }
  }

  Result<Json> sequence(int depth) {
    JsonArray out;
    for (Event e;;) {
      TRYV(next(e));
      if (e.event.type == YAML_SEQUENCE_END_EVENT) return out;
      TRY(Json item, node(e.event, depth + 1));
      out.push_back(std::move(item));
    }
  }

  Result<Json> mapping(int depth) {
    JsonObject out;
    for (Event e;;) {
      TRYV(next(e));
      if (e.event.type == YAML_MAPPING_END_EVENT) return out;
      if (e.event.type != YAML_SCALAR_EVENT) return bad(e.event, "a key must be text");
      const std::string key(text_of(e.event.data.scalar.value, e.event.data.scalar.length));
      if (out.contains(key)) return bad(e.event, "key \"" + key + "\" already set in map");
      TRYV(next(e));
      TRY(out[key], node(e.event, depth + 1));
    }
  }

  yaml_parser_t parser_{};
  bool ready_ = false;
};

}  // namespace

Result<Json> parse_yaml(std::string_view text) { return Reader(text).document(); }

}  // namespace panal
