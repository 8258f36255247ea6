#include "dockerfile/plan.h"

#include <algorithm>

#include "base/text.h"
#include "dockerfile/mounts.h"

namespace panal {

std::optional<size_t> stage_named(const Dockerfile& file, const std::string& name, size_t at) {
  const std::string wanted = lower(name);
  for (size_t i = std::min(at, file.stages.size()); i-- > 0;)
    if (!wanted.empty() && file.stages[i].name == wanted) return i;
  const auto number = parse_int(name);
  if (number && *number >= 0 && static_cast<size_t>(*number) < at) return static_cast<size_t>(*number);
  return std::nullopt;
}

static Result<size_t> find_target(const Dockerfile& file, const std::string& target) {
  if (target.empty()) return file.stages.size() - 1;
  if (const auto found = stage_named(file, target, file.stages.size())) return *found;
  return fail(Code::kInvalid, "target stage \"" + target.substr(0, 128) + "\" could not be found");
}

// What a step takes files from: names or numbers of stages, images; "" is the context.
static Result<std::vector<std::string>> sources_of(const Instruction& step) {
  std::vector<std::string> out;
  if (step.word == Word::kCopy) {
    out.push_back(step.flag("from"));
    if (out.back().contains('$'))
      return fail(Code::kInvalid,
                  "variable expansion is not supported for --from, define a new stage with FROM using ARG "
                  "from global scope as a workaround");
  }
  if (step.word != Word::kRun) return out;
  for (const auto& [flag, value] : step.flags) {
    if (flag != "mount") continue;
    auto mount = parse_run_mount(value);
    if (!mount && value.contains('$')) continue;  // it may be right when it is expanded
    if (!mount) return fail(mount.error());
    if (mount->from.contains('$'))
      return fail(Code::kInvalid, "'from' doesn't support variable expansion, define alias stage instead");
    out.push_back(mount->from);
  }
  return out;
}

static void need(StagePlan& plan, std::optional<size_t> stage) {
  if (stage && std::ranges::find(plan.needs, *stage) == plan.needs.end()) plan.needs.push_back(*stage);
}

Result<BuildPlan> plan_build(const Dockerfile& file, const std::string& target, const Variables& globals,
                             std::string_view name) {
  BuildPlan out;
  out.stages.resize(file.stages.size());
  TRY(out.target, find_target(file, target));
  std::vector<size_t> open = {out.target};
  while (!open.empty()) {
    const size_t at = open.back();
    open.pop_back();
    StagePlan& plan = out.stages[at];
    if (std::exchange(plan.wanted, true)) continue;
    const Stage& stage = file.stages[at];
    const auto place = std::string(name) + ":" + std::to_string(stage.from.line);
    auto base = expand_word(stage.base, file.escape, globals);
    auto platform = expand_word(stage.from.flag("platform"), file.escape, globals);
    if (!base || !platform) return fail(wrap(place, base ? platform.error() : base.error()));
    if (base->empty())
      return fail(Code::kInvalid,
                  place + ": base name (" + stage.base.substr(0, 128) + ") should not be blank");
    plan.base = *base, plan.platform = *platform;
    for (size_t i = at; i-- > 0 && !plan.base_stage;)  // by name alone: "FROM 0" is an image
      if (!file.stages[i].name.empty() && file.stages[i].name == lower(plan.base)) plan.base_stage = i;
    need(plan, plan.base_stage);
    std::vector<Instruction> steps = stage.steps;
    for (const auto& step :
         plan.base_stage ? file.stages[*plan.base_stage].steps : std::vector<Instruction>{})
      if (step.word == Word::kOnbuild) {
        TRY(Instruction trigger, parse_instruction({step.line, step.rest, step.heredocs}, file.escape, name));
        steps.push_back(std::move(trigger));
      }
    for (const auto& step : steps) {
      auto sources = sources_of(step);
      if (!sources) return fail(wrap(std::string(name) + ":" + std::to_string(step.line), sources.error()));
      for (const auto& source : *sources) need(plan, stage_named(file, source, at));
    }
    open.insert(open.end(), plan.needs.begin(), plan.needs.end());
  }
  out.steps = static_cast<int>(file.arguments.size());
  for (size_t i = 0; i < out.stages.size(); ++i) {
    if (!out.stages[i].wanted) continue;
    out.stages[i].first_step = out.steps + 1;
    out.steps += 1 + static_cast<int>(file.stages[i].steps.size());
  }
  return out;
}

}  // namespace panal
