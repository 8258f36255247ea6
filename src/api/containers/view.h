// The API's views of a container.
#pragma once
#include "api/api.h"
#include "base/json.h"

namespace panal {

Json container_inspect(ApiParts& p, const LiveContainer& live);
/// `links`: of all containers, made once for a list.
Json container_summary(ApiParts& p, const Container& c, const Containers::LinkNames& links);
/// SizeRw and SizeRootFs; the writable layer is measured.
Task<void> add_sizes(ApiParts& p, LivePtr live, Json& view);
/// "Up 3 minutes (healthy)", "Exited (0) 2 hours ago".
std::string status_text(const Container& c, WallTime now);
Json mount_json(const MountPoint& m);

}  // namespace panal
