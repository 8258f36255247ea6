#include "sys/crun/attachment.h"

#include <doctest/doctest.h>

namespace panal {

TEST_CASE("what crun says of a program becomes Docker's words") {
  const auto said = [](const char* crun, const char* program) {
    const std::string text = runtime_error(crun, program).message;
    return text.substr(text.find("OCI runtime create failed: ") + 27);
  };
  CHECK(said("executable file `nosuch` not found in $PATH: No such file or directory", "nosuch") ==
        "exec: \"nosuch\": executable file not found in $PATH: unknown");
  CHECK(said("executable file `/no/such` not found in $PATH: No such file or directory", "/no/such") ==
        "exec: \"/no/such\": stat /no/such: no such file or directory: unknown");
  CHECK(said("open executable: Permission denied", "/etc/passwd") ==
        "exec: \"/etc/passwd\": permission denied: unknown");
  CHECK(said("open executable: Operation not permitted", "/tmp") ==
        "exec: \"/tmp\": is a directory: unknown");
  CHECK(said("open executable: Not a directory", "/etc/passwd/x") ==
        "exec: \"/etc/passwd/x\": stat /etc/passwd/x: not a directory: unknown");
  CHECK(said("chdir to `/no`: No such file or directory\n", "sh") ==
        "exec: \"/no\": stat /no: no such file or directory: unknown");
  CHECK(said("writing file `cpuset.cpus`: Numerical result out of range", "sh") ==
        "writing file `cpuset.cpus`: Numerical result out of range: unknown");
}

}  // namespace panal
