#include "swarm/constraint.h"

#include <doctest/doctest.h>

namespace panal {

static Node node() {
  Node n;
  n.meta.id = "id1", n.description.hostname = "Host-1", n.spec.role = NodeRole::kManager,
  n.description.architecture = "x86_64", n.address = "192.0.2.7";
  n.spec.labels = {{"zone", "A"}, {"Case", "x"}}, n.description.engine_labels = {{"disk", "ssd"}};
  return n;
}
static bool holds(const char* text) {
  const auto c = parse_constraints({text});
  return c && matches(c->at(0), node());
}

TEST_CASE("constraints on all that can be asked") {
  for (const auto* text :
       {"node.id==id1", "node.hostname == host-1", "node.role==manager", "node.role!=worker",
        "node.platform.arch==amd64", "node.platform.arch==x86_64", "node.platform.os==linux",
        "node.ip==192.0.2.7", "node.labels.zone==a", "node.labels.Case==x", "node.labels.none!=x",
        "engine.labels.disk==ssd", "NODE.ROLE==manager", "node.hostname!=other"})
    CHECK_MESSAGE(holds(text), std::string(text));
  for (const auto* text : {"node.id==id2", "node.role==worker", "node.labels.none==x", "node.labels.case==x",
                           "engine.labels.disk!=ssd", "node.platform.arch==arm64"})
    CHECK_MESSAGE(!holds(text), std::string(text));
}

TEST_CASE("bad constraints get Swarm's words") {
  CHECK(parse_constraints({"node.role=manager"}).error().message ==
        "rpc error: code = InvalidArgument desc = constraint expected one operator from ==, !=");
  CHECK(parse_constraints({"node.color==red"}).error().message ==
        "rpc error: code = InvalidArgument desc = key 'node.color' is invalid");
  CHECK(parse_constraints({"node.role== "}).error().message ==
        "rpc error: code = InvalidArgument desc = value '' is invalid");
  CHECK(!parse_constraints({"==x"}).has_value());
  CHECK(!parse_constraints({""}).has_value());
  CHECK(parse_constraints({})->empty());
}

TEST_CASE("the first operator counts") {
  const auto c = parse_constraints({"node.labels.a!=b==c"});
  REQUIRE(c.has_value());
  CHECK(!c->at(0).equal);
  CHECK(c->at(0).value == "b==c");
}

}  // namespace panal
