#include "model/cluster.h"

#include <array>

namespace panal {

PANAL_RECORD_MEMBERS(Node);
PANAL_RECORD_MEMBERS(ContainerSpec);
PANAL_RECORD_MEMBERS(TaskSpec);
PANAL_RECORD_MEMBERS(ServiceSpec);
PANAL_RECORD_MEMBERS(Service);
PANAL_RECORD_MEMBERS(ClusterTask);
PANAL_RECORD_MEMBERS(ClusterSettings);
bool ContainerSpec::operator==(const ContainerSpec&) const = default;

template <class E, size_t N>
static bool lookup(const std::array<std::string_view, N>& names, std::string_view name, E& out) {
  for (size_t i = 0; i < N; ++i)
    if (names[i] == name) {
      out = static_cast<E>(i);
      return true;
    }
  return false;
}

static constexpr std::array<std::string_view, 2> kRoles = {"worker", "manager"};
static constexpr std::array<std::string_view, 3> kAvailabilities = {"active", "pause", "drain"};
static constexpr std::array<std::string_view, 4> kNodeStates = {"unknown", "down", "ready", "disconnected"};
static constexpr std::array<std::string_view, 14> kTaskStates = {
    "new",     "pending",  "assigned", "accepted", "preparing", "ready",  "starting",
    "running", "complete", "shutdown", "failed",   "rejected",  "remove", "orphaned"};

std::string_view name_of(NodeRole v) { return kRoles[static_cast<size_t>(v)]; }
bool from_name(std::string_view n, NodeRole& v) { return lookup(kRoles, n, v); }
std::string_view name_of(Availability v) { return kAvailabilities[static_cast<size_t>(v)]; }
bool from_name(std::string_view n, Availability& v) { return lookup(kAvailabilities, n, v); }
std::string_view name_of(NodeState v) { return kNodeStates[static_cast<size_t>(v)]; }
bool from_name(std::string_view n, NodeState& v) { return lookup(kNodeStates, n, v); }
std::string_view name_of(TaskState v) { return kTaskStates[static_cast<size_t>(v)]; }
bool from_name(std::string_view n, TaskState& v) { return lookup(kTaskStates, n, v); }

}  // namespace panal
