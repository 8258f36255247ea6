#include "daemon/options.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "base/fd.h"

namespace panal {
namespace {

/// A configuration file that goes with its scope.
struct File {
  explicit File(const std::string& text)
      : path("/tmp/panal-options-" + std::to_string(::getpid()) + ".json") {
    CHECK(write_file(path, text));
  }
  ~File() { ::unlink(path.c_str()); }
  std::string path;
};

Result<DaemonOptions> with(const std::string& config, std::vector<std::string> flags = {}) {
  const File file(config);
  flags.insert(flags.begin(), {"--config-file", file.path});
  return parse_options(flags);
}
std::string error_of(const Result<DaemonOptions>& o) {
  return o ? ""
           : o.error().message.substr(o.error().message.find(".json: ") == std::string::npos
                                          ? 0
                                          : o.error().message.find(".json: ") + 7);
}

}  // namespace

TEST_CASE("a configuration file with Docker's keys") {
  const auto o = with(
      R"({"hosts": ["unix:///run/a.sock", "fd://"], "data-root": "/data", "exec-root": "/run/x", "debug": true, "labels": ["a=b"],
    "registry-mirrors": ["https://mirror:5000"], "insecure-registries": ["reg:5000", "10.0.0.0/8"], "log-driver": "local", "log-opts": {"max-size": "1m"},
    "dns": ["10.0.0.53", "2001:db8::53"], "dns-opts": ["ndots:1"], "dns-search": ["example.org"], "mtu": 1400, "icc": false, "bip": "10.9.0.1/24", "fixed-cidr": "10.9.0.128/25",
    "default-address-pools": [{"base": "10.10.0.0/16", "size": 24}], "default-shm-size": "128M", "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 10, "Hard": 20}},
    "init": true, "no-new-privileges": true, "shutdown-timeout": 3, "max-concurrent-downloads": 7, "userland-proxy": false, "iptables": true, "storage-driver": "overlay2",
    "live-restore": false, "features": {"containerd-snapshotter": false}, "exec-opts": ["native.cgroupdriver=cgroupfs"], "experimental": false})");
  REQUIRE_MESSAGE(o, error_of(o));
  CHECK(o->hosts == std::vector<std::string>{"unix:///run/a.sock", "fd://"});
  CHECK(o->level() == log::Level::kDebug);
  CHECK(o->registry_mirrors == std::vector<std::string>{"https://mirror:5000/"});
  CHECK(o->log_opts.at("max-size") == "1m");
  CHECK(o->default_shm_size == 128 << 20);
  CHECK(o->default_ulimits.at("nofile").hard == 20);
  CHECK(o->default_address_pools.at(0).size == 24);
  CHECK(o->pidfile == "/run/x/panald.pid");
  CHECK(!o->live_restore);
  CHECK(!o->icc);
}

TEST_CASE("flags say the same") {
  const auto o =
      with("", {"-H", "unix:///a", "--host=tcp://127.0.0.1", "--tlsverify", "-D", "--label", "a=b",
                "--label=c=d", "--log-opt", "max-file=3", "--default-address-pool", "base=10.0.0.0/8,size=26",
                "--default-ulimit", "nofile=1024:2048", "--default-ulimit=core=0", "--default-shm-size=1g",
                "--live-restore=false", "--mtu=9000"});
  REQUIRE_MESSAGE(o, error_of(o));
  CHECK(o->hosts == std::vector<std::string>{"unix:///a", "tcp://127.0.0.1:2376"});
  CHECK(o->tls);
  CHECK(o->labels.size() == 2);
  CHECK(o->log_opts.at("max-file") == "3");
  CHECK(o->default_ulimits.at("nofile").soft == 1024);
  CHECK(o->default_ulimits.at("core").hard == 0);
  CHECK(o->default_shm_size == 1 << 30);
  CHECK(o->mtu == 9000);
  CHECK(parse_options({"--userns-remap", "1000:1000"})->userns_remap == "1000:1000");
}

TEST_CASE("what stands in two places or nowhere is an error in Docker's words") {
  CHECK(error_of(with(R"({"debug": true, "hots": [], "foo": 1})")) ==
        "the following directives don't match any configuration option: hots, foo");
  CHECK(error_of(with(R"({"labels": ["a=b"], "mtu": 9})", {"--label", "c=d"})) ==
        "the following directives are specified both as a flag and in the configuration file: labels: (from "
        "flag: [c=d], from file: [a=b])");
  CHECK(error_of(with("[1]")) == "the configuration must be a JSON object");
  CHECK(error_of(with("{")).starts_with("invalid JSON: "));
  CHECK(error_of(with(R"({"debug": "yes"})")) == "invalid JSON: field debug must be a boolean");
  CHECK(error_of(with("{\"labels\": [\"" + std::string(2 << 20, 'x') + "\"]}")).find("more than the limit") !=
        std::string::npos);
  CHECK(error_of(parse_options({"--config-file", "/nowhere/daemon.json"}))
            .find("open /nowhere/daemon.json: no such file or directory") != std::string::npos);
  CHECK(error_of(with("", {"--nonsense"})) == "unknown flag: --nonsense");
  CHECK(error_of(with("", {"--mtu", "x"})) ==
        "invalid argument \"x\" for \"--mtu\" flag: strconv.ParseInt: parsing \"x\": invalid syntax");
  CHECK(with(" \n"));
}

