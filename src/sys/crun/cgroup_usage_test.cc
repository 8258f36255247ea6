#include "sys/crun/cgroup_usage.h"

#include <cstdlib>
#include <filesystem>

#include "base/fd.h"
#undef CHECK
#include <doctest/doctest.h>

namespace panal {
namespace {

struct Tree {
  std::string root;
  Tree() {
    char name[] = "/tmp/panal-cgroup-XXXXXX";
    root = ::mkdtemp(name);
  }
  ~Tree() { std::filesystem::remove_all(root); }
  void put(const std::string& path, const std::string& text) const {
    REQUIRE(make_dirs(root + path.substr(0, path.rfind('/')), 0755).has_value());
    REQUIRE(write_file(root + path, text).has_value());
  }
};

}  // namespace

TEST_CASE("kills for want of memory in a unified group") {
  const Tree t;
  t.put("/events", "low 0\nhigh 0\nmax 35\noom 2\noom_kill 1\noom_group_kill 0\n");
  CHECK(memory_kills(t.root + "/events") == 1);
  CHECK(memory_kills(t.root + "/none") == 0);
  CHECK(unified_group("0::/panal/id\n") == "/panal/id");
  CHECK(unified_group("4:memory:/a\n1:name=systemd:/b\n") == "");
}

TEST_CASE("usage of the unified hierarchy") {
  const Tree t;
  t.put("/panal/id/cgroup.procs", "1\n");
  t.put(
      "/panal/id/cpu.stat",
      "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_periods 7\nnr_throttled 2\nthrottled_usec 5\n");
  t.put("/panal/id/memory.current", "4096\n"), t.put("/panal/id/memory.max", "max\n"),
      t.put("/panal/id/memory.stat", "anon 1000\ninactive_file 96\n");
  t.put("/panal/id/pids.current", "3\n"), t.put("/panal/id/pids.max", "9\n");
  t.put("/panal/id/io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 \n");
  Usage u;
  REQUIRE(read_cgroup(t.root, "/panal/id", u));
  CHECK(u.v2);
  CHECK(u.cpu_total_ns == 3'000'000);
  CHECK(u.cpu_user_ns == 2'000'000);
  CHECK(u.throttled_ns == 5000);
  CHECK(u.memory_bytes == 4096);
  CHECK(u.memory_limit_bytes == 0);
  CHECK(u.memory.at("inactive_file") == 96);
  CHECK(u.pids_limit == 9);
  REQUIRE(u.io_bytes.size() == 2);
  CHECK(u.io_bytes[1].op == "write");
  CHECK(u.io_bytes[1].value == 20);
  CHECK(u.io_operations[0].value == 1);
  CHECK(!read_cgroup(t.root, "/panal/other", u));
}

TEST_CASE("usage of version 1 hierarchies") {
  const Tree t;
  t.put("/cpuacct/panal/id/cpuacct.usage", "500\n"),
      t.put("/cpuacct/panal/id/cpuacct.usage_percpu", "200 300 \n"),
      t.put("/cpuacct/panal/id/cpuacct.stat", "user 2\nsystem 1\n");
  t.put("/cpu/panal/id/cpu.stat", "nr_periods 1\nnr_throttled 0\nthrottled_time 0\n");
  t.put("/memory/panal/id/memory.usage_in_bytes", "100\n"),
      t.put("/memory/panal/id/memory.limit_in_bytes", "9223372036854771712\n"),
      t.put("/memory/panal/id/memory.stat", "total_inactive_file 7\n");
  t.put("/pids/panal/id/pids.current", "1\n"), t.put("/pids/panal/id/pids.max", "max\n");
  t.put("/blkio/panal/id/blkio.bfq.io_service_bytes_recursive", "8:0 Read 0\nTotal 0\n");
  t.put("/blkio/panal/id/blkio.throttle.io_service_bytes_recursive",
        "8:0 Read 4096\n8:0 Write 0\n8:0 Total 4096\nTotal 4096\n");
  Usage u;
  REQUIRE(read_cgroup(t.root, "/panal/id", u));
  CHECK(!u.v2);
  CHECK(u.cpu_total_ns == 500);
  CHECK(u.per_cpu_ns == std::vector<uint64_t>{200, 300});
  CHECK(u.cpu_user_ns == 20'000'000);
  CHECK(u.memory.at("total_inactive_file") == 7);
  CHECK(u.pids_limit == 0);
  REQUIRE(u.io_bytes.size() == 3);
  CHECK(u.io_bytes[0].op == "read");
  CHECK(u.io_bytes[0].value == 4096);
}

}  // namespace panal
