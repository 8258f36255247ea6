#include "base/path.h"

#include <doctest/doctest.h>

namespace panal {

TEST_CASE("paths are made plain") {
  CHECK(clean_path("./a//b/../c/") == "a/c");
  CHECK(clean_path("../../a") == "a");
  CHECK(clean_path("/") == "");
  CHECK(clean_path("/a//b/./c/") == "a/b/c");
}

}  // namespace panal