TEST_CASE("what Panal does not do is refused by name") {
  for (const auto& [config, name] :
       {std::pair{R"({"userland-proxy": true})", "userland-proxy=true"},
        {R"({"iptables": false})", "iptables=false"},
        {R"({"storage-driver": "btrfs"})", "storage-driver=btrfs"},
        {R"({"ipv6": true})", "ipv6=true"},
        {R"({"runtimes": {"x": {"path": "/x"}}})", "runtimes="},
        {R"({"features": {"buildkit": true}})", "feature buildkit"},
        {R"({"exec-opts": ["native.cgroupdriver=systemd"]})", "exec-opts=[native.cgroupdriver=systemd]"}}) {
    const auto o = with(config);
    REQUIRE(!o);
    CHECK(o.error().code == Code::kUnsupported);
    CHECK_MESSAGE(o.error().message.starts_with(name), o.error().message);
  }
}

TEST_CASE("folders of CDI specifications") {
  using Dirs = std::vector<std::string>;
  const Dirs own{"/etc/cdi", "/var/run/cdi"};
  CHECK(with("{}")->cdi_spec_dirs == own);
  CHECK(with(R"({"features": {"cdi": true}})")->cdi_spec_dirs == own);
  CHECK(with("{}", {"--cdi-spec-dir=/a", "--cdi-spec-dir", "/b"})->cdi_spec_dirs == Dirs{"/a", "/b"});
  CHECK(with("{}", {"--cdi-spec-dir="})->cdi_spec_dirs.empty());
  CHECK(with(R"({"cdi-spec-dirs": []})")->cdi_spec_dirs.empty());
  CHECK(with(R"({"features": {"cdi": false}})", {"--cdi-spec-dir=/a"})->cdi_spec_dirs.empty());
}

TEST_CASE("values that cannot be") {
  CHECK(error_of(with(R"({"labels": ["nope"]})")) == "bad attribute format: nope");
  CHECK(error_of(with(R"({"labels": ["a=1", "a=2"]})")) == "conflict labels for a=1 and a=2");
  CHECK(error_of(with(R"({"dns": ["1.2.3"]})")) == "1.2.3 is not an ip address");
  CHECK(error_of(with(R"({"dns-search": ["a b"]})")) == "a b is not a valid domain");
  CHECK(error_of(with(R"({"mtu": -1})")) == "invalid default MTU: -1");
  CHECK(error_of(with(R"({"log-level": "loud"})")) == "invalid logging level: loud");
  CHECK(error_of(with(R"({"log-format": "xml"})")) == "invalid log format: xml");
  CHECK(error_of(with(R"({"max-concurrent-downloads": -1})")) == "invalid max concurrent downloads: -1");
  CHECK(error_of(with(R"({"default-runtime": "kata"})")) ==
        "specified default runtime 'kata' does not exist");
  CHECK(error_of(with(R"({"default-address-pools": [{"base": "10.0.0.0/24", "size": 16}]})")) ==
        "size 16 leaves no networks in the base pool 10.0.0.0/24");
  for (const char* bip : {"10.0.0.0/24", "10.0.0.255/24", "10.0.0.1", "fd00::1/64"})
    CHECK(!with("{\"bip\": \"" + std::string(bip) + "\"}"));
  CHECK(error_of(with(R"({"data-root": "var"})")) == "not an absolute path: var");
}

TEST_CASE("TCP without TLS is refused unless somebody insists") {
  const auto refused = with(R"({"hosts": ["tcp://0.0.0.0:2375"]})");
  REQUIRE(!refused);
  CHECK(refused.error().message.starts_with("listening on tcp://0.0.0.0:2375 without TLS is refused"));
  CHECK(with(R"({"hosts": ["tcp://0.0.0.0:2375"], "allow-plain-tcp": true})"));
  CHECK(with(R"({"hosts": [":2376"], "tls": true})")->hosts[0] == "tcp://127.0.0.1:2376");
  CHECK(with(R"({"hosts": ["tcp://[::1]"], "tlsverify": true})")->hosts[0] == "tcp://[::1]:2376");
  for (const char* host :
       {"udp://1.2.3.4:1", "tcp://1.2.3.4:99999", "tcp://name:1", "unix://", "npipe:////./pipe/x"})
    CHECK(!with("{\"tls\": true, \"hosts\": [\"" + std::string(host) + "\"]}"));
}

TEST_CASE("a reload reads the file beside the same flags") {
  auto file = std::make_unique<File>(R"({"labels": ["a=1"]})");
  const auto o = parse_options({"--config-file", file->path, "--mtu", "1400"});
  REQUIRE(o);
  CHECK(write_file(file->path, R"({"labels": ["a=2"], "debug": true})"));
  const auto fresh = reread_options(*o);
  REQUIRE(fresh);
  CHECK(fresh->labels == std::vector<std::string>{"a=2"});
  CHECK(fresh->mtu == 1400);
  CHECK(write_file(file->path, R"({"mtu": 1300})"));
  CHECK(!reread_options(*o));
}

}  // namespace panal
