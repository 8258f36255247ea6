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
  return fail(Code::kInvalid, "failed to reach build target " + target.substr(0, 128) + " in Dockerfile");
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
    for (const auto& step : stage.steps) {
      if (step.word == Word::kCopy) need(plan, stage_named(file, step.flag("from"), at));
      if (step.word != Word::kRun) continue;
      for (const auto& [flag, value] : step.flags)
        if (const auto mount = parse_run_mount(value); flag == "mount" && mount)
          need(plan, stage_named(file, mount->from, at));
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
