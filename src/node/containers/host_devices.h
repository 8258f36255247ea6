// The host's device nodes, for containers that get some of them.
#pragma once
#include <vector>

#include "engine/devices/cdi.h"
#include "engine/devices/devices.h"
#include "model/container.h"

namespace panal {

/// What --device and --privileged give, beside the nodes every container has. A folder stands for all devices
/// in it.
Result<std::vector<DeviceNode>> gather_devices(const HostConfig& host);
/// A node as a CDI file describes it, filled in from the host's; `uid` and `gid` where it says nothing.
Result<DeviceNode> device_of(const CdiNode& wish, uint32_t uid, uint32_t gid);
/// All vendors' files: blocking.
CdiDevices read_cdi_devices(const std::vector<std::string>& dirs);
/// Numbers of the block devices that limits name.
Result<DeviceNumbers> numbers_of(const BlkioLimits& limits);

}  // namespace panal
