#include "engine/oci.h"
#include <set>

#include <doctest/doctest.h>

#include "base/json.h"

namespace panal {
namespace {

using Words = std::vector<std::string>;
const Words kHeld = {"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_NET_ADMIN"};

Words caps(Words add, Words drop, bool privileged = false) {
  HostConfig h;
  h.cap_add = std::move(add), h.cap_drop = std::move(drop), h.privileged = privileged;
  return capability_set(h, kHeld);
}
Container container() {
  Container c;
  c.id = "id", c.hostname = "host", c.path = "sh", c.args = {"-c", "true"};
  return c;
}
Json config(const Container& c, OciInputs in = {}) {
  in.rootfs = "/root", in.ns_path = "/run/ns", in.held_capabilities = kHeld, in.hosts_file = "/h",
  in.resolv_file = "/r", in.hostname_file = "/n";
  return parse_json(oci_config(c, in)).value();
}

}  // namespace

TEST_CASE("capabilities: defaults, additions, drops, and never more than the daemon has") {
  CHECK(caps({}, {}) == Words{"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"});
  CHECK(caps({"net_admin"}, {}) == Words{"CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_NET_RAW"});
  CHECK(caps({}, {"CAP_KILL"}) == Words{"CAP_CHOWN", "CAP_NET_RAW"});
  CHECK(caps({}, {"ALL"}).empty());
  CHECK(caps({"KILL"}, {"all"}) == Words{"CAP_KILL"});
  CHECK(caps({"ALL"}, {}).size() == kHeld.size());
  CHECK(caps({"ALL"}, {"CAP_SYS_ADMIN"}).size() == kHeld.size() - 1);
  CHECK(caps({"SYS_MODULE"}, {}).size() == 3);
  CHECK(caps({}, {"ALL"}, true).size() == kHeld.size());
}

TEST_CASE("environment: Docker's first, then the image's and the user's") {
  Container c = container();
  ResolvedUser u;
  u.home = "/home/u";
  CHECK(process_env(c, u) == Words{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                   "HOSTNAME=host", "HOME=/home/u"});
  c.config.env = {"PATH=/bin", "A=1", "A=2", "EMPTY=", "NOVALUE", "AB=3", "HOME=/x", "TERM=vt100"};
  CHECK(process_env(c, u, {}, true) ==
        Words{"PATH=/bin", "HOSTNAME=host", "TERM=vt100", "A=2", "EMPTY=", "AB=3", "HOME=/x"});
}

TEST_CASE("signals by name and number") {
  for (const auto* text : {"SIGTERM", "TERM", "term", "15"}) CHECK(parse_signal(text).value() == 15);
  CHECK(parse_signal("KILL").value() == 9);
  CHECK(parse_signal("SIGRTMIN+3").value() == 37);
  CHECK(parse_signal("64").value() == 64);
  for (const auto* text : {"", "0", "65", "-9", "SIG", "SIGFOO", "9x", "SIGSIGTERM"})
    CHECK_MESSAGE(!parse_signal(text).has_value(), std::string(text));
}

TEST_CASE("the runtime's configuration isolates as Docker does") {
  const Json j = config(container());
  CHECK(j.at_pointer("/process/args") == Json{"sh", "-c", "true"});
  CHECK(j.at_pointer("/process/cwd") == "/");
  CHECK(j.at_pointer("/process/noNewPrivileges") == false);
  CHECK(j.at_pointer("/linux/maskedPaths").get_array().size() > 5);
  CHECK(j.at_pointer("/linux/readonlyPaths").get_array().size() == 5);
  CHECK(j.at_pointer("/linux/resources/devices/0/allow") == false);
  CHECK(j.at_pointer("/root/readonly") == false);
  std::set<std::string> namespaces;
  for (const auto& n : j.at_pointer("/linux/namespaces").get_array()) namespaces.insert(str(n.at("type")));
  for (const auto* type : {"mount", "network", "pid", "ipc", "uts"})
    CHECK_MESSAGE(namespaces.contains(type), std::string(type));
  for (const auto& m : j.at_pointer("/mounts").get_array())
    if (m.at("destination") == "/sys") CHECK(m.at_pointer("/options/3") == "ro");
  for (const auto& [option, privileged, mode] : {std::tuple{"writable-cgroups", false, "rw"},
                                                 {"disable", false, "ro"},
                                                 {"writable-cgroups=false", true, "ro"},
                                                 {"disable", true, "rw"}}) {
    Container c = container();
    c.host.security_opt = {option}, c.host.privileged = privileged;
    const Json made = config(c);
    for (const auto& m : made.at_pointer("/mounts").get_array())
      if (m.at("destination") == "/sys/fs/cgroup") CHECK(m.at_pointer("/options/0") == mode);
  }
}

TEST_CASE("what device requests add to the runtime's configuration") {
  Container c = container();
  c.config.env = {"A=own"};
  c.mounts.push_back({.type = "bind", .source = "/mine", .destination = "/taken"});
  OciInputs in;
  in.user.gid = 5;
  in.edits.env = {"A=theirs", "B=2"}, in.edits.gids = {0, 5, 44};
  in.edits.mounts = {{"/lib/a", "/deep/er", "", {"ro", "bind"}},
                     {"/lib/b", "/taken", "", {}},
                     {"shm", "/dev/shm", "tmpfs", {"size=1k"}}};
  in.edits.hooks = {{"prestart", "/h1", {"h1"}, {}, {}},
                    {"poststop", "/h2", {}, {"E=1"}, 3},
                    {"prestart", "/h3", {}, {}, {}}};
  in.devices = {{"/dev/fifo", 'p', 0, 0, 0666, 0, 0, "rwm"},
                {"/dev/none", 'c', 9, 9, 0666, 0, 0, ""},
                {"/dev/c", 'c', 9, 8, 0666, 0, 0, "r"}};
  const Json j = parse_json(oci_config(c, in)).value();
  const auto env = dump(j.at_pointer("/process/env"));
  CHECK(env.find("\"A=theirs\",\"HOME=/\",\"B=2\"") != std::string::npos);
  CHECK(dump(j.at_pointer("/process/user/additionalGids")) == "[5,44]");
  CHECK(
      dump(j.at("hooks")) ==
      R"({"prestart":[{"path":"/h1","args":["h1"]},{"path":"/h3"}],"poststop":[{"path":"/h2","env":["E=1"],"timeout":3}]})");
  std::map<std::string, std::string> sources;
  for (const auto& m : j.at("mounts").get_array())
    CHECK(sources.emplace(str(m.at("destination")), str(m.at("source"))).second);
  CHECK(sources["/deep/er"] == "/lib/a");
  CHECK(sources["/taken"] == "/mine");
  CHECK(sources["/dev/shm"] == "shm");
  CHECK(j.at_pointer("/linux/devices").get_array().size() == 3);
  const auto rules = dump(j.at_pointer("/linux/resources/devices"));
  CHECK(rules.find("\"minor\":8") != std::string::npos);
  CHECK(rules.find("\"minor\":9,\"access\":\"\"") == std::string::npos);
}

TEST_CASE("privileged, read-only, limits and host namespaces") {
  Container c = container();
  c.host.privileged = true;
  CHECK(!config(c).at("linux").get_object().contains("maskedPaths"));
  CHECK(config(c).at_pointer("/linux/resources/devices/0/allow") == true);
  c = container();
  c.host.readonly_rootfs = true, c.host.memory = 64 << 20, c.host.nano_cpus = 1'500'000'000,
  c.host.pids_limit = 100, c.host.security_opt = {"no-new-privileges"};
  const Json j = config(c);
  CHECK(j.at_pointer("/root/readonly") == true);
  CHECK(j.at_pointer("/linux/resources/memory/limit") == (64 << 20));
  CHECK(j.at_pointer("/linux/resources/memory/swap") == (128 << 20));
  CHECK(j.at_pointer("/linux/resources/cpu/quota") == 150000);
  CHECK(j.at_pointer("/linux/resources/pids/limit") == 100);
  CHECK(j.at_pointer("/process/noNewPrivileges") == true);
  OciInputs in;
  in.pid_ns = "host", in.uts_ns = "host", in.ipc_ns = "/proc/7/ns/ipc";
  const Json host = config(container(), in);
  for (const auto& n : host.at_pointer("/linux/namespaces").get_array()) {
    CHECK(n.at("type") != "pid");
    if (n.at("type") == "ipc") CHECK(n.at("path") == "/proc/7/ns/ipc");
  }
  CHECK(!host.get_object().contains("hostname"));
}

TEST_CASE("a user namespace: its file, its map, and what only the host's root may do is left out") {
  Container c = container();
  c.host.oom_score_adj = -7;
  OciInputs in;
  CHECK(!config(c, in).at_pointer("/linux").get_object().contains("uidMappings"));
  CHECK(config(c, in).at_pointer("/process/oomScoreAdj").get_int64() == -7);
  in.user_ns = "/run/ns.user", in.ids = {{{0, 1000, 10}, {10, 5000, 1}}, {{0, 2000, 10}}},
  in.own_mqueue = false;
  in.mounts_below = {{.type = "bind", .source = "/s/below", .destination = "/d/below"}};
  const Json made = config(c, in);
  CHECK(dump(made.at_pointer("/linux/uidMappings")) ==
        R"([{"containerID":0,"hostID":1000,"size":10},{"containerID":10,"hostID":5000,"size":1}])");
  CHECK(dump(made.at_pointer("/linux/gidMappings")) == R"([{"containerID":0,"hostID":2000,"size":10}])");
  CHECK(dump(made.at_pointer("/linux/namespaces")).find(R"({"type":"user","path":"/run/ns.user"})") !=
        std::string::npos);
  CHECK(!made.at_pointer("/process").get_object().contains("oomScoreAdj"));
  const std::string mounts = dump(made.at_pointer("/mounts"));
  CHECK(mounts.find("mqueue") == std::string::npos);
  CHECK(mounts.find(R"("destination":"/d/below","type":"bind","source":"/s/below")") != std::string::npos);
}

TEST_CASE("an unprivileged user has no effective capabilities") {
  OciInputs in;
  in.user.uid = 1000, in.user.gid = 7, in.user.groups = {7, 9};
  const Json j = config(container(), in);
  CHECK(j.at_pointer("/process/capabilities/effective").get_array().empty());
  CHECK(!j.at_pointer("/process/capabilities/bounding").get_array().empty());
  CHECK(j.at_pointer("/process/user/additionalGids") == Json{7, 9});
}

TEST_CASE("mounts lie in order of depth, and a user's file wins over Docker's") {
  Container c = container();
  MountPoint deep, top, hosts, tmp;
  deep.type = top.type = hosts.type = "bind", deep.destination = "/a/b", deep.source = "/1",
  top.destination = "/a", top.source = "/2", top.rw = false, hosts.destination = "/etc/hosts",
  hosts.source = "/mine";
  tmp.type = "tmpfs", tmp.destination = "/t", tmp.mode = "exec", tmp.tmpfs_size_bytes = 5,
  tmp.tmpfs_mode = 0700;
  c.mounts = {deep, top, hosts, tmp};
  size_t at_top = 0, at_deep = 0, n = 0, etc_hosts = 0;
  for (const auto& m : config(c).at("mounts").get_array()) {
    ++n;
    if (m.at("destination") == "/a") at_top = n;
    if (m.at("destination") == "/a/b") at_deep = n;
    if (m.at("destination") == "/etc/hosts") {
      ++etc_hosts;
      CHECK(m.at("source") == "/mine");
    }
    if (m.at("destination") == "/t")
      CHECK(m.at("options") == Json{"nosuid", "nodev", "exec", "size=5", "mode=700"});
  }
  CHECK(at_top < at_deep);
  CHECK(etc_hosts == 1);
}

TEST_CASE("devices, their rules, profile, annotations' neighbours and what is bound in a mount's stead") {
  Container c = container();
  MountPoint sub;
  sub.type = "volume", sub.destination = "/m", sub.source = "/volume", sub.subpath = "a",
  sub.recursive = false;
  c.mounts = {sub};
  c.host.device_cgroup_rules = {"c 10:* rw"}, c.host.oom_score_adj = -5;
  OciInputs in;
  in.devices = {{"/dev/x", 'b', 8, 1, 0660, 0, 6, "r"}}, in.cgroup = "/parent/id", in.apparmor = "mine",
  in.sources = {{"/m", "/bound"}}, in.link_env = {"DB_NAME=/web/db"};
  const Json j = config(c, in);
  CHECK(j.at_pointer("/linux/cgroupsPath") == "/parent/id");
  CHECK(j.at_pointer("/linux/devices") == Json{{{"path", "/dev/x"},
                                                {"type", "b"},
                                                {"major", 8},
                                                {"minor", 1},
                                                {"fileMode", 0660},
                                                {"uid", 0},
                                                {"gid", 6}}});
  const auto& rules = j.at_pointer("/linux/resources/devices").get_array();
  CHECK(rules[rules.size() - 2] ==
        Json{{"allow", true}, {"type", "b"}, {"major", 8}, {"minor", 1}, {"access", "r"}});
  CHECK(rules.back() == Json{{"allow", true}, {"type", "c"}, {"access", "rw"}, {"major", 10}});
  CHECK(j.at_pointer("/process/apparmorProfile") == "mine");
  CHECK(j.at_pointer("/process/oomScoreAdj") == -5);
  const auto& mounts = j.at("mounts").get_array();
  const auto swapped = std::ranges::find_if(mounts, [](const Json& m) { return m.at("source") == "/bound"; });
  REQUIRE(swapped != mounts.end());
  CHECK(swapped->at("options").get_array()[0] == "bind");
  CHECK(dump(j.at_pointer("/process/env")).find("DB_NAME=/web/db") != std::string::npos);
}

}  // namespace panal
