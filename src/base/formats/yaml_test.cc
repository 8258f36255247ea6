#include "base/formats/yaml.h"

#include <doctest/doctest.h>

namespace panal {

static Result<std::string> as_json(std::string_view text) {
  TRY(const Json json, parse_yaml(text));
  return dump(json);
}

TEST_CASE("YAML becomes JSON") {
  CHECK(as_json("---\na: 1\nb: [x, 'y', \"1\", 0x10, 0666, -3, true, no, ~]\nc:\n  - d: e # f\n  - {}\n")
            .value() == R"({"a":1,"b":["x","y","1",16,438,-3,true,false,null],"c":[{"d":"e"},{}]})");
  CHECK(as_json("v: 0.5.0\nw: 1.5\nx: !!str 7\ny: |\n  a\n  b\n").value() ==
        R"({"v":"0.5.0","w":"1.5","x":"7","y":"a\nb\n"})");
  CHECK(as_json("{\"json\": [\"is\", \"yaml\"]}").value() == R"({"json":["is","yaml"]})");
}

TEST_CASE("YAML that is not taken says where") {
  const auto why = [](std::string_view text) {
    const auto made = as_json(text);
    return made ? *made : made.error().message;
  };
  CHECK(why("a: &x 1\nb: *x\n") == "yaml: line 2: aliases are not supported");
  CHECK(why("a: 1\na: 2\n") == "yaml: line 2: key \"a\" already set in map");
  CHECK(why("a: 1\n---\nb: 2\n") == "yaml: line 2: one document is all there may be");
  CHECK(why("a: !!int 3\n") == "yaml: line 1: tags are not supported");
  CHECK(why("? [a]\n: 1\n") == "yaml: line 1: a key must be text");
  CHECK(why("") == "yaml: there is nothing in it");
  CHECK(why(std::string(100, '[')).find("nested too deeply") != std::string::npos);
  CHECK(why("a: [1\n").starts_with("yaml: line "));
  CHECK(why("\tx: 1").starts_with("yaml: line "));
}

}  // namespace panal
