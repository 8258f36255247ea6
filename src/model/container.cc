#include "model/container.h"

#include <array>

namespace panal {

static constexpr std::array<std::string_view, 7> kPhases = {"created", "running", "paused", "restarting", "removing", "exited", "dead"};

std::string_view name_of(Phase phase) { return kPhases[static_cast<size_t>(phase)]; }
bool from_name(std::string_view name, Phase& out) {
  for (size_t i = 0; i < kPhases.size(); ++i)
    if (kPhases[i] == name) {
      out = static_cast<Phase>(i);
      return true;
    }
  return false;
}

}  // namespace panal
