// The playground: several nodes on this machine, each a panald in network and mount namespaces of its own, on
// a switch that has no way out. State stands in a folder, so that any later call finds the nodes, and an `up`
// after a kill -9 of an earlier one cleans up first. Nothing of the machine's own network namespace is
// touched.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace panal {

struct LabNode {
  int number = 0;
  std::string name;  // "node1"
  bool manager = false;
  int holder = 0, daemon = 0;  // pids: keeper of the mount namespace, panald
  uint64_t holder_start = 0, daemon_start = 0;
};

class Lab {
 public:
  Lab(std::string name, std::string bin_dir);

  Result<> load();
  Result<> up(int managers, int workers);
  Result<> down();
  Result<> start(const std::string& node);
  Result<> stop(const std::string& node, int signal);
  Result<> link(const std::string& node, bool up);
  /// Runs a program inside a node ("switch": on the switch, as a client of the published ports would); its
  /// exit status.
  Result<int> exec(const std::string& node, const std::vector<std::string>& words);

  const std::vector<LabNode>& nodes() const { return nodes_; }
  bool alive(const LabNode& node) const;
  std::string socket(const LabNode& node) const { return dir_ + "/" + node.name + "/docker.sock"; }
  std::string log(const LabNode& node) const { return dir_ + "/" + node.name + "/log"; }
  std::string address(const LabNode& node) const { return "10.88.0." + std::to_string(node.number); }
  Result<LabNode> find(const std::string& name) const;

 private:
  std::string ns_name(const std::string& part) const { return "panal-" + name_ + "-" + part; }
  Result<> save();
  Result<> make_switch();
  Result<> make_node(LabNode& node);
  Result<> spawn_holder(LabNode& node);
  Result<> spawn_daemon(LabNode& node);
  Result<> wait_ready(const LabNode& node);
  Result<> form_swarm();
  void kill_containers(const LabNode& node);

  std::string name_, bin_, dir_;
  std::vector<LabNode> nodes_;
};

}  // namespace panal
