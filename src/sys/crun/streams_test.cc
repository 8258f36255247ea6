#include "sys/crun/streams.h"

#include <doctest/doctest.h>

namespace panal {

TEST_CASE(
    "a shell stands before crun only where it would give away the host's /dev/null, or pipes to nobody") {
  const auto start = [](bool mapped, bool in, bool tty) {
    MonitorStart s;
    s.mapped_users = mapped, s.open_stdin = in, s.tty = tty;
    return fix_streams(s);
  };
  CHECK(start(false, false, false).none());
  CHECK(start(false, true, true).none());
  CHECK(start(true, true, false).none());
  CHECK(start(true, false, false).after == " <<.\n.\n");
  CHECK(start(true, true, true).after == " >&2 <<.\n.\n");
  const auto exec = [](uint32_t root, uint32_t uid, bool in, bool tty) {
    ExecStart s;
    s.root_uid = root, s.root_gid = root, s.uid = uid, s.open_stdin = in, s.tty = tty;
    return fix_streams(s);
  };
  CHECK(exec(0, 0, false, false).none());
  CHECK(exec(0, 5, true, false).none());
  CHECK(exec(0, 5, false, true).none());
  CHECK(exec(0, 5, false, false).after == " <<.\n.\n");
  CHECK(exec(700, 0, true, false).before.find("chown 700:700 $p") != std::string::npos);

  std::vector<std::string> words;
  add_runtime_script(words, start(false, false, false), "/crun");
  CHECK(words.empty());
  CHECK(runtime_program(start(false, false, false), "/crun") == "/crun");
  add_runtime_script(words, start(true, false, false), "/crun");
  CHECK(words == std::vector<std::string>{"--runtime-arg", "-c", "--runtime-arg",
                                          "exec /crun \"$@\" <<.\n.\n", "--runtime-arg", "crun"});
  CHECK(runtime_program(start(true, false, false), "/crun") == "/bin/sh");
}

}  // namespace panal
