// Devices by request (CDI, --gpus) at a container's start: the vendors' files are read anew each time, as
// they come and go.
#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "node/containers/containers.h"
#include "node/containers/host_devices.h"

namespace panal {

static constexpr size_t kMostFiles = 256, kMostBytes = 1 << 20;

CdiDevices read_cdi_devices(const std::vector<std::string>& dirs) {
  CdiDevices out;
  for (size_t i = 0; i < dirs.size(); ++i) {
    size_t files = 0;
    for (const auto& name : list_dir(dirs[i])) {
      const std::string path = dirs[i] + "/" + name;
      if ((!name.ends_with(".json") && !name.ends_with(".yaml")) || exists(path + "/.")) continue;
      if (++files > kMostFiles) {
        out.problems[dirs[i]].push_back("more than " + std::to_string(kMostFiles) +
                                        " files: the rest is not read");
        break;
      }
      out.add(path, static_cast<int>(i), read_file(path, kMostBytes));
    }
  }
  (void)out.by_name(&out.problems);
  return out;
}

Task<Result<>> Containers::add_requested_devices(const Container& c, OciInputs& in) {
  if (c.host.device_requests.empty()) co_return Result<>{};
  auto read = [dirs = paths_.device_drivers.cdi_dirs] { return read_cdi_devices(dirs); };
  const CdiDevices cdi = co_await blocking(loop_, read);
  auto edits = requested_devices(c.host.device_requests, paths_.device_drivers, cdi);
  if (!edits) {
    for (const auto& [file, problems] : cdi.problems)
      for (const auto& problem : problems) log::warn("msg=\"CDI\" file={} error=\"{}\"", file, problem);
    co_return std::unexpected(edits.error());
  }
  for (const auto& wish : edits->nodes) {
    CO_TRY(DeviceNode node, device_of(wish, in.user.uid, in.user.gid));
    std::erase_if(in.devices, [&](const DeviceNode& other) { return other.path == node.path; });
    in.devices.push_back(std::move(node));
  }
  in.edits = std::move(*edits);
  co_return Result<>{};
}

}  // namespace panal
