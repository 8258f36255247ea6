#include "engine/top.h"

#include <doctest/doctest.h>

namespace panal {

TEST_CASE("ps: words, and columns that are only called PID") {
  CHECK(ps_words("").value() == std::vector<std::string>{"-ef"});
  CHECK(ps_words("-o pid,cmd").value() == std::vector<std::string>{"-o", "pid,cmd"});
  CHECK(ps_words("-o pid=PID").has_value());
  CHECK(ps_words("-o ppid=PID").error().message == "specifying \"ppid=PID\" is not allowed");
  CHECK(ps_words("-o ppid= PIDX").error().message == "specifying \"ppid=PIDX\" is not allowed");
}

TEST_CASE("ps: the container's processes, whole commands, threads with their process") {
  const auto table = parse_ps(
                         "UID  PID PPID CMD\nroot 1 0 /sbin/init splash\nroot 7 1 sleep 1000\nroot - - "
                         "-\nroot 8 1 sh -c 'x  y'\nroot - - -\n",
                         {7})
                         .value();
  CHECK(table.titles == std::vector<std::string>{"UID", "PID", "PPID", "CMD"});
  CHECK(table.rows ==
        std::vector<std::vector<std::string>>{{"root", "7", "1", "sleep 1000"}, {"root", "-", "-", "-"}});
  CHECK(parse_ps("A B\n1 2\n", {1}).error().message == "Couldn't find PID field in ps output");
  CHECK(!parse_ps("PID\nx\n", {1}));
  CHECK(parse_ps("", {}).error().message == "Couldn't find PID field in ps output");
}

}  // namespace panal
