#include "swarm/scheduler.h"

#include "swarm/cluster_test.h"

namespace panal {
using test::Cluster;

static std::map<std::string, size_t> spread(const Cluster& c, const std::string& id) {
  std::map<std::string, size_t> out;
  for (const auto& t : c.running(id)) ++out[t.node_id];
  return out;
}
static std::string why(const Cluster& c, const std::string& id) {
  const auto waiting = c.tasks(id, [](const ClusterTask& t) { return t.node_id.empty(); });
  return waiting.empty() ? "" : waiting[0].status.error;
}
static void label(Cluster& c, const std::string& node, const std::string& zone) {
  Node n = c.store.nodes.at(node);
  n.spec.labels["zone"] = zone;
  c.put(Kind::kNode, n);
}

TEST_CASE("tasks spread evenly over nodes") {
  Cluster c;
  c.node("a"), c.node("b"), c.node("c");
  const auto id = c.service(c.spec("web", 9));
  c.settle();
  CHECK(spread(c, id) == std::map<std::string, size_t>{{"a", 3}, {"b", 3}, {"c", 3}});
  const auto other = c.service(c.spec("api", 3));
  c.settle();
  CHECK(spread(c, other) == std::map<std::string, size_t>{{"a", 1}, {"b", 1}, {"c", 1}});
}

TEST_CASE("the service's own tasks count before all tasks") {
  Cluster c;
  c.node("a");
  c.service(c.spec("old", 4));
  c.settle();
  c.node("b");
  const auto id = c.service(c.spec("web", 4));
  c.settle();
  CHECK(spread(c, id) == std::map<std::string, size_t>{{"a", 2}, {"b", 2}});
}

TEST_CASE("spread over a label comes before spread over nodes") {
  Cluster c;
  for (const auto* n : {"a1", "a2", "a3", "b1"}) {
    c.node(n);
    label(c, n, std::string(1, n[0]));
  }
  ServiceSpec s = c.spec("web", 6);
  s.task.placement.spread = {"node.labels.zone"};
  const auto id = c.service(s);
  c.settle();
  CHECK(spread(c, id) == std::map<std::string, size_t>{{"a1", 1}, {"a2", 1}, {"a3", 1}, {"b1", 3}});
}

TEST_CASE("an outer preference is balanced before an inner one") {
  Cluster c;
  for (const auto* n : {"a1", "a2", "b1"}) {
    c.node(n);
    Node node = c.store.nodes.at(n);
    node.spec.labels = {{"zone", std::string(1, n[0])}, {"rack", n}};
    c.put(Kind::kNode, node);
  }
  ServiceSpec s = c.spec("web", 8);
  s.task.placement.spread = {"node.labels.zone", "node.labels.rack"};
  const auto id = c.service(s);
  c.settle();
  CHECK(spread(c, id) == std::map<std::string, size_t>{{"a1", 2}, {"a2", 2}, {"b1", 4}});
}

TEST_CASE("reservations are never overdrawn, and what does not fit says so") {
  Cluster c;
  c.node("a"), c.node("b");  // four processors each
  ServiceSpec s = c.spec("web", 6);
  s.task.reservations.nano_cpus = 1'500'000'000;
  const auto id = c.service(s);
  c.settle();
  CHECK(spread(c, id) == std::map<std::string, size_t>{{"a", 2}, {"b", 2}});
  CHECK(why(c, id) == "no suitable node (insufficient resources on 2 nodes)");
  c.scale(id, 4);
  c.settle();
  ServiceSpec memory = c.spec("big", 3);
  memory.task.reservations.memory_bytes = 5ll << 30;
  const auto big = c.service(memory);
  c.settle();
  CHECK(c.running(big).size() == 2);
}

TEST_CASE("max replicas per node") {
  Cluster c;
  c.node("a"), c.node("b");
  ServiceSpec s = c.spec("web", 5);
  s.task.placement.max_replicas = 2;
  const auto id = c.service(s);
  c.settle();
  CHECK(spread(c, id) == std::map<std::string, size_t>{{"a", 2}, {"b", 2}});
  CHECK(why(c, id) == "no suitable node (max replicas per node limit exceed on 2 nodes)");
}

TEST_CASE("a host port is free once its task has ended, and one task has it at a time") {
  Cluster c;
  c.node("a"), c.node("b");
  ServiceSpec s = c.spec("web", 3);
  s.ports = {PortConfig{.mode = "host", .target = 80, .published = 8080}};
  const auto id = c.service(s);
  c.settle();
  CHECK(spread(c, id) == std::map<std::string, size_t>{{"a", 1}, {"b", 1}});
  CHECK(why(c, id) == "no suitable node (host-mode port already in use on 2 nodes)");
  c.scale(id, 2);
  c.settle();
  s.replicas = 2, s.task.container.image = "image:2";
  c.update(id, s);
  c.settle();
  CHECK(spread(c, id) == std::map<std::string, size_t>{{"a", 1}, {"b", 1}});
  for (const auto& t : c.running(id)) CHECK(t.spec.container.image == "image:2");
}

TEST_CASE("a task of a global service does not stand in its own way") {
  Cluster c;
  c.node("a"), c.node("b");
  ServiceSpec s = c.spec("agent", 1);
  s.mode = ServiceMode::kGlobal, s.ports = {PortConfig{.mode = "host", .target = 80, .published = 8080}};
  const auto ports = c.service(s);
  s = c.spec("big", 1);
  s.mode = ServiceMode::kGlobal, s.task.reservations.nano_cpus = 3'000'000'000;
  const auto cpus = c.service(s);
  s = c.spec("one", 1);
  s.mode = ServiceMode::kGlobal, s.task.placement.max_replicas = 1;
  const auto one = c.service(s);
  c.settle();
  CHECK(spread(c, ports) == std::map<std::string, size_t>{{"a", 1}, {"b", 1}});
  CHECK(spread(c, cpus) == std::map<std::string, size_t>{{"a", 1}, {"b", 1}});
  CHECK(spread(c, one) == std::map<std::string, size_t>{{"a", 1}, {"b", 1}});
}

TEST_CASE("a refusal counts the nodes of each reason") {
  Cluster c;
  c.node("a"), c.node("b"), c.node("c");
  c.available("a", Availability::kDrain);
  label(c, "b", "x");
  ServiceSpec s = c.spec("web", 1);
  s.task.placement.constraints = {"node.labels.zone==x"};
  s.task.reservations.nano_cpus = 64'000'000'000;
  const auto id = c.service(s);
  c.settle();
  CHECK(why(c, id) ==
        "no suitable node (1 node not available for new tasks; scheduling constraints not satisfied on 1 "
        "node; insufficient resources on 1 node)");
  Cluster empty;
  const auto lonely = empty.service(empty.spec("web", 1));
  empty.settle();
  CHECK(why(empty, lonely) == "no suitable node");
}

TEST_CASE("a waiting task is placed when a node comes, and refused tasks write nothing anew") {
  Cluster c;
  const auto id = c.service(c.spec("web", 2));
  c.settle();
  CHECK(c.plan().empty());
  c.node("a");
  c.settle();
  CHECK(c.running(id).size() == 2);
}

TEST_CASE("a node where the service keeps failing is avoided") {
  Cluster c;
  c.node("bad");
  c.breaks = [](const ClusterTask& t) { return t.node_id == "bad"; };
  ServiceSpec s = c.spec("web", 3);
  s.task.restart.delay = 1'000'000'000;
  const auto id = c.service(s);
  c.settle(20s);
  c.node("good");
  c.settle(2min);
  CHECK(spread(c, id) == std::map<std::string, size_t>{{"good", 3}});
}

TEST_CASE("tasks whose constraints no longer hold move") {
  Cluster c;
  c.node("a"), c.node("b");
  label(c, "a", "x"), label(c, "b", "x");
  ServiceSpec s = c.spec("web", 4);
  s.task.placement.constraints = {"node.labels.zone == x"};
  const auto id = c.service(s);
  c.settle();
  label(c, "a", "y");
  c.settle();
  CHECK(spread(c, id) == std::map<std::string, size_t>{{"b", 4}});
}

}  // namespace panal
