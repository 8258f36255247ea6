#include "base/json.h"

#include <doctest/doctest.h>

namespace panal {
namespace {

struct Inner {
  int n = 0;
};
template <class A>
void fields(A& a, Inner& i) {
  a.opt("N", i.n);
}
struct Outer {
  std::string text = "default";
  bool flag = true;
  uint32_t small = 1;
  uint64_t large = 1;
  double ratio = 0;
  std::optional<int64_t> maybe;
  std::vector<Inner> list;
  std::map<std::string, Inner> map;
};
template <class A>
void fields(A& a, Outer& o) {
  a("Text", o.text), a("Flag", o.flag), a("Small", o.small), a("Large", o.large), a("Ratio", o.ratio),
      a.opt("Maybe", o.maybe), a("List", o.list), a("Map", o.map);
  a.refuse("Exotic", "not today");
}
std::string error_of(std::string_view text) {
  const auto r = from_text<Outer>(text);
  return r ? "" : r.error().message;
}

}  // namespace

TEST_CASE("fields are read, written and left at their default") {
  Outer o;
  o.text = "a\"\\\n\t\x01", o.maybe = 0, o.list = {{1}, {0}}, o.map = {{"k.k", {2}}}, o.large = 1ull << 62;
  const auto back = from_text<Outer>(to_text(o));
  REQUIRE(back.has_value());
  CHECK(back->text == o.text);
  CHECK(back->maybe == o.maybe);
  CHECK(back->list.size() == 2);
  CHECK(back->map.at("k.k").n == 2);
  CHECK(back->large == 1ull << 62);
  CHECK(from_text<Outer>("{}")->text == "default");
  CHECK(from_text<Outer>("{\"Text\":null,\"Flag\":null,\"Maybe\":null,\"List\":null}")->flag);
}

TEST_CASE("an error names the field by its path") {
  CHECK(error_of("{\"List\":[{\"N\":1},{\"N\":\"x\"}]}") ==
        "invalid JSON: field List[1].N must be an integer");
  CHECK(error_of("{\"Map\":{\"a\":{\"N\":[]}}}") == "invalid JSON: field Map.a.N must be an integer");
  CHECK(error_of("{\"Flag\":1}") == "invalid JSON: field Flag must be a boolean");
  CHECK(error_of("{\"Text\":{}}") == "invalid JSON: field Text must be a string");
  CHECK(error_of("{\"Small\":-1}") == "invalid JSON: field Small must be an integer in range");
  CHECK(error_of("{\"Small\":4294967296}") == "invalid JSON: field Small must be an integer in range");
  CHECK(error_of("{\"Small\":1.5}") == "invalid JSON: field Small must be an integer");
  CHECK(error_of("{\"Small\":1e300}") == "invalid JSON: field Small must be an integer");
  CHECK(error_of("{\"List\":{}}") == "invalid JSON: field List must be an array");
}

TEST_CASE("a refused field is an error unless it asks for nothing") {
  CHECK(error_of("{\"Exotic\":7}") == "Exotic is not supported yet: not today");
  for (const auto* blank : {"null", "0", "false", "\"\"", "[]", "{}", "{\"a\":{\"b\":[]}}"})
    CHECK(error_of("{\"Exotic\":" + std::string(blank) + "}") == "");
  CHECK((from_text<Outer>("{\"Exotic\":[0]}").error().code == Code::kUnsupported));
}

TEST_CASE("broken and too deep texts are refused") {
  for (const auto* text : {"", "{", "{}x", "{\"a\":}", "nul", "\"\xff\"", "{'a':1}"})
    CHECK_MESSAGE(!parse_json(text).has_value(), std::string(text));
  CHECK(parse_json(std::string(60, '[') + std::string(60, ']')).has_value());
  CHECK(!parse_json(std::string(100000, '[')).has_value());
}

TEST_CASE("numbers keep their value") {
  for (const int64_t n : {int64_t{0}, int64_t{-1}, INT64_MAX, INT64_MIN})
    CHECK(from_text<int64_t>(to_text(n)).value() == n);
  for (const uint64_t n : {uint64_t{1} << 63, UINT64_MAX}) {
    const auto back = from_text<uint64_t>(to_text(n));
    REQUIRE_MESSAGE(back.has_value(), n);
    CHECK(*back == n);
  }
}

}  // namespace panal
