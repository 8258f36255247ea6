#include "dockerfile/plan.h"

#include "dockerfile/mounts.h"
#undef CHECK
#include <doctest/doctest.h>

namespace panal {

static Result<BuildPlan> plan(std::string_view text, const std::string& target = "") {
  const auto file = parse_dockerfile(text);
  if (!file) FAIL(file.error().message);
  const Variables globals = [](const std::string& name) {
    return name == "V" ? std::optional<std::string>("3") : std::nullopt;
  };
  return plan_build(*file, target, globals, "Dockerfile");
}

TEST_CASE("only the stages that the target needs are built, and counted") {
  const char* text =
      "ARG V\nFROM alpine:$V AS one\nRUN a\nFROM debian AS unused\nRUN b\nRUN c\nFROM one AS two\nCOPY "
      "--from=one /x /\nFROM scratch\nCOPY --from=2 /x /\nRUN --mount=from=one,target=/m d\n";
  auto p = plan(text);
  REQUIRE(p.has_value());
  CHECK(p->target == 3);
  CHECK(p->stages[0].base == "alpine:3");
  CHECK((p->stages[0].wanted && !p->stages[1].wanted && p->stages[2].wanted && p->stages[3].wanted));
  CHECK(p->stages[2].base_stage == 0);
  CHECK(p->stages[2].needs == std::vector<size_t>{0});
  CHECK(p->stages[3].needs == std::vector<size_t>{2, 0});
  CHECK(p->steps == 1 + 2 + 2 + 3);
  CHECK(p->stages[0].first_step == 2);
  CHECK(p->stages[2].first_step == 4);
  p = plan(text, "TWO");
  REQUIRE(p.has_value());
  CHECK((p->target == 2 && p->steps == 5 && !p->stages[3].wanted));
  CHECK(plan(text, "1")->target == 1);
  CHECK(plan(text, "nothere").error().message == "target stage \"nothere\" could not be found");
}

TEST_CASE("a stage's name is an image's outside of what comes before it") {
  const auto p = plan("FROM b AS a\nFROM a AS b\nCOPY --from=b /x /\n");
  REQUIRE(p.has_value());
  CHECK(!p->stages[0].base_stage);
  CHECK(p->stages[1].needs == std::vector<size_t>{0});
  CHECK(plan("FROM $NOT\n").error().message == "Dockerfile:1: base name ($NOT) should not be blank");
}

TEST_CASE("what a stage's ONBUILD copies from is built for those that begin with it") {
  const auto p = plan(
      "FROM b AS src\nRUN a\nFROM b AS base\nONBUILD COPY --from=src /x /\nFROM base AS mid\nFROM scratch\n"
      "COPY --from=mid /x /\n");
  REQUIRE(p.has_value());
  CHECK(p->stages[2].needs == std::vector<size_t>{1, 0});
}

TEST_CASE("where files come from is said without variables, and mounts are read before anything is built") {
  CHECK(
      plan("FROM b\nCOPY --from=$V /x /\n").error().message ==
      "Dockerfile:2: variable expansion is not supported for --from, define a new stage with FROM using ARG "
      "from global scope as a workaround");
  CHECK(plan("FROM b\nRUN --mount=from=$V,target=/m d\n").error().message ==
        "Dockerfile:2: 'from' doesn't support variable expansion, define alias stage instead");
  CHECK(plan("FROM b\nRUN --mount=typ=tmpfs d\n").error().message ==
        "Dockerfile:2: unexpected key 'typ' in 'typ=tmpfs'");
  CHECK(plan("FROM b\nRUN --mount=target=$V d\n").has_value());
}

TEST_CASE("RUN --mount") {
  const auto bind = parse_run_mount("target=/src,from=base,source=/a");
  REQUIRE(bind.has_value());
  CHECK((bind->type == RunMount::Type::kBind && bind->read_only && bind->from == "base" &&
         bind->source == "/a" && bind->target == "/src"));
  CHECK(!parse_run_mount("type=bind,target=/src,rw")->read_only);
  const auto cache =
      parse_run_mount("type=cache,id=apt,dst=/var/cache/apt,sharing=locked,mode=0700,uid=3,gid=4");
  REQUIRE(cache.has_value());
  CHECK((cache->type == RunMount::Type::kCache && !cache->read_only &&
         cache->sharing == RunMount::Sharing::kLocked && cache->mode == 0700u && cache->uid == 3 &&
         cache->gid == 4 && cache->id == "apt"));
  CHECK(parse_run_mount("type=tmpfs,target=/t,size=1m")->size_bytes == 1 << 20);
  CHECK(parse_run_mount("type=secret,id=k,required=true")->required);
  for (const auto& [text, message] :
       {std::pair{"type=odd,target=/a", "unsupported mount type \"odd\""},
        {"type=bind", "invalid mount: target is required"},
        {"type=tmpfs,target=/a,from=x", "unexpected key 'from' for this type of mount"},
        {"target=/a,nonsense=1", "unexpected key 'nonsense' in 'nonsense=1'"},
        {"type=cache,target=/a,sharing=odd", "unsupported sharing value \"odd\""},
        {"type=cache,target=/a,mode=9", "invalid value for mode: 9"}})
    CHECK(parse_run_mount(text).error().message == message);
}

}  // namespace panal
