// Limits and devices of a container (Docker Engine API v1.51, definition Resources).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace panal {

struct Ulimit {
  std::string name;
  int64_t soft = 0, hard = 0;
  bool operator==(const Ulimit&) const = default;
};

struct Device {
  std::string path_on_host, path_in_container, cgroup_permissions;
};

/// Devices that a driver gives (--gpus, CDI).
struct DeviceRequest {
  std::string driver;
  int count = 0;  // -1: all
  std::vector<std::string> device_ids;
  std::vector<std::vector<std::string>> capabilities;  // any of these lists, all words of it
  std::map<std::string, std::string> options;
};

struct WeightDevice {
  std::string path;
  int weight = 0;
  bool operator==(const WeightDevice&) const = default;
};
struct ThrottleDevice {
  std::string path;
  uint64_t rate = 0;  // bytes or operations per second
  bool operator==(const ThrottleDevice&) const = default;
};
struct BlkioLimits {
  int weight = 0;
  std::vector<WeightDevice> weights;
  std::vector<ThrottleDevice> read_bps, write_bps, read_iops, write_iops;
  bool operator==(const BlkioLimits&) const = default;
};

}  // namespace panal
