#include "sys/crun/runtime_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>

#include <filesystem>

namespace panal {

static int run(RuntimeFile& file) {
  Spawn what;
  what.argv = {file.give(what, 5)};
  const auto pid = spawn(what);
  REQUIRE(pid);
  int status = 0;
  ::waitpid(*pid, &status, 0);
  return WEXITSTATUS(status);
}

TEST_CASE("the runtime's program runs, also after an upgrade, and cannot be written to") {
  const std::string folder = std::filesystem::temp_directory_path() /
                             ("panal-runtime-file-" + std::to_string(::getpid())),
                    path = folder + "/program";
  REQUIRE(make_dirs(folder));
  RuntimeFile file(path);
  REQUIRE(write_file(path, "#!/bin/sh\nexit 3\n", 0755));
  CHECK(run(file) == 3);
  CHECK(run(file) == 3);
  Spawn what;
  const std::string seen = file.give(what, 5);
  if (!what.fds.empty()) {  // who may not mount has the path itself
    const int fd = ::open(("/proc/self/fd/" + std::to_string(what.fds[0].first)).c_str(),
                          O_WRONLY | O_CLOEXEC),
              error = errno;
    CHECK(fd == -1);
    CHECK(error == EROFS);
    CHECK(seen == "/proc/self/fd/5");
  }
  REQUIRE(write_file_atomic(path, "#!/bin/sh\nexit 4\n", 0755));  // as a package manager does it
  CHECK(run(file) == 4);
  (void)remove_tree(folder);
}

}  // namespace panal
