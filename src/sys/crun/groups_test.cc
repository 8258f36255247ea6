#include "sys/crun/groups.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

#include "base/fd.h"

namespace panal {

namespace {

struct Folders {
  std::string base = std::filesystem::temp_directory_path() / ("panal-groups-" + std::to_string(::getpid())),
              state = base + "/state", groups = base + "/groups";
  Folders() {
    for (const char* group : {"/memory/panal/abc", "/pids/panal/abc", "/pids/panal/other", "/devices/panal"})
      REQUIRE(make_dirs(groups + group));
    REQUIRE(write_file(groups + "/cgroup.procs", ""));
    REQUIRE(make_dirs(state));
    REQUIRE(write_file(state + "/seccomp.bpf", "x"));
  }
  ~Folders() { (void)remove_tree(base); }
  void status(std::string text) { REQUIRE(write_file(state + "/status", text)); }
};

}  // namespace

TEST_CASE("what crun keeps of an ended container is removed without crun") {
  Folders f;
  f.status(
      R"({"pid": 4194305, "process-start-time": 12, "cgroup-path": "/panal/abc", "systemd-cgroup": false})");
  CHECK(remove_ended(f.state, f.groups));
  CHECK(!exists(f.state));
  CHECK(!exists(f.groups + "/memory/panal/abc"));
  CHECK(!exists(f.groups + "/pids/panal/abc"));
  CHECK(exists(f.groups + "/pids/panal/other"));
}

TEST_CASE("a removal that was cut short goes on") {
  Folders f;
  f.status(
      R"({"pid": 4194305, "process-start-time": 12, "cgroup-path": "/panal/abc", "systemd-cgroup": false})");
  REQUIRE(remove_tree(f.groups + "/memory/panal/abc"));
  REQUIRE(remove_tree(f.state + "/seccomp.bpf"));
  CHECK(remove_ended(f.state, f.groups));
  CHECK(!exists(f.state));
  REQUIRE(make_dirs(f.state));
  CHECK(remove_ended(f.state, f.groups));
  CHECK(!exists(f.state));
}

TEST_CASE("what is not crun's, or not certainly ended, is left to the runtime") {
  Folders f;
  const auto kept = [&] {
    return !remove_ended(f.state, f.groups) && exists(f.state + "/seccomp.bpf") &&
           exists(f.groups + "/pids/panal/abc");
  };
  CHECK(kept());  // runc has no such file
  for (const char* text :
       {"", "[]", "{}",
        R"({"pid": 4194305, "process-start-time": 12, "cgroup-path": "/panal/abc", "systemd-cgroup": true})",
        R"({"pid": 4194305, "process-start-time": 12, "cgroup-path": "", "systemd-cgroup": false})",
        R"({"pid": 4194305, "process-start-time": 12, "cgroup-path": "/../x", "systemd-cgroup": false})"}) {
    f.status(text);
    CHECK(kept());
  }
  const std::string own = *read_file("/proc/self/stat");
  const std::string after = own.substr(own.rfind(')') + 2);
  size_t at = 0;
  for (int n = 0; n < 19; ++n) at = after.find(' ', at) + 1;
  f.status(R"({"pid": )" + std::to_string(::getpid()) + R"(, "process-start-time": )" +
           after.substr(at, after.find(' ', at) - at) +
           R"(, "cgroup-path": "/panal/abc", "systemd-cgroup": false})");
  CHECK(kept());
  f.status(
      R"({"pid": 4194305, "process-start-time": 12, "cgroup-path": "/panal/abc", "systemd-cgroup": false})");
  REQUIRE(make_dirs(f.groups + "/pids/panal/abc/nested"));
  CHECK(kept());
}

TEST_CASE("groups of a container that was not made go where nothing lives in them") {
  Folders f;
  REQUIRE(make_dirs(f.groups + "/pids/panal/abc/nested"));
  remove_empty_groups("/panal/abc", f.groups);
  CHECK(!exists(f.groups + "/memory/panal/abc"));
  CHECK(exists(f.groups + "/pids/panal/abc/nested"));
  CHECK(exists(f.groups + "/pids/panal/other"));
  remove_empty_groups("/../groups/pids/panal/other", f.groups);
  CHECK(exists(f.groups + "/pids/panal/other"));
}

TEST_CASE("the kernel tells whether a group stands still") {
  Folders f;
  CHECK(!group_is_frozen("/panal/abc", f.groups));
  for (const auto& [state, frozen] :
       {std::pair{"THAWED\n", false}, {"FREEZING\n", true}, {"FROZEN\n", true}}) {
    REQUIRE(make_dirs(f.groups + "/freezer/panal/abc"));
    REQUIRE(write_file(f.groups + "/freezer/panal/abc/freezer.state", state));
    CHECK(group_is_frozen("/panal/abc", f.groups) == frozen);
  }
  REQUIRE(make_dirs(f.groups + "/panal/new"));
  REQUIRE(write_file(f.groups + "/panal/new/cgroup.freeze", "0\n"));
  CHECK(!group_is_frozen("/panal/new", f.groups));
  REQUIRE(write_file(f.groups + "/panal/new/cgroup.freeze", "1\n"));
  CHECK(group_is_frozen("/panal/new", f.groups));
}

}  // namespace panal
