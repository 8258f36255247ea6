// What the swarm's resources share.
#pragma once
#include "api/api.h"
#include "base/json.h"
#include "node/swarm_node.h"

namespace panal {

/// The manager of this node, or Docker's refusal.
Result<Manager*> manager_of(Api& api);
/// ?version=, which updates must carry.
Result<uint64_t> version_of(const HttpRequest& request);
Json meta_json(const Meta& meta);
Result<const Service*> find_service(const Manager& manager, const std::string& name);
Result<const ClusterTask*> find_task(const Manager& manager, const std::string& id);
void add_task_routes(Api& api);
void add_secret_routes(Api& api);
void add_service_log_routes(Api& api);

}  // namespace panal
