// The node's local state: rows of (kind, id) -> JSON text. Implemented on SQLite (WAL).
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task.h"

namespace panal {

class Database {
 public:
  virtual ~Database() = default;
  virtual Task<Result<>> put(std::string kind, std::string id, std::string json) = 0;
  virtual Task<Result<>> erase(std::string kind, std::string id) = 0;
  /// At start, before the loop runs.
  virtual Result<std::vector<std::pair<std::string, std::string>>> all(const std::string& kind) = 0;
};

}  // namespace panal
