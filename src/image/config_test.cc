#include "image/config.h"

#include <cstdlib>
#include <filesystem>

#include "base/fd.h"
#undef CHECK
#include <doctest/doctest.h>

namespace panal {

static std::string digest(char c) { return "sha256:" + std::string(64, c); }

TEST_CASE("a manifest comes back from its text") {
  const auto m =
      parse_manifest(make_manifest(digest('a'), 12, {{digest('b'), 3}, {digest('c'), 4, "+gzip"}}));
  REQUIRE(m.has_value());
  CHECK(m->config_digest == digest('a'));
  CHECK(m->config_size == 12);
  CHECK(m->layer_digests == std::vector<std::string>{digest('b'), digest('c')});
  CHECK(m->layer_sizes == std::vector<int64_t>{3, 4});
}

TEST_CASE("a manifest whose digests are none is refused: they become file names") {
  CHECK(!parse_manifest("").has_value());
  CHECK(!parse_manifest("[]").has_value());
  CHECK(!parse_manifest(make_manifest(digest('a'), 1, {{"sha256:../../../../etc/passwd", 1}})).has_value());
  CHECK(!parse_manifest(make_manifest("", 1, {{digest('b'), 1}})).has_value());
  CHECK(!parse_manifest(make_manifest(digest('a'), 1, {{digest('b') + "/x", 1}})).has_value());
}

TEST_CASE("archives: docker save, OCI layouts, links, and what is missing") {
  char name[] = "/tmp/panal-config-XXXXXX";
  const std::string dir = ::mkdtemp(name);
  const auto file = [&](const std::string& path, const std::string& text) {
    const std::string real = dir + "/" + std::to_string(std::hash<std::string>()(path));
    REQUIRE(write_file(real, text).has_value());
    const std::string named = path.starts_with("blobs/sha256/") ? "sha256:" + path.substr(13) : digest('e');
    return ArchiveFile{path, "", real, named, static_cast<int64_t>(text.size())};
  };
  const auto saved = images_in_archive(
      {file("manifest.json",
            "[{\"Config\":\"c.json\",\"RepoTags\":[\"a:1\"],\"Layers\":[\"x/layer.tar\",\"y/layer.tar\"]}]"),
       file("c.json", "{}"), file("x/layer.tar", "x"), ArchiveFile{"y/layer.tar", "x/layer.tar", "", "", 0}});
  REQUIRE_MESSAGE(saved.has_value(), saved.error().message);
  REQUIRE(saved->size() == 1);
  CHECK(saved->at(0).tags == std::vector<std::string>{"a:1"});
  CHECK(saved->at(0).layers.size() == 2);
  CHECK(saved->at(0).layers[1].path == "x/layer.tar");
  CHECK(!images_in_archive({}).has_value());
  CHECK(!images_in_archive({file("manifest.json", "[{\"Config\":\"gone\"}]")}).has_value());
  CHECK(!images_in_archive({ArchiveFile{"manifest.json", "manifest.json", "", "", 0}}).has_value());
  const auto oci = images_in_archive(
      {file("index.json",
            "{\"manifests\":[{\"digest\":\"" + digest('1') +
                "\",\"annotations\":{\"io.containerd.image.name\":\"docker.io/library/a:1\"}}]}"),
       file("blobs/sha256/" + std::string(64, '1'), make_manifest(digest('2'), 2, {{digest('3'), 1}})),
       file("blobs/sha256/" + std::string(64, '2'), "{}"),
       file("blobs/sha256/" + std::string(64, '3'), "l")});
  REQUIRE_MESSAGE(oci.has_value(), oci.error().message);
  CHECK(oci->at(0).tags == std::vector<std::string>{"docker.io/library/a:1"});
  CHECK(oci->at(0).layers.size() == 1);
  ArchiveFile forged =
      file("blobs/sha256/" + std::string(64, '1'), make_manifest(digest('2'), 2, {{digest('3'), 1}}));
  forged.digest = digest('9');
  const auto refused = images_in_archive(
      {file("index.json", "{\"manifests\":[{\"digest\":\"" + digest('1') + "\"}]}"), std::move(forged)});
  REQUIRE(!refused);
  CHECK(refused.error().message ==
        "invalid archive: the content of " + digest('1') + " is that of " + digest('9'));
  std::filesystem::remove_all(dir);
}

}  // namespace panal
