#include "image/index.h"

#include <doctest/doctest.h>

#include "image/progress.h"

namespace panal {

static std::string chosen(const std::vector<ImagePlatform>& have, const std::string& want) {
  std::vector<IndexEntry> entries;
  for (const auto& p : have) entries.push_back({"", p.text(), 0, p});
  const auto* best = choose_platform(entries, parse_platform(want).value());
  return best ? best->digest : "none";
}

TEST_CASE("the image for a platform") {
  const std::vector<ImagePlatform> all = {{"linux", "arm", "v6"},
                                          {"linux", "arm", "v7"},
                                          {"linux", "arm64", "v8"},
                                          {"linux", "amd64", ""},
                                          {"windows", "amd64", ""}};
  CHECK(chosen(all, "linux/amd64") == "linux/amd64");
  CHECK(chosen(all, "linux/x86_64") == "linux/amd64");
  CHECK(chosen(all, "linux/arm64") == "linux/arm64/v8");
  CHECK(chosen(all, "linux/aarch64") == "linux/arm64/v8");
  CHECK(chosen(all, "linux/arm") == "linux/arm/v7");
  CHECK(chosen(all, "linux/arm/v6") == "linux/arm/v6");
  CHECK(chosen(all, "linux/arm/v5") == "none");
  CHECK(chosen({{"linux", "arm", "v5"}, {"linux", "arm", "v6"}}, "linux/arm/v7") == "linux/arm/v6");
  CHECK(chosen({{"linux", "amd64", "v3"}}, "linux/amd64") == "none");
  CHECK(chosen(all, "windows/amd64") == "windows/amd64");
  CHECK(chosen(all, "linux/s390x") == "none");
}

TEST_CASE("platforms as users write them") {
  CHECK(parse_platform("")->text() == host_platform().text());
  CHECK(parse_platform("Linux/ARM64/v8")->text() == "linux/arm64");
  CHECK(parse_platform("arm64")->os == "linux");
  CHECK(parse_platform("linux")->architecture == host_platform().architecture);
  for (const char* bad : {"linux/", "/", "linux/a/b/c", "linux/a b", "nonsense"})
    CHECK_FALSE(parse_platform(bad));
}

TEST_CASE("indexes") {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const auto with = [&](const std::string& more) {
    return R"({"schemaVersion":2,"manifests":[{"mediaType":"m","digest":")" + digest + R"(","size":7)" +
           more + "}]}";
  };
  const auto index = parse_index(with(R"(,"platform":{"os":"linux","architecture":"arm","variant":"v7"})"));
  REQUIRE(index);
  REQUIRE(*index);
  CHECK((**index)[0].platform.text() == "linux/arm/v7");
  CHECK((**index)[0].size_bytes == 7);
  CHECK((*parse_index(with(R"(,"platform":{"os":"unknown","architecture":"unknown"})")))->empty());
  CHECK_FALSE(*parse_index(R"({"schemaVersion":2,"config":{},"layers":[]})"));
  CHECK_FALSE(parse_index(R"({"schemaVersion":1,"fsLayers":[]})"));
  CHECK_FALSE(parse_index(R"({"schemaVersion":2,"manifests":[],"layers":[]})"));
  CHECK_FALSE(parse_index(R"({"schemaVersion":2,"manifests":[{"digest":"../../x"}]})"));
  CHECK_FALSE(parse_index("[]"));
}

TEST_CASE("progress as the CLI draws it") {
  CHECK(progress_bar(0, 0).empty());
  CHECK(progress_bar(512, 0) == "    512B");
  CHECK(progress_bar(1'500'000, 3'000'000) ==
        "[" + std::string(25, '=') + ">" + std::string(25, ' ') + "]    1.5MB/3MB");
  CHECK(progress_bar(3, 3) == "[" + std::string(50, '=') + ">]       3B/3B");
  CHECK(progress_bar(4, 3) == "[" + std::string(50, '=') + ">]       4B");
  CHECK(progress_json({.id = "7", .status = "Pulling from a"}) ==
        "{\"status\":\"Pulling from a\",\"id\":\"7\"}\r\n");
  CHECK(progress_json({.id = "abc", .status = "Waiting"}) ==
        "{\"status\":\"Waiting\",\"progressDetail\":{},\"id\":\"abc\"}\r\n");
  CHECK(progress_json({.id = "a", .status = "Downloading", .current = 1, .total = 2})
            .find(R"("progressDetail":{"current":1,"total":2},"progress":"[)") != std::string::npos);
  CHECK(progress_json({.tag = "t", .digest = "d", .size_bytes = 3}) ==
        "{\"progressDetail\":{},\"aux\":{\"Tag\":\"t\",\"Digest\":\"d\",\"Size\":3}}\r\n");
  CHECK(short_digest("sha256:0123456789abcdef") == "0123456789ab");
}

}  // namespace panal
