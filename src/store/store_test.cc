#include "store/store.h"

#include <doctest/doctest.h>

#include "model/cluster_json.h"

namespace panal {
namespace {

const WallTime kTime{1'800'000'000s + 123456789ns};

Node full_node() {
  Node n;
  n.meta = {"node1", 7, kTime, kTime + 1s};
  n.spec = {"name", {{"zone", "a"}}, NodeRole::kManager, Availability::kDrain};
  n.description = {"host", "aarch64", "linux", "0.1", 4'000'000'000, 1ll << 40, {{"engine", "label"}}};
  n.state = NodeState::kDisconnected, n.message = "gone", n.address = "192.0.2.1",
  n.raft_id = 0x7fffffffffffffff;
  n.manager_address = "192.0.2.1:2377", n.mesh_index = 4294967295u, n.mesh_address = "10.0.0.2";
  return n;
}
ServiceSpec full_spec() {
  ServiceSpec s;
  s.name = "web", s.labels = {{"a", "b"}, {"", ""}}, s.replicas = 12, s.endpoint_mode = "dnsrr";
  ContainerSpec& c = s.task.container;
  c.image = "image@sha256:0", c.hostname = "h", c.dir = "/d", c.user = "1:2", c.stop_signal = "SIGINT",
  c.isolation = "default";
  c.labels = {{"x", "y"}}, c.command = {"sh", "-c"}, c.args = {"echo", ""}, c.env = {"A=1", "B="},
  c.groups = {"audio"}, c.hosts = {"1.2.3.4 h"};
  c.cap_add = {"CAP_NET_ADMIN"}, c.cap_drop = {"ALL"}, c.tty = c.open_stdin = c.read_only = true,
  c.stop_grace_period = 0;
  Mount m;
  m.type = "volume", m.source = "v", m.target = "/v", m.read_only = true, m.no_copy = true,
  m.volume_labels = {{"l", "m"}}, m.driver_name = "local", m.driver_options = {{"o", "p"}};
  m.subpath = "s", m.tmpfs_mode = 01777, m.tmpfs_size_bytes = 9, m.propagation = "rslave",
  m.non_recursive = m.create_mountpoint = true, m.consistency = "cached";
  c.mounts = {m};
  c.health = HealthConfig{{"CMD", "true"}, 1, 2, 3, 4, 5};
  c.dns = {"8.8.8.8"}, c.dns_search = {"example"}, c.dns_options = {"ndots:1"};
  c.secrets = {{"f", "0", "0", "sid", "sname", 0400}}, c.configs = {{"g", "1", "1", "cid", "cname", 0}};
  c.init = false, c.sysctls = {{"net.a", "1"}}, c.ulimits = {{"nofile", 1, -1}};
  s.task.limits = {1, 2, 3}, s.task.reservations = {4, 5, 0}, s.task.restart = {"on-failure", 0, 7, 3};
  s.task.placement = {{"node.role==worker"}, {"node.labels.zone"}, 2};
  s.task.networks = {{"net", {"alias"}}}, s.task.log_driver = LogDriver{"json-file", {{"max-size", "1m"}}},
  s.task.force_update = 3, s.task.runtime = "container";
  s.update = UpdateConfig{0, 1, 2, "rollback", "start-first", 0.25}, s.rollback = UpdateConfig{};
  s.ports = {{"p", "udp", "host", 53, 5353}, {.target = 80}};
  return s;
}
Service full_service() {
  Service s;
  s.meta = {"service1", 9, kTime, kTime}, s.spec = full_spec(), s.previous = ServiceSpec{},
  s.previous->mode = ServiceMode::kGlobal, s.spec_version = 4;
  s.vips = {{"net", "10.0.1.2/24"}}, s.ports = s.spec.ports,
  s.update = UpdateStatus{"paused", "because", kTime, kTime + 2s};
  return s;
}
ClusterTask full_task() {
  ClusterTask t;
  t.meta = {"task1", 11, kTime, kTime}, t.service_id = "service1", t.service_name = "web",
  t.node_id = "node1", t.slot = 3, t.spec = full_spec().task, t.spec_version = 4;
  t.status = {TaskState::kFailed, kTime, "m", "e\n\"\\\x01", "cid", 77, 0, true};
  t.desired = TaskState::kShutdown, t.networks = {{"net", "10.0.1.3/24", {"alias"}}},
  t.ports = full_spec().ports, t.not_before = kTime, t.serving = false, t.came_up = kTime, t.turn = kTime;
  return t;
}
ClusterNetwork full_network() {
  ClusterNetwork n;
  n.meta = {"net", 2, kTime, kTime}, n.vni = 4097;
  n.network.id = "net", n.network.name = "front", n.network.driver = "overlay", n.network.scope = "swarm",
  n.network.created = kTime, n.network.internal = n.network.attachable = n.network.ingress = true;
  n.network.pools = {{"10.0.1.0/24", "10.0.1.1", "10.0.1.128/25"}}, n.network.options = {{"a", "b"}},
  n.network.labels = {{"c", "d"}}, n.network.bridge = "br0", n.network.vni = 4097;
  return n;
}
SecretObject full_secret() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return {{"secret1", 3, kTime, kTime}, "password", bytes, {{"k", "v"}}};
}
ClusterSettings full_cluster() {
  ClusterSettings c;
  c.meta = {"cluster1", 1, kTime, kTime}, c.name = "n", c.labels = {{"k", "v"}}, c.task_history = 0,
  c.heartbeat_ns = 1, c.cert_expiry_ns = 2;
  c.worker_secret = "w", c.manager_secret = "m", c.ca_certificate = "-----BEGIN\n", c.ca_key = "k\n",
  c.default_pool = {"10.1.0.0/16", "10.2.0.0/16"}, c.subnet_size = 26;
  return c;
}
const std::vector<std::pair<Kind, Object>>& everything() {
  static const std::vector<std::pair<Kind, Object>> all = {
      {Kind::kNode, full_node()},       {Kind::kService, full_service()}, {Kind::kTask, full_task()},
      {Kind::kNetwork, full_network()}, {Kind::kSecret, full_secret()},   {Kind::kConfig, full_secret()},
      {Kind::kCluster, full_cluster()}};
  return all;
}
Command put_all() {
  Command c;
  c.time = kTime;
  for (const auto& [kind, object] : everything()) c.put(kind, object);
  return c;
}
/// Empty when both are the same, else where they part.
std::string difference(const std::string& a, const std::string& b) {
  const auto at = static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  if (a == b) return "";
  const size_t from = at < 40 ? 0 : at - 40;
  return a.substr(from, 80) + " <> " + b.substr(from, 80);
}
template <class T>
std::string lost(const T& value) {
  const auto back = from_text<T>(to_text(value));
  return back ? difference(to_text(value), to_text(*back)) : back.error().message;
}

}  // namespace

TEST_CASE("every kind of object comes back from its JSON as it was") {
  CHECK(lost(full_node()) == "");
  CHECK(lost(full_service()) == "");
  CHECK(lost(full_task()) == "");
  CHECK(lost(full_network()) == "");
  CHECK(lost(full_secret()) == "");
  CHECK(lost(full_cluster()) == "");
  // Empty objects, and what an empty text would hide.
  CHECK(lost(Service{}) == "");
  CHECK(lost(ClusterTask{}) == "");
  const auto t = from_text<ClusterTask>(to_text(full_task()));
  REQUIRE(t.has_value());
  CHECK(t->spec.container == full_task().spec.container);
  CHECK(t->status == full_task().status);
  CHECK(t->spec.placement == full_task().spec.placement);
  CHECK(t->spec.restart == full_task().spec.restart);
  CHECK(t->ports == full_task().ports);
  CHECK(from_text<SecretObject>(to_text(full_secret()))->data == full_secret().data);
}

TEST_CASE("zero where the default is another number survives") {
  ServiceSpec s;
  s.replicas = 0, s.update = UpdateConfig{.parallelism = 0, .monitor = 0}, s.task.restart.delay = 0;
  s.task.container.secrets = {{.file_name = "f", .mode = 0}}, s.task.container.stop_grace_period = 0,
  s.task.container.init = false;
  const auto back = from_text<ServiceSpec>(to_text(s));
  REQUIRE(back.has_value());
  CHECK(back->replicas == 0);
  REQUIRE(back->update.has_value());
  CHECK(back->update->parallelism == 0);
  CHECK(back->update->monitor == 0);
  CHECK(back->task.restart.delay == 0);
  CHECK(back->task.container.secrets.at(0).mode == 0);
  CHECK(back->task.container.stop_grace_period == std::optional<int64_t>(0));
  CHECK(back->task.container.init == std::optional<bool>(false));
}

TEST_CASE("a global service stays global") {
  ServiceSpec s;
  s.mode = ServiceMode::kGlobal;
  CHECK(lost(s) == "");
  const auto asked = from_text<ServiceSpec>("{\"Name\":\"agent\",\"Mode\":{\"Global\":{}}}");
  REQUIRE(asked.has_value());
  CHECK((asked->mode == ServiceMode::kGlobal));
}

TEST_CASE("an all-default update config is still one") {
  ServiceSpec s;
  s.update = UpdateConfig{
      .parallelism = 0, .delay = 0, .monitor = 0, .failure_action = "", .order = "", .max_failure_ratio = 0};
  const auto back = from_text<ServiceSpec>(to_text(s));
  REQUIRE(back.has_value());
  CHECK(back->update.has_value());
}

TEST_CASE("the largest numbers of a spec survive") {
  ServiceSpec s;
  s.replicas = ~0ull, s.task.force_update = ~0ull, s.task.restart.max_attempts = 1ull << 63;
  const auto back = from_text<ServiceSpec>(to_text(s));
  REQUIRE_MESSAGE(back.has_value(), back.error().message);
  CHECK(back->replicas == ~0ull);
  CHECK(back->task.force_update == ~0ull);
}

TEST_CASE("commands come back from their bytes") {
  Command c = put_all();
  c.changes[1].base_version = 0;
  c.remove(Kind::kTask, "gone");
  const auto back = decode_command(encode(c));
  REQUIRE(back.has_value());
  CHECK(difference(encode(c), encode(*back)) == "");
  CHECK(back->changes[1].base_version == std::optional<uint64_t>(0));
  CHECK(!back->changes.back().object.has_value());
  CHECK(!decode_command("").has_value());
  CHECK(!decode_command("{\"changes\":[{\"kind\":\"cow\",\"id\":\"x\"}]}").has_value());
  CHECK(!decode_command("{\"changes\":[{\"kind\":\"node\",\"id\":\"x\",\"object\":7}]}").has_value());
}

TEST_CASE("a command with text that is not UTF-8 can be read back") {
  Command c;
  ClusterTask t = full_task();
  t.status.error = "exec: \xff\xfe: not found, cut in the middle of \xe2\x82";
  c.put(Kind::kTask, t);
  const auto back = decode_command(encode(c));
  CHECK_MESSAGE(back.has_value(), back.error().message);
}

TEST_CASE("apply stamps versions and times, and keeps the time of creation") {
  Store s;
  REQUIRE(s.apply(5, put_all()).has_value());
  CHECK(s.index == 5);
  CHECK(s.nodes.at("node1").meta.version == 5);
  CHECK(s.nodes.at("node1").meta.created == kTime);
  Command later;
  later.time = kTime + 1min;
  later.put(Kind::kNode, full_node());
  later.put(Kind::kCluster, full_cluster());
  REQUIRE(s.apply(6, later).has_value());
  CHECK(s.nodes.at("node1").meta.version == 6);
  CHECK(s.nodes.at("node1").meta.created == kTime);
  CHECK(s.nodes.at("node1").meta.updated == kTime + 1min);
  CHECK(s.cluster.meta.created == kTime);
  CHECK(s.services.at("service1").meta.version == 5);
}

TEST_CASE("a version conflict changes nothing at all") {
  Store s;
  REQUIRE(s.apply(1, put_all()).has_value());
  const uint64_t before = s.hash();
  s.touched.clear();
  Command c;
  Node n = full_node();
  n.spec.name = "other";
  c.put(Kind::kNode, n);
  c.remove(Kind::kTask, "task1");
  c.put(Kind::kService, full_service(), 99);
  const auto r = s.apply(2, c);
  REQUIRE(!r.has_value());
  CHECK(r.error().message == "rpc error: code = Unknown desc = update out of sequence");
  CHECK(s.touched.empty());
  CHECK(s.index == 2);
  s.index = 1;
  CHECK(s.hash() == before);
}

TEST_CASE("a base version of 0 asks that the object is new, and another that it is there") {
  Store s;
  Command c;
  c.put(Kind::kSecret, full_secret(), 0);
  REQUIRE(s.apply(1, c).has_value());
  CHECK(!s.apply(2, c).has_value());
  Command update;
  update.put(Kind::kSecret, full_secret(), 1);
  REQUIRE(s.apply(3, update).has_value());
  Command remove;
  remove.remove(Kind::kSecret, "secret1");
  REQUIRE(s.apply(4, remove).has_value());
  update.changes[0].base_version = 3;
  CHECK(!s.apply(5, update).has_value());
  CHECK(s.secrets.empty());
}

TEST_CASE("touched names what changed") {
  Store s;
  REQUIRE(s.apply(1, put_all()).has_value());
  CHECK(s.touched.size() == 7);
  s.touched.clear();
  Command c;
  c.remove(Kind::kNetwork, "net");
  REQUIRE(s.apply(2, c).has_value());
  CHECK(s.touched == std::map<Kind, std::set<std::string>>{{Kind::kNetwork, {"net"}}});
}

TEST_CASE("a restored snapshot is the same store, by hash and by all that follows") {
  Store a, b;
  REQUIRE(a.apply(1, put_all()).has_value());
  REQUIRE(b.restore(a.snapshot()).has_value());
  CHECK(a.hash() == b.hash());
  CHECK(difference(a.snapshot(), b.snapshot()) == "");
  CHECK(b.index == 1);
  CHECK(b.touched.size() == 7);
  Command next;
  next.time = kTime + 1s;
  Node n = full_node();
  n.state = NodeState::kDown;
  next.put(Kind::kNode, n, 1);
  REQUIRE(a.apply(2, next).has_value());
  REQUIRE(b.apply(2, next).has_value());
  CHECK(a.hash() == b.hash());
}

TEST_CASE("applying from bytes or from memory gives the same hash") {
  Store a, b;
  REQUIRE(a.apply(1, put_all()).has_value());
  REQUIRE(b.apply(1, *decode_command(encode(put_all()))).has_value());
  CHECK(a.hash() == b.hash());
  Command c;
  c.remove(Kind::kTask, "task1");
  REQUIRE(b.apply(2, c).has_value());
  a.index = 2;
  CHECK(a.hash() != b.hash());
}

TEST_CASE("a damaged snapshot is refused and leaves the store alone") {
  Store s;
  REQUIRE(s.apply(1, put_all()).has_value());
  const std::string good = s.snapshot();
  CHECK(!s.restore("").has_value());
  CHECK(!s.restore("[]").has_value());
  CHECK(!s.restore(good.substr(0, good.size() / 2)).has_value());
  CHECK(!s.restore("{\"nodes\":{\"a\":{\"Meta\":7}}}").has_value());
  CHECK(difference(s.snapshot(), good) == "");
}

TEST_CASE("kinds have names both ways") {
  for (int i = 0; i < 7; ++i) {
    Kind k = Kind::kNode;
    CHECK(from_name(name_of(static_cast<Kind>(i)), k));
    CHECK(k == static_cast<Kind>(i));
  }
  Kind k = Kind::kNode;
  CHECK(!from_name("cow", k));
}

}  // namespace panal
