// The host's device nodes, for containers that get some of them.
#pragma once
#include <vector>

#include "engine/devices.h"
#include "model/container.h"

namespace panal {

/// What --device and --privileged give, beside the nodes every container has. A folder stands for all devices
/// in it.
Result<std::vector<DeviceNode>> gather_devices(const HostConfig& host);
/// Numbers of the block devices that limits name.
Result<DeviceNumbers> numbers_of(const BlkioLimits& limits);

}  // namespace panal
