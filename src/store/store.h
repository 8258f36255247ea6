// The replicated state: tables of the cluster's objects, and the one way they change. Pure and deterministic:
// apply() gives the same tables at the same index on every manager, whatever their clock or seed; ids, times
// and random choices stand in the command.
#pragma once
#include <map>
#include <set>
#include <variant>

#include "base/record.h"
#include "base/result.h"
#include "model/cluster.h"

namespace panal {

using Object = std::variant<Node, Service, ClusterTask, ClusterNetwork, SecretObject, ClusterSettings>;
enum class Kind { kNode, kService, kTask, kNetwork, kSecret, kConfig, kCluster };
std::string_view name_of(Kind);
bool from_name(std::string_view, Kind&);

/// One object written whole, or removed. With `base_version` (what users ask for; 0: a new object) the write
/// only holds if the object is still at this version and breaks no rule of rules.h.
struct Change {
  Kind kind = Kind::kNode;
  std::string id;
  std::optional<Object> object;  // nullopt: remove
  std::optional<uint64_t> base_version;
};

/// What a proposer asks: all changes hold, or none.
struct Command {
  PANAL_RECORD(Command);
  WallTime time;
  std::vector<Change> changes;
  /// A plan made from the store at this index: void if anything has been written since.
  std::optional<uint64_t> base_index;
  void put(Kind kind, Object object, std::optional<uint64_t> base_version = std::nullopt);
  void remove(Kind kind, std::string id);
  bool empty() const { return changes.empty(); }
};
std::string encode(const Command& command);
Result<Command> decode_command(const std::string& bytes);

class Store {
 public:
  PANAL_RECORD(Store);
  std::map<std::string, Node> nodes;
  std::map<std::string, Service> services;
  std::map<std::string, ClusterTask> tasks;
  std::map<std::string, ClusterNetwork> networks;
  std::map<std::string, SecretObject> secrets, configs;
  ClusterSettings cluster;
  uint64_t index = 0;

  /// Applies at `index`. An error changes nothing.
  Result<> apply(uint64_t index, const Command& command);
  std::string snapshot() const;
  Result<> restore(const std::string& data);
  /// Equal on every manager at an equal index.
  uint64_t hash() const;

  /// Ids of what the last apply touched, by kind; cleared by the reader.
  std::map<Kind, std::set<std::string>> touched;

  const Node* node(const std::string& id) const { return find(nodes, id); }
  const Service* service(const std::string& id) const { return find(services, id); }
  const ClusterTask* task(const std::string& id) const { return find(tasks, id); }
  const ClusterNetwork* network(const std::string& id) const { return find(networks, id); }

 private:
  template <class T>
  static const T* find(const std::map<std::string, T>& table, const std::string& id) {
    auto it = table.find(id);
    return it == table.end() ? nullptr : &it->second;
  }
  Meta* meta_of(Kind kind, const std::string& id);
};

}  // namespace panal
