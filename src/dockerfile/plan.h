// Which stages of a Dockerfile a build needs, what each of them waits for, and how the steps are counted.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "dockerfile/expand.h"
#include "dockerfile/parse.h"

namespace panal {

struct StagePlan {
  bool wanted = false;
  std::string base, platform;        // expanded; platform "": none was named
  std::optional<size_t> base_stage;  // `base` is a stage before this one
  std::vector<size_t> needs;         // stages, each once
  int first_step = 0;                // the number of its FROM
};

struct BuildPlan {
  std::vector<StagePlan> stages;  // one for each of the Dockerfile
  size_t target = 0;
  int steps = 0;
};

/// `target`: a stage's name or number, "" for the last. `globals`: what may stand in FROM.
Result<BuildPlan> plan_build(const Dockerfile& file, const std::string& target, const Variables& globals,
                             std::string_view name);
/// The stage that --from names by name or number, among those before stage `at`; none: it is an image.
std::optional<size_t> stage_named(const Dockerfile& file, const std::string& name, size_t at);

}  // namespace panal
