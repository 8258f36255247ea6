#include "unpack/paths.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

namespace panal {

TEST_CASE("asked paths are made absolute and keep what says that a folder is meant") {
  CHECK(absolute_path("/etc/passwd") == "/etc/passwd");
  CHECK(absolute_path("etc//passwd") == "/etc/passwd");
  CHECK(absolute_path("/etc/") == "/etc/");
  CHECK(absolute_path("/etc/.") == "/etc/.");
  CHECK(absolute_path("/etc/./") == "/etc/./");
  CHECK(absolute_path("/t/../t/./f") == "/t/f");
  CHECK(absolute_path("../../../etc") == "/etc");
  CHECK(absolute_path("/..") == "/");
  CHECK(absolute_path("/") == "/");
  CHECK(absolute_path(".") == "/.");
}

TEST_CASE("the last word of a path") {
  CHECK(base_name("/") == "/");
  CHECK(base_name("///") == "/");
  CHECK(base_name("/etc/.") == ".");
  CHECK(base_name("/etc//") == "etc");
  CHECK(base_name("/etc/passwd") == "passwd");
}

TEST_CASE("entries stay below their folder") {
  CHECK(inside_path("./a/b") == "a/b");
  CHECK(inside_path("/a//b/") == "a/b");
  CHECK(inside_path("a/../b") == "b");
  CHECK(inside_path("./") == "");
  CHECK(inside_path("a/..") == "");
  CHECK(!inside_path(".."));
  CHECK(!inside_path("a/../../b"));
  CHECK(!inside_path("/../etc"));
}

TEST_CASE("modes as Go writes them") {
  CHECK(go_mode(S_IFREG | 0755) == 493);
  CHECK(go_mode(S_IFDIR | 0755) == 2147484141u);
  CHECK(go_mode(S_IFLNK | 0777) == 134218239u);
  CHECK(go_mode(S_IFDIR | S_ISVTX | 0777) == 2148532735u);
  CHECK(go_mode(S_IFIFO | 0644) == 33554852u);
  CHECK(go_mode(S_IFCHR | 0644) == 69206436u);
  CHECK(go_mode(S_IFREG | S_ISUID | 0755) == (1u << 23 | 0755));
}

}  // namespace panal
