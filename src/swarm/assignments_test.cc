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

TEST_CASE("whatever happens, differences lead to what a new session would be told") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Cluster c(seed);
    test::SeededEntropy dice(seed * 31);
    Board board;
    struct Listener {
      Board::Reader reader;
      AssignmentView view;
    };
    std::map<std::string, Listener> listeners;
    board.rebuild(c.store);
    std::string wrong;
    const auto hear = [&](const std::string& id) {
      auto& l = listeners.try_emplace(id, Listener{{id}, AssignmentView(id)}).first->second;
      if (const auto news = board.news(l.reader, c.store.index))
        if (auto taken = l.view.take(*news); !taken) wrong = taken.error().message;
      Assignments is = l.view.now(), should = assignments_for(c.store, id);
      is.index = should.index = 0;
      if (encode(is) != encode(should)) wrong = id + ": " + encode(is) + " should be " + encode(should);
    };
    c.check = [&](const Store&) {
      board.update(c.store, std::exchange(c.store.touched, {}));
      for (const auto& [id, n] : c.store.nodes)
        if (dice.chance(50)) hear(id);
    };
    c.network("ingress", "10.0.0.0/24", true), c.network("front", ""), c.network("back", "");
    int names = 0;
    for (int i = 0; i < 25 && wrong.empty(); ++i) {
      std::vector<std::string> services, nodes;
      for (const auto& [id, s] : c.store.services) services.push_back(id);
      for (const auto& [id, n] : c.store.nodes) nodes.push_back(id);
      const auto service = services.empty() ? "" : services[dice.below(services.size())];
      const auto node = nodes.empty() ? "" : nodes[dice.below(nodes.size())];
      const uint64_t what = dice.below(10);
      if (nodes.size() < 2 || what == 0) {
        c.node("n" + std::to_string(++names));
      } else if (service.empty() || what == 1) {
        SecretObject secret;
        secret.meta.id = "s" + std::to_string(++names), secret.name = secret.meta.id, secret.data = "x";
        c.put(dice.chance(50) ? Kind::kSecret : Kind::kConfig, secret);
        ServiceSpec s = c.spec("web" + std::to_string(names), dice.below(seed % 10 == 0 ? 150 : 6));
        if (dice.chance(50)) s.task.networks = {{dice.chance(50) ? "front" : "back", {"alias"}}};
        if (dice.chance(50)) s.ports = {{.target = 80, .published = static_cast<uint32_t>(8000 + names)}};
        s.task.container.secrets = {{.file_name = "p", .id = secret.meta.id, .name = secret.meta.id}}, s.task.container.configs = s.task.container.secrets;
        c.service(s);
      } else if (what == 2) {
        c.scale(service, dice.below(6));
      } else if (what == 3) {
        ServiceSpec next = c.store.services.at(service).spec;
        next.task.container.image += "x";
        if (dice.chance(50)) next.task.networks = {{"back", {}}};
        c.update(service, next);
      } else if (what == 4) {
        c.remove(Kind::kService, service);
      } else if (what == 5) {
        c.available(node, dice.chance(50) ? Availability::kDrain : Availability::kActive);
      } else if (what == 6) {
        c.state(node, dice.chance(50) ? NodeState::kDown : NodeState::kReady);
      } else if (what == 7) {
        Node n = c.store.nodes.at(node);
        n.spec.role = dice.chance(50) ? NodeRole::kManager : NodeRole::kWorker, n.manager_address = dice.chance(50) ? "192.0.2.9:2377" : "", n.address = "198.51.100." + std::to_string(dice.below(9));
        c.put(Kind::kNode, n);
      } else if (what == 8) {
        c.remove(Kind::kNode, node);
      } else if (dice.chance(20)) {
        board.rebuild(c.store);  // another leader, or a snapshot from one
      }
      for (uint64_t k = dice.below(8); k > 0; --k) dice.chance(60) ? void(c.decide()) : void(c.act(static_cast<int>(1 + dice.below(8))));
      if (dice.chance(30)) c.now += Duration(dice.below(8'000'000'000));
    }
    for (const auto& [id, n] : c.store.nodes) hear(id);
    CHECK_MESSAGE(wrong.empty(), "seed " << seed << ": " << wrong);
  }
}

}  // namespace panal
