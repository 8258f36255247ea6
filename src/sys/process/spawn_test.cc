#include "sys/process/spawn.h"

#include <sys/wait.h>

#include <cstdlib>

#undef CHECK
#include <doctest/doctest.h>

namespace panal {

TEST_CASE("a child's environment is the daemon's, and what is named for it wins") {
  ::setenv("PANAL_SPAWN_TEST", "daemon's", 1);
  ::setenv("PANAL_SPAWN_TEST_TOO", "stays", 1);
  Spawn what;
  what.argv = {
      "/bin/sh", "-c",
      R"sh([ "$PANAL_SPAWN_TEST/$PANAL_SPAWN_TEST_TOO" = "child's/stays" ] && [ "$(env | grep -c '^PANAL_SPAWN_TEST=')" = 1 ])sh"};
  what.env = {"PANAL_SPAWN_TEST=child's"};
  const auto pid = spawn(what);
  REQUIRE(pid);
  int status = -1;
  ::waitpid(*pid, &status, 0);
  CHECK(status == 0);
}

}  // namespace panal
