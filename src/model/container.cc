#include "model/image.h"

#include <array>

namespace panal {

PANAL_RECORD_MEMBERS(ContainerConfig);
PANAL_RECORD_MEMBERS(Mount);
PANAL_RECORD_MEMBERS(HostConfig);
PANAL_RECORD_MEMBERS(Endpoint);
PANAL_RECORD_MEMBERS(Container);
PANAL_RECORD_MEMBERS(Image);
PANAL_RECORD_MEMBERS(Network);
bool Mount::operator==(const Mount&) const = default;

static constexpr std::array<std::string_view, 7> kPhases = {"created",  "running", "paused", "restarting",
                                                            "removing", "exited",  "dead"};

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
