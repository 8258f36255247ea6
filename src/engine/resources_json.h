// The OCI runtime's form of a container's limits (runtime-spec config-linux.md, "resources"). Include in .cc
// files only.
#pragma once
#include "base/json.h"
#include "engine/devices/devices.h"
#include "model/container.h"

namespace panal {

Json resources_json(const HostConfig& host, bool cgroup_v2, const DeviceNumbers& block_devices = {});

}  // namespace panal
