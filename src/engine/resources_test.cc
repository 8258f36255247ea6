#include "engine/resources.h"

#include <doctest/doctest.h>

#include "engine/resources_json.h"

namespace panal {
namespace {

const HostLimits kMachine{4, "0-3", "0"};

std::string refusal(void (*set)(HostConfig&)) {
  HostConfig h;
  set(h);
  const auto done = check_resources(h, kMachine);
  return done ? "" : done.error().message;
}

}  // namespace

TEST_CASE("lists of CPUs") {
  CHECK(parse_cpu_list("0-2,7") == std::set<int>{0, 1, 2, 7});
  CHECK(parse_cpu_list("3") == std::set<int>{3});
  for (const auto* text : {"", "a", "1-", "-1", "2-1", "0,,1", "0-100000"})
    CHECK_MESSAGE(!parse_cpu_list(text), std::string(text));
}

TEST_CASE("impossible limits are refused with Docker's words") {
  CHECK(refusal([](HostConfig&) {}) == "");
  CHECK(refusal([](HostConfig& h) { h.memory = 1 << 20; }) == "Minimum memory limit allowed is 6MB");
  CHECK(refusal([](HostConfig& h) { h.memory = 64 << 20, h.memory_swap = 32 << 20; }) ==
        "Minimum memoryswap limit should be larger than memory limit, see usage");
  CHECK(refusal([](HostConfig& h) { h.memory = 64 << 20, h.memory_swap = -1; }) == "");
  CHECK(refusal([](HostConfig& h) { h.memory = 64 << 20, h.memory_reservation = 65 << 20; }) ==
        "Minimum memory limit can not be less than memory reservation limit, see usage");
  CHECK(refusal([](HostConfig& h) { h.nano_cpus = 4'000'000'000; }) == "");
  CHECK(refusal([](HostConfig& h) { h.nano_cpus = 4'000'000'001; }) ==
        "range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available");
  CHECK(refusal([](HostConfig& h) { h.nano_cpus = 1, h.cpu_quota = 5000; }) ==
        "Conflicting options: Nano CPUs and CPU Quota cannot both be set.");
  CHECK(refusal([](HostConfig& h) { h.cpuset_cpus = "1,3"; }) == "");
  CHECK(refusal([](HostConfig& h) { h.cpuset_cpus = "3-4"; }) ==
        "Requested CPUs are not available - requested 3-4, available: 0-3");
  CHECK(refusal([](HostConfig& h) { h.cpuset_cpus = "x"; }) == "Invalid value x for cpuset cpus");
  CHECK(refusal([](HostConfig& h) { h.cpuset_mems = "1"; }) ==
        "Requested memory nodes are not available - requested 1, available: 0");
  CHECK(refusal([](HostConfig& h) { h.cpu_period = 999; }) != "");
  HostConfig much;
  much.nano_cpus = 1'000'000'000'000, much.cpuset_cpus = "77";
  CHECK(check_resources(much, {}));  // a machine that is not known is not judged
}

TEST_CASE("an update replaces what it names and keeps the rest") {
  HostConfig host;
  host.memory = 64 << 20, host.memory_swap = 128 << 20, host.cpu_shares = 512;
  UpdateWish wish;
  wish.limits.memory = 100 << 20, wish.limits.pids_limit = 7;
  const auto changed = updated_limits(host, wish, kMachine).value();
  CHECK(changed.memory == 100 << 20);
  CHECK(changed.memory_swap == 128 << 20);
  CHECK(changed.cpu_shares == 512);
  CHECK(changed.pids_limit == 7);
  wish.limits.memory = 200 << 20;
  CHECK(updated_limits(host, wish, kMachine).error().message ==
        "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same "
        "time");
  wish.limits.memory_swap = -1;
  CHECK(updated_limits(host, wish, kMachine).has_value());
  UpdateWish cpus;
  cpus.limits.nano_cpus = 500'000'000;
  CHECK(updated_limits(host, cpus, kMachine).value().nano_cpus == 500'000'000);
  host.cpu_quota = 20000;
  CHECK(!updated_limits(host, cpus, kMachine));
}

TEST_CASE("limits in the runtime's form") {
  HostConfig h;
  CHECK(resources_json(h, false).get_object().empty());
  h.memory = 64 << 20, h.memory_swap = -1, h.nano_cpus = 1'500'000'000, h.pids_limit = 9,
  h.memory_swappiness = 60;
  const Json v1 = resources_json(h, false), v2 = resources_json(h, true);
  CHECK(v1.at_pointer("/memory/swap") == -1);
  CHECK(v1.at_pointer("/memory/swappiness") == 60);
  CHECK(!v2.at("memory").get_object().contains("swappiness"));
  CHECK(v2.at_pointer("/cpu/quota") == 150000);
  CHECK(v2.at_pointer("/pids/limit") == 9);
}

TEST_CASE("limits of block devices, by their numbers") {
  HostConfig h;
  h.blkio.weight = 300, h.blkio.weights = {{"/dev/a", 200}},
  h.blkio.read_bps = {{"/dev/a", 1 << 20}, {"/dev/unknown", 1}}, h.blkio.write_iops = {{"/dev/b", 50}};
  const Json j = resources_json(h, false, {{"/dev/a", {8, 0}}, {"/dev/b", {8, 16}}});
  CHECK(j.at_pointer("/blockIO/weight") == 300);
  CHECK(j.at_pointer("/blockIO/weightDevice") == Json{{{"major", 8}, {"minor", 0}, {"weight", 200}}});
  CHECK(j.at_pointer("/blockIO/throttleReadBpsDevice") ==
        Json{{{"major", 8}, {"minor", 0}, {"rate", 1 << 20}}});
  CHECK(j.at_pointer("/blockIO/throttleWriteIOPSDevice/0/minor") == 16);
  CHECK(refusal([](HostConfig& c) { c.blkio.weight = 5; }) == "Range of blkio weight is from 10 to 1000");
  CHECK(refusal([](HostConfig& c) { c.blkio.weights = {{"/dev/a", 2000}}; }) ==
        "Range of blkio weight is from 10 to 1000");
}

TEST_CASE("what the kernel cannot do is dropped with Docker's warnings") {
  HostConfig h;
  h.oom_kill_disable = true, h.memory_swappiness = 60, h.blkio.weight = 300;
  HostLimits machine = kMachine;
  machine.blkio_weight = false;
  HostConfig v1 = h, v2 = h;
  CHECK(fit_resources(v1, kMachine, false) ==
        std::vector<std::string>{"OOM killer is disabled for the container, but no memory limit is set, this "
                                 "can result in the system running out of resources."});
  CHECK(v1.oom_kill_disable == true);
  CHECK(fit_resources(v2, machine, true).size() == 3);
  CHECK(!v2.oom_kill_disable);
  CHECK(!v2.memory_swappiness);
  CHECK(v2.blkio.weight == 0);
  HostConfig devices;
  devices.blkio.weights.push_back({});
  machine.blkio_weight_device = false;
  CHECK(fit_resources(devices, machine, true).size() == 1);
  CHECK(devices.blkio.weights.empty());
  devices.cpu_rt_runtime = 1000;
  CHECK(check_resources(devices, kMachine));
  machine.cpu_realtime = false;
  CHECK(check_resources(devices, machine).error().message ==
        "kernel does not support CPU real-time scheduler");
  HostConfig plain;
  CHECK(fit_resources(plain, machine, true).empty());
}

}  // namespace panal
