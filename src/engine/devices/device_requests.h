// Which driver gives a container the devices that it asks for: --gpus, --device vendor.com/class=name. Pure.
#pragma once
#include "engine/devices/cdi.h"
#include "model/container.h"

namespace panal {

/// What there is on this machine.
struct DeviceDrivers {
  std::vector<std::string> cdi_dirs;     // empty: no CDI
  std::string nvidia_hook;               // path of nvidia-container-runtime-hook, or ""
  bool nvidia_cdi = false, amd = false;  // nvidia-cdi-hook, amd-container-runtime
  std::vector<std::string> environment;  // of the daemon, for the hook
};

/// `cdi`: the devices in the folders of `drivers`. Docker's errors.
Result<OciEdits> requested_devices(const std::vector<DeviceRequest>& requests, const DeviceDrivers& drivers,
                                   const CdiDevices& cdi);

}  // namespace panal
