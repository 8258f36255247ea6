// What the swarm's resources share.
#pragma once
#include "api/api.h"
#include "base/json.h"
#include "node/cluster/swarm_node.h"
#include "store/rules.h"

namespace panal {

/// The manager of this node, having applied every write acknowledged before; or Docker's refusal.
Task<Result<ManagerPtr>> manager_of(Api& api);
/// Writes what `next` makes of the object as it is now. Refused when another user changed it since `version`;
/// made again when only the system did: a status that moves must not cost a user the update.
Task<Result<>> user_write(Api& api, Manager& manager, Kind kind, uint64_t version,
                          std::function<Result<Object>()> next);
/// ?version=, which updates must carry.
Result<uint64_t> version_of(const HttpRequest& request);
Json meta_json(const Meta& meta);
Result<const Service*> find_service(const Manager& manager, const std::string& name);
Result<const ClusterTask*> find_task(const Manager& manager, const std::string& id);
/// Appends its digest to an image's name, for clients of before API 1.30, which do not ask for it; a warning
/// when nobody knows it.
Task<std::string> pin_image(ApiParts& parts, std::string& image, std::string auth_header);
void add_task_routes(Api& api);
void add_secret_routes(Api& api);
void add_service_log_routes(Api& api);

}  // namespace panal
