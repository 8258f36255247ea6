#include "dockerfile/parse.h"

#include <doctest/doctest.h>

namespace panal {

static std::string error_of(std::string_view text) {
  const auto file = parse_dockerfile(text);
  return file ? "no error" : file.error().message;
}
static Instruction first(std::string_view line) {
  const auto file = parse_dockerfile("FROM scratch\n" + std::string(line));
  if (!file) FAIL(file.error().message);
  REQUIRE(!file->stages[0].steps.empty());
  return file->stages[0].steps[0];
}
using Strings = std::vector<std::string>;

TEST_CASE("stages, names and the arguments before them") {
  const auto file = parse_dockerfile(
      "ARG V=1\nFROM --platform=$P debian:${V} AS Builder\nRUN make\nFROM scratch\nCOPY --from=builder /a "
      "/b\n");
  REQUIRE(file.has_value());
  REQUIRE(file->stages.size() == 2);
  CHECK(file->arguments[0].pairs[0] == std::pair<std::string, std::string>{"V", "1"});
  CHECK(file->stages[0].name == "builder");
  CHECK(file->stages[0].base == "debian:${V}");
  CHECK(file->stages[0].from.flag("platform") == "$P");
  CHECK(file->stages[1].steps[0].flag("from") == "builder");
  CHECK(file->stages[1].steps[0].args == Strings{"/a", "/b"});
  CHECK(file->stages[1].steps[0].line == 5);
}

TEST_CASE("lines are continued, comments and empty lines fall out") {
  const auto run = first("# a comment\nRUN a \\\n  # within\n\n  && b\\\nc\n");
  CHECK(run.args == Strings{"a   && bc"});
  CHECK(run.line == 3);
  CHECK(first("RUN echo a\\\\\n").args == Strings{"echo a\\\\"});
  CHECK(first("run\techo  x  ").text == "RUN echo  x");
}

TEST_CASE("parser directives") {
  const auto file =
      parse_dockerfile("# syntax=docker/dockerfile:1\n# escape=`\nFROM scratch\nRUN a `\n b\nENV P=C:\\x\n");
  REQUIRE(file.has_value());
  CHECK(file->escape == '`');
  CHECK(file->stages[0].steps[0].args == Strings{"a  b"});
  CHECK(file->stages[0].steps[1].pairs[0].second == "C:\\x");
  CHECK(error_of("# escape=x\nFROM a") == "Dockerfile:1: invalid ESCAPE 'x'. Must be ` or \\");
  CHECK(error_of("# escape=`\n# escape=`\nFROM a") ==
        "Dockerfile:2: only one escape parser directive can be used");
  CHECK(parse_dockerfile("FROM a\n# escape=x\n").has_value());  // below an instruction it is a comment
}

TEST_CASE("exec and shell form") {
  CHECK(first("CMD [\"a\", \"b c\"]").args == Strings{"a", "b c"});
  CHECK(first("CMD [\"a\", \"b c\"]").exec_form);
  CHECK(!first("CMD [ 'a' ]").exec_form);
  CHECK(first("CMD [ 'a' ]").args == Strings{"[ 'a' ]"});
  CHECK(first("COPY [\"a b\", \"/c\"]").args == Strings{"a b", "/c"});
  CHECK(first("VOLUME /a /b").args == Strings{"/a", "/b"});
  CHECK(first("CMD").args == Strings{""});
}

TEST_CASE("ENV, LABEL and ARG") {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  CHECK(first("ENV a=b c=\"d e\" f=g\\ h").pairs == Pairs{{"a", "b"}, {"c", "\"d e\""}, {"f", "g\\ h"}});
  CHECK(first("ENV a  b c").pairs == Pairs{{"a", "b c"}});
  CHECK(first("LABEL \"x.y\"=1").pairs == Pairs{{"\"x.y\"", "1"}});
  const auto arg = first("ARG a b=1");
  CHECK(arg.pairs == Pairs{{"a", ""}, {"b", "1"}});
  CHECK(arg.has_value == std::vector<bool>{false, true});
}

TEST_CASE("here-documents") {
  const auto run = first("RUN <<EOT bash -e\necho $a\n\n# kept\nEOT\n");
  REQUIRE(run.heredocs.size() == 1);
  CHECK(run.heredocs[0].content == "echo $a\n\n# kept\n");
  CHECK(run.args == Strings{"<<EOT bash -e"});
  const auto copy = first("COPY <<-\"a.txt\" <<b.txt /x/\n\tone\n\ta.txt\ntwo\nb.txt\n");
  REQUIRE(copy.heredocs.size() == 2);
  CHECK(copy.heredocs[0].name == "a.txt");
  CHECK(copy.heredocs[0].content == "one\n");
  CHECK(!copy.heredocs[0].expand);
  CHECK(copy.heredocs[1].content == "two\n");
  CHECK(copy.heredocs[1].expand);
  CHECK(first("RUN cat <<<EOT").heredocs.empty());
  CHECK(first("ENV a=<<EOT").heredocs.empty());
  CHECK(first("ONBUILD RUN <<X\na\nX\n").heredocs.size() == 1);
  CHECK(error_of("FROM a\nRUN <<EOT\nx\n") == "Dockerfile:2: unterminated heredoc");
}

TEST_CASE("health checks") {
  const auto check = first("HEALTHCHECK --interval=5s --retries=3 CMD curl -f http://x");
  CHECK(check.args == Strings{"CMD-SHELL", "curl -f http://x"});
  CHECK(check.flag("interval") == "5s");
  CHECK(first("HEALTHCHECK cmd [\"a\",\"b\"]").args == Strings{"CMD", "a", "b"});
  CHECK(first("HEALTHCHECK NONE").args == Strings{"NONE"});
}

TEST_CASE("flags") {
  const auto copy = first("COPY --from=0 --chown=a:b --link --exclude=*.o --exclude=x . /");
  CHECK(copy.flag("from") == "0");
  CHECK(copy.flag("link") == "true");
  CHECK(copy.flags.size() == 5);
  CHECK(copy.rest == ". /");
  CHECK(first("RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t make").flags.size() == 2);
  CHECK(first("CMD --version").args == Strings{"--version"});
  CHECK(error_of("FROM a\nCOPY --form=x a b") == "Dockerfile:2: unknown flag: --form");
  CHECK(error_of("FROM a\nCOPY --from a b") == "Dockerfile:2: missing a value on flag: from");
  CHECK(error_of("FROM a\nCOPY --from=a --from=b a b") == "Dockerfile:2: duplicate flag specified: from");
}

TEST_CASE("errors name file and line") {
  CHECK(error_of("FROM a\n\nRUNN x") == "Dockerfile:3: unknown instruction: RUNN (did you mean RUN?)");
  CHECK(error_of("FROM a\nFUTURE x") == "Dockerfile:2: unknown instruction: FUTURE");
  CHECK(error_of("FROM a\nCOPY x") ==
        "Dockerfile:2: COPY requires at least two arguments, but only one was provided. Destination could "
        "not be determined.");
  CHECK(error_of("FROM a b") == "Dockerfile:1: FROM requires either one or three arguments");
  CHECK(error_of("RUN x\nFROM a") == "Dockerfile:1: no build stage in current context");
  CHECK(error_of("ARG x") == "Dockerfile: no build stage in current context");
  CHECK(error_of("# nothing\n") == "file with no instructions");
  CHECK(error_of("FROM a AS 1x") ==
        "Dockerfile:1: invalid name for build stage: \"1x\", name can't start with a number or contain "
        "symbols");
  CHECK(error_of("FROM a\nENV x") == "Dockerfile:2: ENV must have two arguments");
  CHECK(error_of("FROM a\nENV a=b c") ==
        "Dockerfile:2: Syntax error - can't find = in \"c\". Must be of the form: name=value");
  CHECK(error_of("FROM a\nSHELL bash") == "Dockerfile:2: SHELL requires the arguments to be in JSON form");
  CHECK(error_of("FROM a\nHEALTHCHECK X y") == "Dockerfile:2: Unknown type \"X\" in HEALTHCHECK (try CMD)");
  CHECK(error_of("FROM a\nONBUILD ONBUILD RUN x") ==
        "Dockerfile:2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  CHECK(error_of("FROM a\nONBUILD RNU x") == "Dockerfile:2: unknown instruction: RNU (did you mean RUN?)");
  CHECK(error_of("FROM a\nWORKDIR") == "Dockerfile:2: WORKDIR requires exactly one argument");
  CHECK(error_of("FROM a AS x\nFROM b AS X") == "Dockerfile:2: duplicate name x");
}

}  // namespace panal
