#include "unpack/copy/copy_test.h"

namespace panal {

using namespace copy_test;

TEST_CASE("copy: names that are not there") {
  Desk d;
  d.file("src/a"), d.file("src/left.out"), d.file("src/logs/x"), d.file("src/logs/keep/y"),
      d.file("src/logs/keep/z.tmp");
  d.job.trees[0].ignore = {"# comment", "left.*", "logs", "!logs/keep", "**/*.tmp"};
  const std::string stat = "file not found in build context or excluded by .dockerignore: stat ";
  CHECK(d.from({"./sub//none"}, "/x").error() == stat + "sub/none: file does not exist");
  CHECK(d.from({"a/b"}, "/x").error() == stat + "a/b: file does not exist");
  CHECK(d.from({"left.out"}, "/x").error() == stat + "left.out: file does not exist");
  CHECK(d.from({"logs/x"}, "/x").error() == stat + "logs/x: file does not exist");
  CHECK(d.from({{"a\0b", 3}}, "/x").error() == "a path cannot hold a NUL");
  CHECK(d.from({"a"}, {"/x\0y", 4}).error() == "a path cannot hold a NUL");
  CHECK(d.from({"none*"}, "/x").error() == "no source files were specified");
  CHECK(d.from({"left*"}, "/x").error() == "no source files were specified");
  CHECK(d.from({"a", "none*"}, "/x/").paths() == Paths{"x", "x/a"});
  CHECK(d.from({"a[", "b"}, "/x/").error() == "a[: syntax error in pattern");
  CHECK(d.from({"."}, "/").paths() == Paths{"a", "logs", "logs/keep", "logs/keep/y"});
  CHECK(d.from({"logs"}, "/").paths() == Paths{"keep", "keep/y"});
  d.job.trees[0].ignore = {"*"};
  CHECK(d.from({"."}, "/x").paths() == Paths{"x"});
  d.job.trees[0] = {{}, true};
  CHECK(d.from({"none"}, "/x").error() == "stat none: file does not exist");
}

TEST_CASE("copy: wildcards") {
  Desk d;
  d.file("src/home.txt"), d.file("src/hom.md"), d.file("src/sub/one/x.js"), d.file("src/sub/two/x.js"),
      d.file("src/arr[0].txt"), d.file("src/sub/top.js");
  CHECK(d.from({"hom*"}, "/d/").paths() == Paths{"d", "d/hom.md", "d/home.txt"});
  CHECK(d.from({"home?txt"}, "/d").paths() == Paths{"d"});
  CHECK(d.from({"arr[[]0].txt"}, "/d/").paths() == Paths{"d", "d/arr[0].txt"});
  CHECK(d.from({"sub/*/x.js"}, "/d/").paths() == Paths{"d", "d/x.js"});
  CHECK(d.from({"s*"}, "/d/").paths() ==
        Paths{"d", "d/one", "d/one/x.js", "d/top.js", "d/two", "d/two/x.js"});
  CHECK(d.from({"**/top.js"}, "/d/").paths() ==
        Paths{"d", "d/top.js"});  // ** is * but for --parents, as in Docker
  CHECK(d.from({"**/x.js"}, "/d/").error() == "no source files were specified");
  d.file("src/back\\slash");
  CHECK(d.from({"arr\\[0].txt"}, "/d/").paths() == Paths{"d", "d/arr[0].txt"});
  CHECK(d.from({"back\\slash"}, "/d/").paths() == Paths{"d", "d/back\\slash"});
  d.job.exclude = {"*.txt", "one", "**/x.js"};
  CHECK(d.from({"hom*"}, "/d/").paths() == Paths{"d", "d/hom.md"});
  CHECK(d.from({"home.txt"}, "/d/").paths() == Paths{"d", "d/home.txt"});
  CHECK(d.from({"sub"}, "/d/").paths() == Paths{"d", "d/top.js", "d/two"});
}

TEST_CASE("copy: parents are kept") {
  Desk d;
  d.file("src/x/a.txt"), d.file("src/y/a.txt"), d.file("src/x/y/b.txt"), d.file("src/x/y/z/c.js"),
      d.folder("src/x/y", 0711);
  d.job.parents = true;
  CHECK(d.from({"./x/a.txt", "./y/a.txt"}, "/p/").paths() ==
        Paths{"p", "p/x", "p/x/a.txt", "p/y", "p/y/a.txt"});
  CHECK(d.from({"./x/./y/*.txt"}, "/p").paths() == Paths{"p", "p/y", "p/y/b.txt"});
  CHECK(d.layer()["p/y"].mode == (S_IFDIR | 0711));
  CHECK(d.from({"./x/./y"}, "/p").paths() == Paths{"p", "p/y", "p/y/b.txt", "p/y/z", "p/y/z/c.js"});
  CHECK(d.from({"**/*.txt"}, "/p").paths() ==
        Paths{"p", "p/x", "p/x/a.txt", "p/x/y", "p/x/y/b.txt", "p/y", "p/y/a.txt"});
  CHECK(d.from({"x/**"}, "/p").paths() ==
        Paths{"p", "p/x", "p/x/a.txt", "p/x/y", "p/x/y/b.txt", "p/x/y/z", "p/x/y/z/c.js"});
  CHECK(d.from({"none/*.txt"}, "/p").error() == "no source files were specified");
  CHECK(d.from({"x/./none"}, "/p").error() ==
        "file not found in build context or excluded by .dockerignore: stat x/none: file does not exist");
  d.folder("base/p/x", 0500, 4);
  CHECK(d.from({"x/a.txt"}, "/p").layer()["p/x"].uid == 4);
  d.job.exclude = {"x/y"};
  CHECK(d.from({"**/*.txt"}, "/q").paths() == Paths{"q", "q/x", "q/x/a.txt", "q/y", "q/y/a.txt"});
}

TEST_CASE("copy: symlinks of the sources") {
  Desk d;
  d.file("src/real/f", "1"), d.file("secret", "no"), d.file("src/etc/passwd", "context's");
  d.link("real", "src/link"), d.link("real/f", "src/flink"), d.link("../../secret", "src/real/out"),
      d.link("/etc/passwd", "src/abs"), d.link("nowhere", "src/dangling"), d.link("loop", "src/loop");
  CHECK(d.from({"link"}, "/d").paths() == Paths{"d", "d/f", "d/out"});
  CHECK(d.layer()["d/out"].link == "../../secret");
  auto l = d.from({"flink"}, "/d/").layer();
  CHECK(l["d/flink"].content == "1");
  CHECK(l["d/flink"].mode == (S_IFREG | 0644));
  CHECK(d.from({"abs"}, "/d").layer()["d"].content == "context's");
  CHECK(d.from({"real/out"}, "/d").error() ==
        "file not found in build context or excluded by .dockerignore: stat real/out: file does not exist");
  CHECK(d.from({"dangling"}, "/d").error() ==
        "file not found in build context or excluded by .dockerignore: stat dangling: file does not exist");
  CHECK(d.from({"loop"}, "/d").error() == "too many links in loop");
  CHECK(d.from({"."}, "/d").layer()["d/loop"].link == "loop");
  d.job.trees[0].ignore = {"real/f"};
  CHECK(d.from({"flink"}, "/d").error() ==
        "file not found in build context or excluded by .dockerignore: stat flink: file does not exist");
}

TEST_CASE("copy: the digest is of what is taken, not of when and whose") {
  Desk d;
  d.file("src/dir/a", "1"), d.file("src/dir/b", "2"), d.file("src/one", "1");
  const auto of = [&](std::vector<std::string> patterns) {
    const auto out = d.from(std::move(patterns), "/x/").digest();
    REQUIRE(out);
    CHECK(out->digest.size() == 64);
    return out->kind + ":" + out->digest;
  };
  const std::string dir = of({"dir"}), one = of({"one"});
  CHECK(dir.starts_with("dir:"));
  CHECK(one.starts_with("file:"));
  CHECK(of({"on*"}) == one);
  CHECK(of({"one", "dir"}).starts_with("multi:"));
  d.file("src/dir/a", "1", 0644, 1000), d.time("src/dir/a", 3), d.time("src/dir", 4);
  CHECK(of({"dir"}) == dir);
  d.job.trees[0].ignore = {"dir/c"}, d.file("src/dir/c");
  CHECK(of({"dir"}) == dir);
  d.job.trees[0].ignore.clear();
  CHECK(of({"dir"}) != dir);
  REQUIRE(::unlink(d.at("src/dir/c").c_str()) == 0);
  CHECK(of({"dir"}) == dir);
  d.file("src/dir/a", "1", 0755);
  CHECK(of({"dir"}) != dir);
  d.file("src/dir/a", "2", 0644), d.file("src/dir/b", "1");
  CHECK(of({"dir"}) != dir);
  d.job.trees[0].stage = true;
  const std::string of_stage = of({"dir"});
  d.file("src/dir/b", "1", 0644, 1000);
  CHECK(of({"dir"}) != of_stage);  // whose owners are kept
  tar(d.at("src/t.tar"), {{"f", "1"}});
  const std::string plain = of({"t.tar"});
  d.job.sources[0].unpack = true;
  CHECK(d.digest()->digest != plain.substr(5));
  CHECK(d.digest()->kind == "file");
}

}  // namespace panal
