#include "dockerfile/ignore.h"

#include <doctest/doctest.h>

#include "base/text.h"

namespace panal {

static bool out(const char* patterns, const char* path) {
  const auto list = PathPatterns::parse(patterns);
  REQUIRE(list.has_value());
  return list->match(path);
}

TEST_CASE("what a .dockerignore leaves out") {
  struct Row {
    const char *patterns, *path;
    bool out;
  };
  for (const auto& [patterns, path, expected] :
       {Row{"*.md", "README.md", true},
        Row{"*.md", "docs/a.md", false},
        Row{"**/*.md", "docs/deep/a.md", true},
        Row{"**/*.md", "a.md", true},
        Row{"docs", "docs/a/b.md", true},
        Row{"/docs", "docs/a", true},
        Row{"docs/", "docs", true},
        Row{"docs", "docs2", false},
        Row{"./docs/../src", "src/a", true},
        Row{"*\n!README.md", "README.md", false},
        Row{"*\n!README.md", "a", true},
        Row{"*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true},
        Row{"*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false},
        Row{"docs\n!docs/keep", "docs/keep/x", false},
        Row{"docs\n!docs/keep", "docs/other", true},
        Row{"# comment\n\n  a  \r\n", "a", true},
        Row{"file?.txt", "file1.txt", true},
        Row{"file?.txt", "file12.txt", false},
        Row{"file[0-9].txt", "file7.txt", true},
        Row{"file[^0-9].txt", "file7.txt", false},
        Row{"a\\*b", "a*b", true},
        Row{"a\\*b", "axb", false},
        Row{"*/temp*", "dir/temporary", true},
        Row{"*/temp*", "dir/sub/temp", false},
        Row{"*/*/temp*", "dir/sub/temp.txt", true},
        Row{"**", "any/thing", true},
        Row{"a/**", "a", false},
        Row{"a/**", "a/b", true},
        Row{"a/**", "a/b/c", true},
        Row{"**/a/**", "x/a", false},
        Row{"**/foo/bar", "foo/bar", true},
        Row{"foo/**/bar", "foo/bar", true},
        Row{"foo/**/bar", "foo/a/b/bar", true},
        Row{"a**b", "ab", true},
        Row{"a**b", "ax/y/b", true},
        Row{"a**b", "axb", false},
        Row{"a**", "axb", true},
        Row{"**.txt", "d/.txt", true},
        Row{"**.txt", "d/x.txt", false},
        Row{"caf?", "caf\xc3\xa9", true},
        Row{"caf??", "caf\xc3\xa9", false},
        Row{"caf[\xc3\xa0-\xc3\xaf]", "caf\xc3\xa9", true},
        Row{"*\xa9", "caf\xc3\xa9", false},
        Row{"caf\xc3\xa9", "caf\xc3\xa9", true},
        Row{"a?", "a\xff", true},
        Row{".", "a", false},
        Row{"", "a", false},
        Row{"a b", "a b", true},
        Row{"[", "x", false}})
    if (std::string(patterns) != "[")
      CHECK_MESSAGE(out(patterns, path) == expected, std::string(patterns) << " : " << path);
}

TEST_CASE("patterns that are none") {
  CHECK(PathPatterns::parse("[a").error().message ==
        "failed to parse pattern \"[a\": syntax error in pattern");
  CHECK(PathPatterns::parse("!").error().message == "illegal exclusion pattern: \"!\"");
  CHECK(!PathPatterns::parse("a\\"));
  CHECK(!PathPatterns::parse("[]a]x["));
  CHECK(!PathPatterns::parse(std::string(5000, 'a')));
  CHECK(PathPatterns::parse("a**b**c**d**e**f**g**h**i"));
  CHECK(PathPatterns::parse("a**b**c**d**e**f**g**h**i**j").error().message == "too many patterns");
}

TEST_CASE("stars never take exponential time") {
  std::string pattern, path(3000, 'a');
  for (int i = 0; i < 400; ++i) pattern += "*a";
  CHECK(!out((pattern + "b").c_str(), path.c_str()));
}

TEST_CASE("a source pattern has as many components as what it names") {
  CHECK(match_path({"a", "*.c"}, {"a", "x.c"}));
  CHECK(!match_path({"*"}, {"a", "b"}));
  CHECK(match_path({"**", "b"}, {"a", "b"}));
  CHECK(match_component("x-[", "x").error().message == "syntax error in pattern");
}

}  // namespace panal
