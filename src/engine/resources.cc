#include "engine/resources.h"

#include <algorithm>

#include "base/text.h"
#include "engine/resources_json.h"

namespace panal {

std::optional<std::set<int>> parse_cpu_list(const std::string& text) {
  std::set<int> out;
  for (const auto& part : split(text, ',')) {
    const size_t dash = part.find('-');
    const auto first = parse_int(part.substr(0, dash)),
               last = dash == std::string::npos ? first : parse_int(part.substr(dash + 1));
    if (!first || !last || *first < 0 || *last < *first || *last > 8191) return std::nullopt;
    for (int64_t n = *first; n <= *last; ++n) out.insert(static_cast<int>(n));
  }
  return out;
}

static Result<> check_set(const std::string& wanted, const std::string& available, const char* kind,
                          const char* noun) {
  if (wanted.empty()) return {};
  const auto numbers = parse_cpu_list(wanted), have = parse_cpu_list(available);
  if (!numbers) return fail(Code::kInvalid, std::string("Invalid value ") + wanted + " for cpuset " + kind);
  if (!available.empty() && have && !std::ranges::includes(*have, *numbers))
    return fail(Code::kInvalid, std::string("Requested ") + noun + " are not available - requested " +
                                    wanted + ", available: " + available);
  return {};
}

Result<> check_resources(const HostConfig& h, const HostLimits& machine) {
  constexpr int64_t kLeast = 6 << 20;
  if (h.memory < 0) return fail(Code::kInvalid, "invalid memory limit");
  if (h.memory > 0 && h.memory < kLeast) return fail(Code::kInvalid, "Minimum memory limit allowed is 6MB");
  if (h.memory_swap > 0 && h.memory == 0)
    return fail(Code::kInvalid,
                "You should always set the Memory limit when using Memoryswap limit, see usage");
  if (h.memory_swap > 0 && h.memory_swap < h.memory)
    return fail(Code::kInvalid, "Minimum memoryswap limit should be larger than memory limit, see usage");
  if (h.memory_swap < -1) return fail(Code::kInvalid, "invalid memoryswap limit");
  if (h.memory_reservation < 0) return fail(Code::kInvalid, "invalid memory reservation");
  if (h.memory_reservation > 0 && h.memory_reservation < kLeast)
    return fail(Code::kInvalid, "Minimum memory reservation allowed is 6MB");
  if (h.memory > 0 && h.memory_reservation > h.memory)
    return fail(Code::kInvalid,
                "Minimum memory limit can not be less than memory reservation limit, see usage");
  if (h.memory_swappiness && (*h.memory_swappiness < -1 || *h.memory_swappiness > 100))
    return fail(Code::kInvalid, "Invalid value: " + std::to_string(*h.memory_swappiness) +
                                    ", valid memory swappiness range is 0-100");
  if (h.nano_cpus > 0 && h.cpu_period > 0)
    return fail(Code::kInvalid, "Conflicting options: Nano CPUs and CPU Period cannot both be set.");
  if (h.nano_cpus > 0 && h.cpu_quota > 0)
    return fail(Code::kInvalid, "Conflicting options: Nano CPUs and CPU Quota cannot both be set.");
  if (h.nano_cpus < 0 || (machine.cpus > 0 && h.nano_cpus > machine.cpus * 1'000'000'000LL)) {
    const std::string cpus = std::to_string(machine.cpus);
    return fail(Code::kInvalid, machine.cpus == 0 ? "invalid NanoCPUs"
                                                  : "range of CPUs is from 0.01 to " + cpus +
                                                        ".00, as there are only " + cpus + " CPUs available");
  }
  if (h.cpu_shares < 0)
    return fail(Code::kInvalid, "invalid CPU shares (" + std::to_string(h.cpu_shares) +
                                    "): value must be a positive integer");
  if (h.cpu_period != 0 && (h.cpu_period < 1000 || h.cpu_period > 1'000'000))
    return fail(Code::kInvalid,
                "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  if (h.cpu_quota > 0 && h.cpu_quota < 1000)
    return fail(Code::kInvalid, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
  if ((h.cpu_rt_period != 0 || h.cpu_rt_runtime != 0) && !machine.cpu_realtime)
    return fail(Code::kInvalid, "kernel does not support CPU real-time scheduler");
  if (h.cpu_rt_period < 0 || h.cpu_rt_runtime < 0 ||
      (h.cpu_rt_period > 0 && h.cpu_rt_runtime > h.cpu_rt_period))
    return fail(Code::kInvalid, "cpu real-time runtime cannot be higher than cpu real-time period");
  if (h.blkio.weight != 0 && (h.blkio.weight < 10 || h.blkio.weight > 1000))
    return fail(Code::kInvalid, "Range of blkio weight is from 10 to 1000");
  for (const auto& w : h.blkio.weights)
    if (w.weight < 10 || w.weight > 1000)
      return fail(Code::kInvalid, "Range of blkio weight is from 10 to 1000");
  TRYV(check_set(h.cpuset_cpus, machine.cpuset_cpus, "cpus", "CPUs"));
  return check_set(h.cpuset_mems, machine.cpuset_mems, "mems", "memory nodes");
}

std::vector<std::string> fit_resources(HostConfig& h, const HostLimits& machine, bool cgroup_v2) {
  std::vector<std::string> warnings;
  if (h.oom_kill_disable.value_or(false)) {
    if (cgroup_v2)
      warnings.push_back("Your kernel does not support OomKillDisable. OomKillDisable discarded."),
          h.oom_kill_disable.reset();
    else if (h.memory == 0)
      warnings.push_back(
          "OOM killer is disabled for the container, but no memory limit is set, this can result in the "
          "system running out of resources.");
  }
  if (h.memory_swappiness && *h.memory_swappiness == -1) h.memory_swappiness.reset();
  if (h.memory_swappiness && cgroup_v2) {
    warnings.push_back(
        "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory "
        "swappiness discarded.");
    h.memory_swappiness.reset();
  }
  if (!machine.blkio_weight && h.blkio.weight) {
    warnings.push_back(
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.");
    h.blkio.weight = 0;
  }
  if (!machine.blkio_weight_device && !h.blkio.weights.empty()) {
    warnings.push_back(
        "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device "
        "discarded.");
    h.blkio.weights.clear();
  }
  return warnings;
}

Result<HostConfig> updated_limits(HostConfig host, const UpdateWish& wish, const HostLimits& machine) {
  const HostConfig& w = wish.limits;
  if (w.nano_cpus > 0 && (host.cpu_period > 0 || host.cpu_quota > 0))
    return fail(Code::kInvalid, std::string("Conflicting options: Nano CPUs cannot be updated as CPU ") +
                                    (host.cpu_period > 0 ? "Period" : "Quota") + " has already been set");
  if ((w.cpu_period > 0 || w.cpu_quota > 0) && host.nano_cpus > 0)
    return fail(Code::kInvalid, std::string("Conflicting options: CPU ") +
                                    (w.cpu_period > 0 ? "Period" : "Quota") +
                                    " cannot be updated as NanoCPUs has already been set");
  if (w.memory > 0 && w.memory_swap == 0 && host.memory_swap > 0 && w.memory > host.memory_swap)
    return fail(Code::kInvalid,
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at "
                "the same time");
  const auto take = [](auto& into, const auto& from) {
    if (from != std::decay_t<decltype(from)>{}) into = from;
  };
  take(host.memory, w.memory), take(host.memory_swap, w.memory_swap),
      take(host.memory_reservation, w.memory_reservation);
  take(host.nano_cpus, w.nano_cpus), take(host.cpu_shares, w.cpu_shares), take(host.cpu_period, w.cpu_period),
      take(host.cpu_quota, w.cpu_quota);
  take(host.cpuset_cpus, w.cpuset_cpus), take(host.cpuset_mems, w.cpuset_mems),
      take(host.pids_limit, w.pids_limit);
  take(host.blkio.weight, w.blkio.weight), take(host.cpu_rt_period, w.cpu_rt_period),
      take(host.cpu_rt_runtime, w.cpu_rt_runtime);
  if (host.memory > 0 && host.memory_swap == 0) host.memory_swap = host.memory * 2;
  TRYV(check_resources(host, machine));
  return host;
}

template <class Limits>
static void put_devices(JsonObject& out, const char* key, const Limits& limits,
                        const DeviceNumbers& numbers) {
  JsonArray list;
  for (const auto& limit : limits)
    if (const auto number = numbers.find(limit.path); number != numbers.end()) {
      JsonObject one{{"major", number->second.first}, {"minor", number->second.second}};
      if constexpr (requires { limit.weight; })
        one["weight"] = limit.weight;
      else
        one["rate"] = limit.rate;
      list.push_back(one);
    }
  if (!list.empty()) out[key] = list;
}

Json resources_json(const HostConfig& h, bool cgroup_v2, const DeviceNumbers& block_devices) {
  JsonObject out;
  JsonObject memory;
  if (h.memory > 0) {
    memory["limit"] = h.memory;
    const int64_t swap = h.memory_swap == 0 ? h.memory * 2 : h.memory_swap;
    memory["swap"] = swap;
  }
  if (h.memory_reservation > 0) memory["reservation"] = h.memory_reservation;
  if (h.memory_swappiness && *h.memory_swappiness >= 0 && !cgroup_v2)
    memory["swappiness"] = *h.memory_swappiness;
  if (h.oom_kill_disable.value_or(false) && !cgroup_v2) memory["disableOOMKiller"] = true;
  if (!memory.empty()) out["memory"] = memory;
  JsonObject cpu;
  if (h.cpu_shares > 0) cpu["shares"] = h.cpu_shares;
  if (h.nano_cpus > 0) cpu["period"] = 100000, cpu["quota"] = std::max<int64_t>(h.nano_cpus / 10000, 1000);
  if (h.cpu_period > 0) cpu["period"] = h.cpu_period;
  if (h.cpu_quota != 0) cpu["quota"] = h.cpu_quota;
  if (!h.cpuset_cpus.empty()) cpu["cpus"] = h.cpuset_cpus;
  if (!h.cpuset_mems.empty()) cpu["mems"] = h.cpuset_mems;
  if (h.cpu_rt_period != 0) cpu["realtimePeriod"] = h.cpu_rt_period;
  if (h.cpu_rt_runtime != 0) cpu["realtimeRuntime"] = h.cpu_rt_runtime;
  if (!cpu.empty()) out["cpu"] = cpu;
  JsonObject io;
  if (h.blkio.weight > 0) io["weight"] = h.blkio.weight;
  put_devices(io, "weightDevice", h.blkio.weights, block_devices);
  put_devices(io, "throttleReadBpsDevice", h.blkio.read_bps, block_devices),
      put_devices(io, "throttleWriteBpsDevice", h.blkio.write_bps, block_devices);
  put_devices(io, "throttleReadIOPSDevice", h.blkio.read_iops, block_devices),
      put_devices(io, "throttleWriteIOPSDevice", h.blkio.write_iops, block_devices);
  if (!io.empty()) out["blockIO"] = io;
  if (h.pids_limit.value_or(0) > 0) out["pids"] = JsonObject{{"limit", *h.pids_limit}};
  return out;
}

}  // namespace panal
