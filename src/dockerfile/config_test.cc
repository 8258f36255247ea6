#include "dockerfile/config.h"

#include <doctest/doctest.h>

namespace panal {

using Strings = std::vector<std::string>;

static std::string refused(const char* change) {
  ImageDraft draft;
  const auto done = apply_changes(draft, {change});
  return done ? "no error" : done.error().message;
}

TEST_CASE("changes of commit and import are Dockerfile instructions") {
  ImageDraft d;
  d.config.env = {"PATH=/bin"};
  REQUIRE(
      apply_changes(d, {"CMD [\"a\",\"b\"]", "ENTRYPOINT run it", "ENV A=\"x y\" PATH=$PATH:/opt", "ENV B c",
                        "EXPOSE 80 53/udp 8000-8002", "LABEL l=m \"n\"='o p'", "USER u", "WORKDIR /w",
                        "WORKDIR x/../y", "VOLUME /v [x]", "STOPSIGNAL SIGINT", "MAINTAINER me",
                        "ONBUILD RUN make", "HEALTHCHECK --interval=5s --retries=3 CMD true"}));
  CHECK(*d.config.cmd == Strings{"a", "b"});
  CHECK(*d.config.entrypoint == Strings{"/bin/sh", "-c", "run it"});
  CHECK(d.config.env == Strings{"PATH=/bin:/opt", "A=x y", "B=c"});
  CHECK(d.config.exposed_ports.size() == 5);
  CHECK(d.config.exposed_ports.contains("8001/tcp"));
  CHECK(d.config.labels == std::map<std::string, std::string>{{"l", "m"}, {"n", "o p"}});
  CHECK(d.config.working_dir == "/w/y");
  CHECK(d.config.volumes.size() == 2);
  CHECK(d.config.stop_signal == "SIGINT");
  CHECK(d.config.on_build == Strings{"RUN make"});
  CHECK(d.author == "me");
  REQUIRE(d.config.healthcheck.has_value());
  CHECK(d.config.healthcheck->test == Strings{"CMD-SHELL", "true"});
  CHECK(d.config.healthcheck->interval == 5'000'000'000);
  CHECK(d.config.healthcheck->retries == 3);
}

TEST_CASE("an entrypoint of its own drops the command that came from below") {
  ImageDraft d;
  d.config.cmd = Strings{"old"};
  REQUIRE(apply_changes(d, {"ENTRYPOINT [\"x\"]"}));
  CHECK(!d.config.cmd.has_value());
  REQUIRE(apply_changes(d, {"SHELL [\"/bin/bash\",\"-ec\"]", "CMD go"}));
  CHECK(*d.config.cmd == Strings{"/bin/bash", "-ec", "go"});
}

TEST_CASE("what is no change says why") {
  CHECK(refused("RUN x") == "run is not a valid change command");
  CHECK(refused("ENV") == "ENV requires at least one argument");
  CHECK(refused("FUTURE x") == "unknown instruction: FUTURE");
  CHECK(refused("EXPOSE 99999") == "invalid containerPort: 99999");
  CHECK(refused("EXPOSE a/b") == "invalid containerPort: a/b");
  CHECK(refused("STOPSIGNAL NONE") != "no error");
  CHECK(refused("HEALTHCHECK --interval=x CMD y") == "invalid duration \"x\" for --interval");
  CHECK(refused("USER ${x:?who}") == "x: who");
}

}  // namespace panal
