// What the leader tells its nodes, kept as rows next to the store: each write touches few rows, each node is
// sent those that changed since it was last told. Nothing here is replicated; a new leader builds its own
// board.
//
// A row stands in a scope, and a node reads the scopes that concern it: "all" (managers, routing mesh),
// "node/ID" (its role and tasks), "network/ID", "secret/ID" and "config/ID" (of its tasks). A scope whose
// head is missing (the role, the network itself) is not read.
#pragma once
#include "store/store.h"

namespace panal {

class Board {
 public:
  using Touched = decltype(Store::touched);
  /// One session of a node: what it has been told.
  struct Reader {
    std::string node_id;
    uint64_t sent = 0, generation = 0;
    std::set<std::string> scopes;
  };

  void rebuild(const Store& store);
  /// After each write, with what it touched.
  void update(const Store& store, const Touched& touched);
  /// What the reader does not know yet, for AssignmentView; nullopt when that is nothing. `index`: of the
  /// store the board follows.
  std::optional<std::string> news(Reader& reader, uint64_t index) const;

 private:
  struct Row {
    std::string json;  // empty: gone
    uint64_t changed = 0;
  };
  struct Scope {
    std::map<std::string, Row> rows;
    std::set<std::pair<uint64_t, std::string>> changes;  // each row once, by its last change
    uint64_t since = 0;                                  // rows that went before this index are forgotten
    size_t gone = 0;
  };
  struct Source {
    std::vector<std::pair<std::string, std::string>> places;
    std::string node_scope;
    std::set<std::string> needs;
  };

  void derive(const Store& store, Kind kind, const std::string& id);
  void set(uint64_t index, const std::string& scope, const std::string& key, std::string json);
  void tidy();
  const Scope* readable(const std::string& scope) const;

  std::map<std::string, Scope> scopes_;
  std::map<std::pair<Kind, std::string>, Source> sources_;
  std::map<std::string, std::map<std::string, size_t>>
      needs_;  // node scope -> scopes its tasks need, and how many do
  std::set<std::string> dirty_;
  uint64_t generation_ = 0;
};

}  // namespace panal
