// What the engine's own pages say of the swarm. Null: this node is in none.
#pragma once
#include <string>

#include "base/json.h"

namespace panal {

class SwarmNode;

/// The Swarm header of /_ping: "inactive", "active/manager", "active/worker", "locked", "pending".
std::string swarm_state(const SwarmNode* swarm);
/// TLSInfo of the cluster and of its nodes. The node is a manager.
Json tls_info(const SwarmNode& swarm);
/// The Swarm block of /info.
Json swarm_info(const SwarmNode* swarm);

/// Raft's settings in Swarm's terms, as inspect shows them. They are fixed.
const std::map<std::string, int64_t>& raft_settings();

}  // namespace panal
