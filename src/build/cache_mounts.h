// Folders that RUN --mount=type=cache keeps between builds: <dir>/<digest of id>-<n>; several of one id only
// for sharing=private.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "dockerfile/mounts.h"
#include "ports/http_client.h"
#include "ports/loop.h"

namespace panal {

struct CacheFolder {
  std::string name, path;
  bool in_use = false;
};

class CacheMounts {
 public:
  CacheMounts(Loop& loop, std::string dir) : loop_(loop), dir_(std::move(dir)) {}
  /// A folder for `key` (hex), until give(): a shared one for all, another's own for each, or the only one,
  /// waited for.
  Task<Result<CacheFolder>> take(std::string key, RunMount::Sharing sharing, std::shared_ptr<Halt> halt);
  void give(const std::string& name);
  std::vector<CacheFolder> all() const;
  /// Refused while somebody has it.
  Task<Result<>> remove(std::string name);

 private:
  Loop& loop_;
  std::string dir_;
  std::map<std::string, int> users_;       // by name
  std::map<std::string, bool> exclusive_;  // taken by locked or private
  Event given_;
};

}  // namespace panal
