#include "image/search.h"

#include <doctest/doctest.h>

namespace panal {

TEST_CASE("what is searched for where") {
  struct Case {
    const char *text, *index, *term;
  };
  for (const auto& c : {Case{"nginx", "docker.io", "nginx"},
                        {"library/nginx", "docker.io", "nginx"},
                        {"me/nginx", "docker.io", "me/nginx"},
                        {"index.docker.io/library/x", "docker.io", "x"},
                        {"host:5000/a/b", "host:5000", "a/b"},
                        {"localhost/library/x", "localhost", "library/x"},
                        {"reg.test/", "reg.test", ""}}) {
    const auto got = parse_search_term(c.text);
    REQUIRE(got);
    CHECK(got->index == c.index);
    CHECK(got->term == c.term);
  }
  CHECK(parse_search_term("https://x/y").error().message ==
        "invalid repository name: repository name (https://x/y) should not have a scheme");
  CHECK(search_limit("").value() == 25);
  CHECK(search_limit("0").value() == 25);
  CHECK(search_limit("100").value() == 100);
  CHECK(search_limit("101").error().message == "limit 101 is outside the range of [1, 100]");
  for (const char* text : {"-1", "x", "1.5"}) CHECK(!search_limit(text));
}

TEST_CASE("an index's answer") {
  const auto hits = parse_search_hits(R"({"num_results": 2, "query": "x", "results": [
      {"name": "x", "description": "the x", "is_official": true, "is_automated": true, "star_count": 5}, {"name": "me/x", "description": null}]})",
                                      100);
  REQUIRE(hits);
  REQUIRE(hits->size() == 2);
  CHECK((*hits)[0].official);
  CHECK((*hits)[0].stars == 5);
  CHECK((*hits)[1].description.empty());
  CHECK(parse_search_hits(R"({"results": [{}, {}, {}]})", 2)->size() == 2);
  CHECK(parse_search_hits("{}", 2)->empty());
  CHECK(
      parse_search_hits("<html>", 2).error().message.starts_with("error decoding registry search results: "));
}

}  // namespace panal
