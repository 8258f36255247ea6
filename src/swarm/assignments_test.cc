#include "swarm/assignments.h"

#include "swarm/board.h"

#include "swarm/cluster_test.h"

namespace panal {
using test::Cluster;

static Assignments assignments_for(const Store& store, const std::string& node_id) {
  Board board;
  board.rebuild(store);
  Board::Reader reader{node_id};
  AssignmentView view(node_id);
  REQUIRE(view.take(*board.news(reader, store.index)).has_value());
  return view.now();
}

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
  s.task.networks = {{"front", {"alias"}}}, s.ports = {{.target = 80, .published = 8080}},
  s.task.container.secrets = {{.file_name = "p", .id = "s1", .name = "password"}};
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
  const auto front =
      std::ranges::find(a.networks, "front", [](const NetworkTable& t) { return t.network.network.name; });
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

// ---- differences

TEST_CASE("a node is told only what has changed, and nothing when that is nothing") {
  Cluster c = web(4);
  Board board;
  board.rebuild(c.store);
  Board::Reader reader{"a"};
  AssignmentView view("a");
  const auto everything = board.news(reader, c.store.index);
  REQUIRE(everything.has_value());
  REQUIRE(view.take(*everything).has_value());
  CHECK(!board.news(reader, c.store.index).has_value());
  c.store.touched.clear();
  ClusterTask t = c.running("service-web")[0];
  t.status.message = "still here";
  c.put(Kind::kTask, t);
  board.update(c.store, std::exchange(c.store.touched, {}));
  CHECK(!board.news(reader, c.store.index).has_value());
  t.serving = false;
  c.put(Kind::kTask, t);
  board.update(c.store, std::exchange(c.store.touched, {}));
  const auto little = board.news(reader, c.store.index);
  REQUIRE(little.has_value());
  CHECK(little->size() * 4 < everything->size());
  REQUIRE(view.take(*little).has_value());
  CHECK(view.now().index == c.store.index);
  for (const auto& r : view.now().mesh_rows) CHECK(r.serving == (r.task_id != t.meta.id));
}

TEST_CASE("differences that do not follow on what is here are refused") {
  Cluster c = web();
  Board board;
  board.rebuild(c.store);
  Board::Reader reader{"a"};
  const auto first = board.news(reader, c.store.index);
  c.store.touched.clear();
  c.state("b", NodeState::kDown);
  board.update(c.store, std::exchange(c.store.touched, {}));
  const auto second = board.news(reader, c.store.index);
  REQUIRE(second.has_value());
  AssignmentView view("a");
  CHECK(!view.take(*second).has_value());
  CHECK(!view.take("").has_value());
  CHECK(!view.take("\xff").has_value());
  REQUIRE(view.take(*first).has_value());
  REQUIRE(view.take(*second).has_value());
  CHECK(!view.take(*second).has_value());
}

namespace {

/// A cluster to which anything may happen, and its nodes, which listen now and then.
struct Storm {
  explicit Storm(uint64_t seed) : cluster(seed), dice(seed * 31), crowd(seed % 10 == 0 ? 150 : 6) {
    board.rebuild(cluster.store);
    cluster.check = [this](const Store&) {
      board.update(cluster.store, std::exchange(cluster.store.touched, {}));
      for (const auto& [id, n] : cluster.store.nodes)
        if (dice.chance(50)) hear(id);
    };
    cluster.network("ingress", "10.0.0.0/24", true), cluster.network("front", ""),
        cluster.network("back", "");
  }

  void hear(const std::string& id) {
    auto& l = listeners.try_emplace(id, Listener{{id}, AssignmentView(id)}).first->second;
    if (const auto news = board.news(l.reader, cluster.store.index))
      if (auto taken = l.view.take(*news); !taken) wrong = taken.error().message;
    Assignments is = l.view.now(), should = assignments_for(cluster.store, id);
    is.index = should.index = 0;
    if (encode(is) != encode(should)) wrong = id + ": " + encode(is) + " should be " + encode(should);
  }

  void new_service() {
    SecretObject secret;
    secret.meta.id = "s" + std::to_string(++names), secret.name = secret.meta.id, secret.data = "x";
    cluster.put(dice.chance(50) ? Kind::kSecret : Kind::kConfig, secret);
    ServiceSpec s = cluster.spec("web" + std::to_string(names), dice.below(crowd));
    if (dice.chance(50)) s.task.networks = {{dice.chance(50) ? "front" : "back", {"alias"}}};
    if (dice.chance(50)) s.ports = {{.target = 80, .published = static_cast<uint32_t>(8000 + names)}};
    s.task.container.secrets = {{.file_name = "p", .id = secret.meta.id, .name = secret.meta.id}},
    s.task.container.configs = s.task.container.secrets;
    cluster.service(s);
  }

  template <class T>
  std::string any_of(const std::map<std::string, T>& table) {
    return table.empty() ? "" : std::next(table.begin(), static_cast<long>(dice.below(table.size())))->first;
  }

  void happen() {
    const std::string service = any_of(cluster.store.services), node = any_of(cluster.store.nodes);
    const uint64_t what = dice.below(10);
    if (cluster.store.nodes.size() < 2 || what == 0) return void(cluster.node("n" + std::to_string(++names)));
    if (service.empty() || what == 1) return new_service();
    if (what == 2) cluster.scale(service, dice.below(6));
    if (what == 3) {
      ServiceSpec next = cluster.store.services.at(service).spec;
      next.task.container.image += "x";
      if (dice.chance(50)) next.task.networks = {{"back", {}}};
      cluster.update(service, next);
    }
    if (what == 4) cluster.remove(Kind::kService, service);
    if (what == 5) cluster.available(node, dice.chance(50) ? Availability::kDrain : Availability::kActive);
    if (what == 6) cluster.state(node, dice.chance(50) ? NodeState::kDown : NodeState::kReady);
    if (what == 7) {
      Node n = cluster.store.nodes.at(node);
      n.spec.role = dice.chance(50) ? NodeRole::kManager : NodeRole::kWorker,
      n.manager_address = dice.chance(50) ? "192.0.2.9:2377" : "",
      n.address = "198.51.100." + std::to_string(dice.below(9));
      cluster.put(Kind::kNode, n);
    }
    if (what == 8) cluster.remove(Kind::kNode, node);
    if (what == 9 && dice.chance(20)) board.rebuild(cluster.store);  // another leader, or a snapshot from one
  }

  struct Listener {
    Board::Reader reader;
    AssignmentView view;
  };
  Cluster cluster;
  test::SeededEntropy dice;
  Board board;
  std::map<std::string, Listener> listeners;
  std::string wrong;
  const uint64_t crowd;
  int names = 0;
};

}  // namespace

TEST_CASE("whatever happens, differences lead to what a new session would be told") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Storm storm(seed);
    for (int i = 0; i < 25 && storm.wrong.empty(); ++i) {
      storm.happen();
      for (uint64_t k = storm.dice.below(8); k > 0; --k)
        storm.dice.chance(60) ? void(storm.cluster.decide())
                              : void(storm.cluster.act(static_cast<int>(1 + storm.dice.below(8))));
      if (storm.dice.chance(30)) storm.cluster.now += Duration(storm.dice.below(8'000'000'000));
    }
    for (const auto& [id, n] : storm.cluster.store.nodes) storm.hear(id);
    CHECK_MESSAGE(storm.wrong.empty(), "seed " << seed << ": " << storm.wrong);
  }
}

}  // namespace panal
