// The node's volumes (driver "local"): folders below the data root.
#pragma once
#include <map>
#include <set>

#include "model/id_map.h"
#include "model/image.h"
#include "node/events.h"
#include "ports/database.h"
#include "ports/entropy.h"
#include "ports/layers.h"
#include "ports/mutex.h"

namespace panal {

class Volumes {
 public:
  Volumes(Loop& loop, Entropy& entropy, Database& db, Events& events, Layers& layers, std::string dir,
          IdMap ids)
      : loop_(loop),
        entropy_(entropy),
        db_(db),
        events_(events),
        layers_(layers),
        dir_(std::move(dir)),
        ids_(std::move(ids)) {}
  Result<> load();
  /// After load(): clears away what a crash left half made or half removed.
  Task<void> collect();

  const std::map<std::string, Volume>& all() const { return volumes_; }
  Result<const Volume*> find(const std::string& name) const;
  /// An existing volume of that name is returned as it is. An empty name makes an anonymous one, for the
  /// container `made_for`.
  Task<Result<const Volume*>> ensure(std::string name, std::string driver,
                                     std::map<std::string, std::string> labels,
                                     std::map<std::string, std::string> options, bool& created,
                                     std::string made_for = {});
  Task<Result<>> remove(std::string name, bool force);
  /// An anonymous volume outlives its container.
  Task<void> keep(std::string name);
  /// A volume with options of the driver (type, device, o) is mounted while containers use it; others are
  /// just folders.
  Task<Result<>> mount(std::string name);
  Task<Result<>> unmount(std::string name);
  /// A running container was found that has it mounted.
  void readopt(const std::string& name) { mounted_.insert(name); }

 private:
  Loop& loop_;
  Entropy& entropy_;
  Database& db_;
  Events& events_;
  Layers& layers_;
  std::string dir_;
  IdMap ids_;  // whose root owns new volumes
  std::map<std::string, Volume> volumes_;
  std::set<std::string> mounted_;
  AsyncMutex mounting_;
};

/// What the local driver takes as options, with Docker's words.
Result<> check_volume_options(const std::map<std::string, std::string>& options);

/// Docker's rule for names of containers, volumes and the like: [a-zA-Z0-9][a-zA-Z0-9_.-]*
bool valid_name(const std::string& name);

}  // namespace panal
