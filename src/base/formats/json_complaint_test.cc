#include "base/formats/json_complaint.h"

#include <doctest/doctest.h>

#include "base/json.h"

namespace panal {

TEST_CASE("what is wrong with a text, in the words of Go's decoder") {
  struct Case {
    const char *text, *complaint;
  };
  for (const auto& c : {Case{"this is no json", "invalid character 'h' in literal true (expecting 'r')"},
                        {"image", "invalid character 'i' looking for beginning of value"},
                        {"", "unexpected EOF"},
                        {"{", "unexpected EOF"},
                        {"{\"a\": 1", "unexpected EOF"},
                        {"[1, ", "unexpected EOF"},
                        {"\"abc", "unexpected EOF"},
                        {"{a: 1}", "invalid character 'a' looking for beginning of object key string"},
                        {"{\"a\": 1,}", "invalid character '}' looking for beginning of object key string"},
                        {"{\"a\" 1}", "invalid character '1' after object key"},
                        {"{\"a\": 1 \"b\"}", "invalid character '\"' after object key:value pair"},
                        {"[1 2]", "invalid character '2' after array element"},
                        {"[1,]", "invalid character ']' looking for beginning of value"},
                        {"{\"a\": 'x'}", "invalid character '\\'' looking for beginning of value"},
                        {"[01]", "invalid character '1' after array element"},
                        {"-", "unexpected EOF"},
                        {"[-x]", "invalid character 'x' in numeric literal"},
                        {"[1.]", "invalid character ']' after decimal point in numeric literal"},
                        {"[1e]", "invalid character ']' in exponent of numeric literal"},
                        {"nul!", "invalid character '!' in literal null (expecting 'l')"},
                        {"\"a\nb\"", "invalid character '\\n' in string literal"},
                        {"\"a\x01\"", "invalid character '\\x01' in string literal"},
                        {"\"\\x\"", "invalid character 'x' in string escape code"},
                        {"\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"},
                        {"{\"a\": [{}, [], \"\\u00e4\\n\", -1.5e+3, true, false, null]} rest", ""}})
    CHECK_MESSAGE(json_complaint(c.text) == c.complaint, std::string(c.text)
                                                             << " -> " << json_complaint(c.text));
  CHECK(json_complaint(std::string(100, '[')).empty());  // too deep is another complaint
  CHECK(parse_json("{\"a\" 1}").error().message == "invalid JSON: invalid character '1' after object key");
  CHECK(parse_json("{} {}").error().message == "invalid JSON: unexpected content after JSON");
  CHECK(parse_json(std::string(100, '[')).error().message.starts_with("invalid JSON: "));
}

}  // namespace panal
