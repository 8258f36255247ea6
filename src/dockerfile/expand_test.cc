#include "dockerfile/expand.h"

#include <doctest/doctest.h>

namespace panal {

static std::optional<std::string> lookup(const std::string& name) {
  if (name == "a") return "A";
  if (name == "empty") return "";
  if (name == "two") return "x y";
  if (name == "file") return "archive.tar.gz";
  if (name == "path") return "/usr/local/bin";
  return std::nullopt;
}
static std::string expanded(std::string_view text) {
  const auto out = expand_word(text, '\\', lookup);
  return out ? *out : "error: " + out.error().message;
}

TEST_CASE("variables in a word") {
  struct Row {
    const char *text, *out;
  };
  for (const auto& [text, out] :
       {Row{"x${a}y$a", "xAyA"},
        Row{"$none", ""},
        Row{"'$a'", "$a"},
        Row{"\"$a b\"", "A b"},
        Row{"\\$a", "$a"},
        Row{"\"\\$a\"", "$a"},
        Row{"\"a\\b\"", "a\\b"},
        Row{"a\\ b", "a b"},
        Row{"$", "$"},
        Row{"$-", ""},
        Row{"$?x", "x"},
        Row{"$$", ""},
        Row{"$.", "$."},
        Row{"a$", "a$"},
        Row{"${none:-d}", "d"},
        Row{"${empty:-d}", "d"},
        Row{"${empty-d}", ""},
        Row{"${none-d}", "d"},
        Row{"${a:+set}", "set"},
        Row{"${none:+set}", ""},
        Row{"${empty:+set}", ""},
        Row{"${empty+set}", "set"},
        Row{"${none:-${a}b}", "Ab"},
        Row{"${none:-'x y'}", "x y"},
        Row{"${a:?must}", "A"},
        Row{"${none:?must be set}", "error: none: must be set"},
        Row{"${empty:?}", "error: empty: not allowed to be empty"},
        Row{"${none?}", "error: none: not allowed to be unset"},
        Row{"${file%.*}", "archive.tar"},
        Row{"${file%%.*}", "archive"},
        Row{"${file#*.}", "tar.gz"},
        Row{"${file##*.}", "gz"},
        Row{"${path/usr/opt}", "/opt/local/bin"},
        Row{"${path//\\//-}", "-usr-local-bin"},
        Row{"${path/none/x}", "/usr/local/bin"},
        Row{"${file%none}", "archive.tar.gz"},
        Row{"${", "error: ${: bad substitution"},
        Row{"${}", "error: ${}: bad substitution"},
        Row{"${a", "error: syntax error: missing '}'"},
        Row{"${a:x}", "error: unsupported modifier (x) in substitution"},
        Row{"'a", "error: unexpected end of statement while looking for matching single-quote"},
        Row{"\"a", "error: unexpected end of statement while looking for matching double-quote"},
        Row{"$1x", "x"},
        Row{"$12x", "x"},
        Row{"${12:-b}x", "bx"},
        Row{"${!:-b}", "b"},
        Row{"a\\", "a"},
        Row{"'a'\"b\"c", "abc"}})
    CHECK_MESSAGE(expanded(text) == out, std::string(text));
}

TEST_CASE("words of a value that is not quoted come apart") {
  using Strings = std::vector<std::string>;
  CHECK(*expand_words("$two \"$two\" 'c d'", '\\', lookup) == Strings{"x", "y", "x y", "c d"});
  CHECK(*expand_words("$none", '\\', lookup) == Strings{});
  CHECK(*expand_words("\"\"", '\\', lookup) == Strings{""});
}

TEST_CASE("text of a here-document") {
  CHECK(*expand_text("'$a' \"${a}\" \\$a \\n\n", lookup) == "'A' \"A\" $a \\n\n");
}

TEST_CASE("nesting has an end") {
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "${none:-";
  CHECK(expanded(deep).starts_with("error: "));
}

}  // namespace panal
