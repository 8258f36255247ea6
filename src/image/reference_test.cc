#include "image/reference.h"

#include <doctest/doctest.h>

namespace panal {

static std::string full(std::string_view text) {
  const auto r = parse_reference(text);
  return r ? r->full() : r.error().message;
}
static const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST_CASE("names are spelled out") {
  CHECK(full("alpine") == "docker.io/library/alpine");
  CHECK(full("alpine:3.20") == "docker.io/library/alpine:3.20");
  CHECK(full("bitnami/redis") == "docker.io/bitnami/redis");
  CHECK(full("docker.io/alpine") == "docker.io/library/alpine");
  CHECK(full("index.docker.io/library/alpine") == "docker.io/library/alpine");
  CHECK(full("localhost/app") == "localhost/app");
  CHECK(full("localhost:5000/app:v1") == "localhost:5000/app:v1");
  CHECK(full("ghcr.io/a/b/c@" + kDigest) == "ghcr.io/a/b/c@" + kDigest);
  CHECK(full("a:1@" + kDigest) == "docker.io/library/a:1@" + kDigest);
  CHECK(full("[::1]:5000/app") == "[::1]:5000/app");
  CHECK(full("HOST/app") == "HOST/app");
}

TEST_CASE("familiar names drop what everybody knows") {
  CHECK(parse_reference("docker.io/library/alpine")->familiar_name() == "alpine");
  CHECK(parse_reference("docker.io/bitnami/redis:7")->familiar() == "bitnami/redis:7");
  CHECK(parse_reference("localhost:5000/app")->familiar() == "localhost:5000/app");
  CHECK(parse_tagged("alpine")->familiar() == "alpine:latest");
  CHECK(parse_tagged("alpine@" + kDigest)->tag.empty());
}

TEST_CASE("what is printed reads back as the same") {
  for (const auto* text : {"alpine", "a/b", "a.b/c", "localhost/x", "h:1/a/b:t", "a__b", "a--b.c_d"})
    for (const auto& form : {parse_reference(text)->full(), parse_reference(text)->familiar()})
      CHECK(full(form) == full(text));
}

TEST_CASE("only Docker's own images lose their library/") {
  CHECK(parse_reference("docker.io/library/a/b")->familiar_name() == "library/a/b");
}

TEST_CASE("bad references get Docker's words") {
  for (const auto* text : {"",       ":tag", "a:",          "a@sha256:12", "a@",      "a//b", "/a",
                           "a/",     "-a",   "a-",          "a..b",        "a___b",   "a._b", "a b",
                           "a:t ag", "a:.x", "host:port/a", "host:-5/a",   "a/b:c/d", "@",    "\xff"})
    CHECK_MESSAGE(full(text) == "invalid reference format", std::string(text) << " gave " << full(text));
  CHECK(full("Alpine") == "invalid reference format: repository name (library/Alpine) must be lowercase");
  CHECK(full(std::string(64, 'a')).starts_with("invalid repository name"));
  CHECK(full(std::string(300, 'a')) == "repository name must not be more than 255 characters");
  CHECK(full("a:" + std::string(129, 't')) == "invalid reference format");
}

TEST_CASE("ids and digests") {
  CHECK(valid_digest(kDigest));
  CHECK(!valid_digest("sha256:" + std::string(64, 'A')));
  CHECK(!valid_digest("sha256:" + std::string(63, 'a')));
  CHECK(looks_like_id("abc123"));
  CHECK(looks_like_id(kDigest));
  CHECK(!looks_like_id("alpine"));
  CHECK(!looks_like_id(""));
}

}  // namespace panal
