#include "engine/devices/device_requests.h"

#include <algorithm>

#include "base/text.h"

namespace panal {
namespace {

using Words = std::vector<std::string>;
constexpr int kMostCounted = 1024;
constexpr const char* kNvidiaParts[] = {"compute", "compat32", "graphics", "utility", "video", "display"};

bool nvidia_part(const std::string& word) {
  return std::ranges::find(kNvidiaParts, word) != std::end(kNvidiaParts);
}
bool nvidia_knows(const std::string& word) { return word == "gpu" || word == "nvidia" || nvidia_part(word); }
bool amd_knows(const std::string& word) { return word == "gpu" || word == "amd"; }

/// The first of the lists whose words are all known.
const Words* match(const std::vector<Words>& any_of, bool (*known)(const std::string&)) {
  const auto it =
      std::ranges::find_if(any_of, [&](const Words& all) { return std::ranges::all_of(all, known); });
  return it == any_of.end() ? nullptr : &*it;
}

Result<Words> ids_of(const DeviceRequest& r) {
  if (r.count != 0 && !r.device_ids.empty())
    return fail(Code::kInvalid, "cannot set both Count and DeviceIDs on device request");
  if (r.count > kMostCounted)
    return fail(Code::kInvalid, "count " + std::to_string(r.count) + " of a device request is more than " +
                                    std::to_string(kMostCounted));
  if (!r.device_ids.empty()) return r.device_ids;
  if (r.count < 0) return Words{"all"};
  if (r.count == 0) return Words{"void"};
  Words out;
  for (int i = 0; i < r.count; ++i) out.push_back(std::to_string(i));
  return out;
}

Result<OciEdits> from_nvidia(const DeviceRequest& r, const Words& words, const DeviceDrivers& drivers,
                             const CdiDevices& cdi) {
  TRY(const Words ids, ids_of(r));
  if (drivers.nvidia_cdi && ids != Words{"void"}) {
    Words names;
    for (const auto& id : ids)
      names.push_back(id.starts_with("nvidia.com/gpu=") ? id : "nvidia.com/gpu=" + id);
    auto edits = cdi.edits(names);
    if (edits || drivers.nvidia_hook.empty()) return edits;
  }
  OciEdits out;
  out.env.push_back("NVIDIA_VISIBLE_DEVICES=" + join(ids, ","));
  Words parts;
  std::ranges::copy_if(words, std::back_inserter(parts), nvidia_part);
  if (!parts.empty()) out.env.push_back("NVIDIA_DRIVER_CAPABILITIES=" + join(parts, ","));
  if (!drivers.nvidia_hook.empty())
    out.hooks.push_back({"prestart",
                         drivers.nvidia_hook,
                         {"nvidia-container-runtime-hook", "prestart"},
                         drivers.environment,
                         {}});
  return out;
}

std::string shown(const std::vector<Words>& capabilities) {
  Words lists;
  for (const auto& words : capabilities) lists.push_back("[" + join(words, " ") + "]");
  return "[" + join(lists, " ") + "]";
}

}  // namespace

Result<OciEdits> requested_devices(const std::vector<DeviceRequest>& requests, const DeviceDrivers& drivers,
                                   const CdiDevices& cdi) {
  const bool nvidia = !drivers.nvidia_hook.empty() || drivers.nvidia_cdi, amd = drivers.amd && !nvidia;
  OciEdits out;
  Words names;
  for (const auto& r : requests) {
    const auto asked = [&](const char* driver) { return r.driver.empty() || r.driver == driver; };
    if (r.driver == "cdi" && !drivers.cdi_dirs.empty()) {
      if (r.count != 0) return fail(Code::kInvalid, "unexpected count in CDI device request");
      if (!r.options.empty()) return fail(Code::kInvalid, "unexpected options in CDI device request");
      names.insert(names.end(), r.device_ids.begin(), r.device_ids.end());
    } else if (const Words* words =
                   nvidia && asked("nvidia") ? match(r.capabilities, nvidia_knows) : nullptr) {
      TRY(const OciEdits edits, from_nvidia(r, *words, drivers, cdi));
      out.append(edits);
    } else if (amd && asked("amd") && match(r.capabilities, amd_knows)) {
      TRY(const Words ids, ids_of(r));
      out.env.push_back("AMD_VISIBLE_DEVICES=" + join(ids, ","));
    } else {
      return fail(Code::kInvalid, "could not select device driver \"" + r.driver.substr(0, 256) +
                                      "\" with capabilities: " + shown(r.capabilities).substr(0, 1024));
    }
  }
  if (names.empty()) return out;
  TRY(const OciEdits edits, cdi.edits(names));
  out.append(edits);
  return out;
}

}  // namespace panal
