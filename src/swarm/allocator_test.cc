#include "swarm/allocator.h"

#include "network/address.h"
#include "swarm/cluster_test.h"

namespace panal {
using test::Cluster;

static ServiceSpec published(Cluster& c, const std::string& name, std::vector<PortConfig> ports) {
  ServiceSpec s = c.spec(name, 1);
  s.ports = std::move(ports);
  return s;
}
static ServiceSpec attached(Cluster& c, const std::string& name, uint64_t replicas,
                            std::vector<std::string> networks) {
  ServiceSpec s = c.spec(name, replicas);
  for (auto& n : networks) s.task.networks.push_back({n, {}});
  return s;
}

TEST_CASE("overlay subnets come from the pool, one after the other, and never overlap") {
  Cluster c;
  std::vector<Cidr> seen;
  for (int i = 0; i < 20; ++i) {
    const auto& n = c.store.networks.at(c.network("n" + std::to_string(i), ""));
    const Cidr subnet = *parse_cidr(n.network.pools[0].subnet);
    CHECK(subnet.prefix == 24);
    for (const auto& other : seen) CHECK(!subnet.overlaps(other));
    seen.push_back(subnet);
    CHECK(n.network.pools[0].gateway == ip4_text(subnet.first() + 1));
    CHECK(n.vni == kFirstVni + static_cast<uint32_t>(i));
  }
}

TEST_CASE("a wished subnet must be a subnet and overlap no other") {
  Cluster c;
  c.network("a", "10.9.0.0/16");
  ClusterNetwork n;
  n.network.pools.push_back({"10.9.3.0/24", "", ""});
  CHECK(!choose_overlay_subnet(c.store, n).has_value());
  n.network.pools[0].subnet = "10.0.0.0/8";
  CHECK(!choose_overlay_subnet(c.store, n).has_value());
  n.network.pools[0].subnet = "10.8.0.0/31";
  CHECK(!choose_overlay_subnet(c.store, n).has_value());
  n.network.pools[0].subnet = "nonsense";
  CHECK(!choose_overlay_subnet(c.store, n).has_value());
  n.network.pools[0].subnet = "10.8.0.0/24";
  CHECK(choose_overlay_subnet(c.store, n).has_value());
}

TEST_CASE("a used up pool is an error") {
  Cluster c;
  c.store.cluster.default_pool = {"10.0.0.0/23"};
  c.network("a", ""), c.network("b", "");
  ClusterNetwork n;
  const auto r = choose_overlay_subnet(c.store, n);
  REQUIRE(!r.has_value());
  CHECK(r.error().message == "no available network address pool");
}

TEST_CASE("a service keeps its virtual address over scaling, updates and restarts of tasks") {
  Cluster c;
  c.node("a");
  const auto net = c.network("front", "");
  const ServiceSpec s = attached(c, "web", 2, {"front"});
  const auto id = c.service(s);
  c.settle();
  REQUIRE(c.store.services.at(id).vips.size() == 1);
  CHECK(c.store.services.at(id).vips[0].network_id == net);
  const std::string vip = c.store.services.at(id).vips[0].address;
  c.scale(id, 5);
  c.settle();
  ServiceSpec next = c.store.services.at(id).spec;
  next.task.container.image = "image:2";
  c.update(id, next);
  c.settle();
  CHECK(c.store.services.at(id).vips[0].address == vip);
}

TEST_CASE("dnsrr has no virtual address, and switching to it gives the address back") {
  Cluster c;
  c.node("a");
  c.network("front", "");
  ServiceSpec s = attached(c, "web", 1, {"front"});
  const auto id = c.service(s);
  c.settle();
  REQUIRE(c.store.services.at(id).vips.size() == 1);
  s.endpoint_mode = "dnsrr";
  c.update(id, s);
  c.settle();
  CHECK(c.store.services.at(id).vips.empty());
}

TEST_CASE("published ports without a number get one that stays") {
  Cluster c;
  c.node("a");
  const auto id = c.service(published(c, "web", {{.target = 80}}));
  c.settle();
  CHECK(c.store.services.at(id).ports.at(0).published == kFirstIngressPort);
  const auto other = c.service(published(c, "api", {{.target = 80}, {.protocol = "udp", .target = 53}}));
  c.settle();
  CHECK(c.store.services.at(other).ports.at(0).published == kFirstIngressPort + 1);
  CHECK(c.store.services.at(other).ports.at(1).published == kFirstIngressPort);
  ServiceSpec s = c.store.services.at(other).spec;
  s.ports.insert(s.ports.begin(), PortConfig{.target = 8080});
  c.update(other, s);
  c.settle();
  for (const auto& p : c.store.services.at(other).ports)
    if (p.target == 80) CHECK(p.published == kFirstIngressPort + 1);
}

TEST_CASE("a chosen port is none the service publishes itself") {
  Cluster c;
  const auto id =
      c.service(published(c, "web", {{.target = 80}, {.target = 81, .published = kFirstIngressPort}}));
  c.settle_now();
  std::set<uint32_t> numbers;
  for (const auto& p : c.store.services.at(id).ports) CHECK(numbers.insert(p.published).second);
}

TEST_CASE("two chosen ports for one target stay as they are") {
  Cluster c;
  const auto id = c.service(published(c, "web", {{.target = 80}, {.target = 80}}));
  c.settle_now(20);
  std::set<uint32_t> numbers;
  for (const auto& p : c.store.services.at(id).ports) CHECK(numbers.insert(p.published).second);
}

TEST_CASE("the whole port range can be given out, and no port twice") {
  Cluster c;
  ServiceSpec s = c.spec("web", 0);
  for (uint32_t i = 0; i <= kLastIngressPort - kFirstIngressPort; ++i) s.ports.push_back({.target = i + 1});
  const auto id = c.service(s);
  c.settle_now(5);
  std::set<uint32_t> numbers;
  for (const auto& p : c.store.services.at(id).ports) CHECK(numbers.insert(p.published).second);
  const auto late = c.service(published(c, "late", {{.target = 80}}));
  c.settle_now(5);
  CHECK(c.store.services.at(late).ports.at(0).published == 0);
}

TEST_CASE("a task without an address is not started, and says why") {
  Cluster c;
  c.node("a");
  c.network("small", "10.7.0.0/29");  // five hosts besides the gateway, one for the service
  const auto id = c.service(attached(c, "web", 8, {"small"}));
  c.settle();
  const auto up = c.running(id);
  CHECK(up.size() == 4);
  for (const auto& t : up) CHECK(t.networks.size() == 1);
  for (const auto& t : c.tasks(id))
    if (!Cluster::up(t)) {
      CHECK(t.status.state <= TaskState::kPending);
      CHECK(t.status.error == "no free address on network small");
    }
}

TEST_CASE("a task of a network that is not there waits") {
  Cluster c;
  c.node("a");
  const auto id = c.service(attached(c, "web", 1, {"missing"}));
  c.settle();
  CHECK(c.running(id).empty());
  for (const auto& t : c.tasks(id)) CHECK(t.status.error == "network missing not found");
  c.network("missing", "");
  c.settle();
  CHECK(c.running(id).size() == 1);
}

TEST_CASE("tasks that have ended hold no addresses: a /24 is enough for updates of many replicas") {
  Cluster c;
  for (int i = 0; i < 4; ++i) c.node("n" + std::to_string(i));
  c.network("front", "10.7.0.0/24");
  ServiceSpec s = attached(c, "web", 60, {"front"});
  s.update = UpdateConfig{.parallelism = 0};
  const auto id = c.service(s);
  c.settle();
  for (int i = 0; i < 6; ++i) {
    s.task.container.image += "+";
    c.update(id, s);
    c.settle();
    REQUIRE_MESSAGE(c.running(id).size() == 60, "update " << i);
    for (const auto& t : c.running(id)) REQUIRE(t.networks.size() == 1);
  }
}

TEST_CASE("nodes get a place in the mesh that no two share") {
  Cluster c;
  c.node("a"), c.node("b");
  c.network("ingress", "10.0.0.0/24", true);
  c.settle();
  const auto id = c.service(published(c, "web", {{.target = 80}}));
  c.node("d"), c.node("c");
  c.settle();
  std::set<uint32_t> numbers;
  std::set<std::string> addresses;
  for (const auto& [node, n] : c.store.nodes) {
    CHECK(n.mesh_index > 0);
    CHECK(numbers.insert(n.mesh_index).second);
    CHECK(addresses.insert(n.mesh_address).second);
  }
  REQUIRE(c.running(id).size() == 1);
  const ClusterTask t = c.running(id)[0];
  REQUIRE(t.networks.size() == 1);
  CHECK(addresses.insert(t.networks[0].address.substr(0, t.networks[0].address.find('/'))).second);
}

static ClusterTask attachment(const std::string& id, const std::string& node, const std::string& network,
                              const std::string& address = "") {
  ClusterTask t;
  t.meta.id = id, t.node_id = node, t.service_name = "box-" + id, t.spec.runtime = kAttachmentRuntime;
  t.networks = {{network, address, {}}};
  return t;
}

TEST_CASE("an attachment gets an address of the network, the wished one if it is free") {
  Cluster c;
  c.node("a");
  const std::string n = c.network("front", "10.9.0.0/24");
  c.put(Kind::kTask, attachment("free", "a", n));
  c.put(Kind::kTask, attachment("wished", "a", n, "10.9.0.77"));
  c.settle_now();
  CHECK(c.store.tasks.at("free").networks[0].address == "10.9.0.2/24");
  CHECK(c.store.tasks.at("wished").networks[0].address == "10.9.0.77/24");
  for (const char* wrong : {"10.9.0.77", "10.9.0.1", "10.9.0.0", "10.9.0.255", "10.10.0.1", "nonsense"}) {
    CAPTURE(wrong);
    c.put(Kind::kTask, attachment("late", "a", n, wrong));
    REQUIRE(c.decide());
    CHECK(c.store.tasks.at("late").status.state == TaskState::kRejected);
    CHECK(c.store.tasks.at("late").status.error == "Address already in use");
    c.remove(Kind::kTask, "late");
  }
  c.service(attached(c, "web", 3, {n}));
  c.settle();
  std::set<std::string> seen;
  for (const auto& t : c.tasks("")) CHECK(seen.insert(t.networks[0].address).second);
}

TEST_CASE("an attachment lasts until its node says it is gone, or is gone") {
  Cluster c;
  c.node("a"), c.node("b");
  const std::string n = c.network("front", "10.9.0.0/24");
  c.put(Kind::kTask, attachment("one", "a", n));
  c.put(Kind::kTask, attachment("two", "b", n));
  c.settle();
  c.state("a", NodeState::kDown);
  c.available("b", Availability::kDrain);
  c.settle();
  CHECK(c.store.tasks.size() == 2);
  ClusterTask ended = c.store.tasks.at("two");
  ended.status.state = TaskState::kShutdown;
  c.put(Kind::kTask, ended);
  c.remove(Kind::kNode, "a");
  c.settle();
  CHECK(c.store.tasks.empty());
}

}  // namespace panal
