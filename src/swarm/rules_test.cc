#include "store/rules.h"

#include "swarm/cluster_test.h"

namespace panal {
using test::Cluster;

static ServiceSpec published(Cluster& c, const std::string& name, std::vector<PortConfig> ports) {
  ServiceSpec s = c.spec(name, 1);
  s.ports = std::move(ports);
  return s;
}
static Result<> ask(Cluster& c, Kind kind, Object object, uint64_t base) {
  Command command;
  command.put(kind, std::move(object), base);
  return c.store.apply(c.store.index + 1, command);
}
static Service fresh(const std::string& id, ServiceSpec spec) {
  Service s;
  s.meta.id = id, s.spec = std::move(spec);
  return s;
}

TEST_CASE("a port in use is refused with the service that holds it") {
  Cluster c;
  const auto id = c.service(published(c, "web", {{.target = 80, .published = 8080}}));
  c.decide();
  CHECK(check_ports(c.store, id, {{.target = 80, .published = 8080}}).has_value());
  CHECK(check_ports(c.store, "new", {{.protocol = "udp", .target = 80, .published = 8080}}).has_value());
  const auto r = check_ports(c.store, "new", {{.target = 1, .published = 8080}});
  REQUIRE(!r.has_value());
  CHECK(r.error().message ==
        "rpc error: code = InvalidArgument desc = port '8080' is already in use by service 'web' (" + id +
            ") as an ingress port");
}

TEST_CASE("two users who ask at once for a name or a port: the second is refused where it is written") {
  Cluster c;
  CHECK(ask(c, Kind::kService, fresh("one", published(c, "web", {{.target = 80, .published = 8080}})), 0)
            .has_value());
  CHECK(ask(c, Kind::kService, fresh("two", c.spec("web", 1)), 0).error().message ==
        "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service web already "
        "exists");
  CHECK(ask(c, Kind::kService, fresh("two", published(c, "other", {{.target = 81, .published = 8080}})), 0)
            .error()
            .code == Code::kInvalid);
  CHECK(c.store.services.size() == 1);
  CHECK(ask(c, Kind::kService, fresh("one", published(c, "web", {{.target = 81, .published = 8080}})),
            c.store.service("one")->meta.version)
            .has_value());
}

TEST_CASE("two managers that are demoted at once: the second demotion is refused where it is written") {
  Cluster c;
  std::vector<Node> managers;
  for (const char* id : {"one", "two"}) {
    Node n;
    n.meta.id = id, n.spec.role = NodeRole::kManager;
    REQUIRE(ask(c, Kind::kNode, n, 0).has_value());
    managers.push_back(c.store.nodes.at(id));
  }
  for (auto& n : managers) n.spec.role = NodeRole::kWorker;
  CHECK(ask(c, Kind::kNode, managers[0], managers[0].meta.version).has_value());
  CHECK(ask(c, Kind::kNode, managers[1], managers[1].meta.version).error().message ==
        "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm");
  managers[1].spec.role = NodeRole::kManager, managers[1].spec.availability = Availability::kDrain;
  CHECK(ask(c, Kind::kNode, managers[1], managers[1].meta.version).has_value());
}

TEST_CASE("a user's write is told from the system's: only the first makes what another user read old") {
  Cluster c;
  REQUIRE(ask(c, Kind::kService, fresh("one", c.spec("web", 1)), 0).has_value());
  const Meta before = c.store.service("one")->meta;
  Service s = *c.store.service("one");
  s.vips.push_back({"net", "10.0.0.2/24"});
  c.put(Kind::kService, s);
  CHECK(c.store.service("one")->meta.version > before.version);
  CHECK(c.store.service("one")->meta.asked == before.asked);
  REQUIRE(ask(c, Kind::kService, *c.store.service("one"), c.store.service("one")->meta.version).has_value());
  CHECK(c.store.service("one")->meta.asked > before.version);
}

// An update to an image that breaks, of `replicas` slots.
static std::string broken_update(Cluster& c, uint64_t replicas, const UpdateConfig& config,
                                 const TaskRestartPolicy& restart) {
  c.node("a");
  ServiceSpec s = c.spec("web", replicas);
  s.update = config, s.task.restart = restart;
  const auto id = c.service(s);
  c.settle();
  c.breaks = [](const ClusterTask& t) { return t.spec.container.image == "image:1+"; };
  s.task.container.image = "image:1+";
  c.update(id, s);
  return id;
}

TEST_CASE("failure action continue goes on past slots that fail, again and again or for good") {
  for (const std::string order : {"stop-first", "start-first"})
    for (const std::string condition : {"any", "none"})
      for (const int64_t history : {1, 5}) {
        CAPTURE(order);
        CAPTURE(condition);
        CAPTURE(history);
        Cluster c;
        c.store.cluster.task_history = history;
        broken_update(c, 6, {.parallelism = 1, .failure_action = "continue", .order = order},
                      {.condition = condition, .delay = 1});
        std::set<uint64_t> tried;
        for (int i = 0; i < 400 && tried.size() < 6; ++i) {
          (void)c.decide(), (void)c.act();
          for (const auto& [id, task] : c.store.tasks)
            if (task.spec.container.image == "image:1+") tried.insert(task.slot);
        }
        CHECK(tried == std::set<uint64_t>{1, 2, 3, 4, 5, 6});
      }
}

TEST_CASE("a failure is seen before its task is forgotten") {
  for (const std::string order : {"stop-first", "start-first"})
    for (const std::string action : {"pause", "rollback"})
      for (const double ratio : {0.0, 0.4}) {
        CAPTURE(order);
        CAPTURE(action);
        CAPTURE(ratio);
        Cluster c;
        c.store.cluster.task_history = 1;
        const auto id = broken_update(
            c, 4, {.parallelism = 1, .failure_action = action, .max_failure_ratio = ratio, .order = order},
            {.condition = "any", .delay = 1});
        for (int i = 0; i < 100 && c.store.service(id)->update->state == "updating"; ++i)
          (void)c.decide(), (void)c.act();
        CHECK(c.store.service(id)->update->state == (action == "pause" ? "paused" : "rollback_started"));
      }
}

}  // namespace panal
