#include "swarm/assignments.h"

#include "swarm/cluster_test.h"

namespace panal {
using test::Cluster;

static Cluster web(uint64_t replicas = 2) {
  Cluster c;
  c.node("a"), c.node("b");
  c.network("ingress", "10.0.0.0/24", true), c.network("front", "10.0.1.0/24");
  SecretObject secret;
  secret.meta.id = "s1", secret.name = "password", secret.data = "x";
  c.put(Kind::kSecret, secret);
  secret.meta.id = "s2";
  c.put(Kind::kSecret, secret);
  ServiceSpec s = c.spec("web", replicas);
  s.task.networks = {{"front", {"alias"}}}, s.ports = {{.target = 80, .published = 8080}}, s.task.container.secrets = {{.file_name = "p", .id = "s1", .name = "password"}};
  c.service(s);
  c.settle();
  return c;
}

TEST_CASE("a node gets its own tasks, their secrets and the whole table of their networks") {
  const Cluster c = web();
  const Assignments a = assignments_for(c.store, "a");
  REQUIRE(a.tasks.size() == 1);
  CHECK(a.tasks[0].node_id == "a");
  CHECK(a.tasks[0].status.state == TaskState::kNew);
  REQUIRE(a.secrets.size() == 1);
  CHECK(a.secrets[0].meta.id == "s1");
  const auto front = std::ranges::find(a.networks, "front", [](const NetworkTable& t) { return t.network.network.name; });
  REQUIRE(front != a.networks.end());
  CHECK(front->rows.size() == 2);
  CHECK(front->vips.size() == 1);
  for (const auto& r : front->rows) {
    CHECK(r.serving);
    CHECK(r.local == (r.node_address == c.store.nodes.at("a").address));
    CHECK(r.names == std::vector<std::string>{"web", "alias"});
    CHECK(r.address.find('/') == std::string::npos);
  }
  CHECK(a.mesh_rows.size() == 2);
  CHECK(a.mesh_nodes.size() == 2);
  CHECK(a.mesh_services.size() == 1);
  CHECK(a.mesh_subnet == "10.0.0.0/24");
}

TEST_CASE("a node without tasks still gets the mesh and no secrets") {
  Cluster c = web(1);
  c.node("c");
  c.settle();
  const Assignments a = assignments_for(c.store, "c");
  CHECK(a.tasks.empty());
  CHECK(a.secrets.empty());
  CHECK(a.networks.empty());
  CHECK(a.mesh_rows.size() == 1);
}

TEST_CASE("who does not serve is in the table and says so") {
  Cluster c = web();
  c.state("b", NodeState::kDown);
  const Assignments a = assignments_for(c.store, "a");
  for (const auto& r : a.mesh_rows) CHECK(r.serving == (r.node_id == "a"));
}

TEST_CASE("a status that comes in changes no assignment of a steady cluster") {
  Cluster c = web();
  const auto encoded = [&] {
    Assignments a = assignments_for(c.store, "a");
    a.index = 0;
    return encode(a);
  };
  const std::string before = encoded();
  ClusterTask t = c.running("service-web")[0];
  t.status.message = "still here", t.status.pid = 9;
  c.put(Kind::kTask, t);
  CHECK((encoded() == before));
}

TEST_CASE("assignments come back from their bytes") {
  const Cluster c = web();
  const Assignments a = assignments_for(c.store, "b");
  const auto back = decode_assignments(encode(a));
  REQUIRE(back.has_value());
  CHECK((encode(*back) == encode(a)));
  CHECK(!decode_assignments("").has_value());
}

}  // namespace panal
