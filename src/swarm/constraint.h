// Placement constraints: "node.role==worker", "node.labels.zone!=a" (Swarm's language). Pure.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "model/cluster.h"

namespace panal {

struct Constraint {
  std::string key, value;
  bool equal = true;
};
/// Docker's errors for what does not parse.
Result<std::vector<Constraint>> parse_constraints(const std::vector<std::string>& texts);
bool matches(const Constraint& constraint, const Node& node);
/// Value of "node.labels.zone" and the like on a node; empty when it has none.
std::string node_value(const std::string& key, const Node& node);

}  // namespace panal
