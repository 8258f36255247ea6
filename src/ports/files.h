// A container's files, as its processes see them: its root with the volumes and bind mounts in place.
// Implemented on panal-unpack, a process of its own in a mount namespace of its own that has nothing else in
// sight.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "ports/stream.h"

namespace panal {

/// Somebody works in a root file system: it stays mounted until the last copy of this is gone.
struct TreeUse {
  virtual ~TreeUse() = default;
  std::function<void()> stop;  // ends the work at once; set by the adapter while a process is at it
};

struct TreeMount {
  std::string source, target;
  bool read_only = false;
};

struct Tree {
  std::string root;
  bool read_only = false;
  std::vector<TreeMount> mounts;
  std::string user_ns;                  // whose ids are read and written; empty: the host's
  uint32_t root_uid = 0, root_gid = 0;  // of root there, on the host
  std::shared_ptr<TreeUse> use;         // let go as soon as the process has ended
};

struct Placing {
  bool keep_kinds = false;  // a folder is not replaced by a file, nor a file by a folder
  std::optional<std::pair<uint32_t, uint32_t>>
      owner;  // uid, gid of all that is written; none: as the archive says
};

/// What COPY and ADD of a Dockerfile take and where it goes.
struct CopySource {
  size_t tree = 0;      // which of `trees`
  std::string pattern;  // relative to it; Go's path patterns; one that names nothing is an error
  bool unpack = false;  // ADD: a local archive is unpacked
};
struct CopyTree {
  std::string root;                 // on this machine
  std::vector<std::string> ignore;  // lines of .dockerignore
  bool stage = false;  // an image's or a stage's root, no build context: owners stay unless `owned`
};
struct CopyWish {
  std::vector<CopyTree> trees;
  std::vector<CopySource> sources;  // none, and no `texts`: the destination is made as a folder (WORKDIR)
  std::vector<std::pair<std::string, std::string>> texts;  // here-documents: name, content
  std::string destination;                                 // absolute; a slash at its end says folder
  std::vector<std::string> exclude;
  bool parents = false;                 // --parents: the sources' folders are kept
  std::pair<uint32_t, uint32_t> owner;  // of all that is copied; of what is unpacked only when `owned`
  bool owned = false;
  std::string chmod;             // as image/mode_change.h reads it; "": modes stay
  WallTime now;                  // of folders that are made
  std::optional<int64_t> epoch;  // seconds: nothing is newer (SOURCE_DATE_EPOCH)
};
struct CopyDigest {
  std::string kind;    // "file", "dir" or "multi", as Docker's history has it
  std::string digest;  // 64 hex digits over names, kinds, modes, attributes, links and contents, owners of a
                       // stage; not times
};

class Files {
 public:
  virtual ~Files() = default;
  /// Docker's path stat as JSON. A path that does not exist is kNotFound, also below.
  virtual Task<Result<std::string>> stat(Tree tree, std::string path) = 0;
  /// Calls `begin` with the path stat, then streams a tar of what lies there.
  virtual Task<Result<>> read(Tree tree, std::string path,
                              std::function<Task<Result<>>(std::string stat)> begin, Sink sink) = 0;
  /// Unpacks a tar (plain, gzip, bzip2, xz, zstd) into the folder `path`.
  virtual Task<Result<>> write(Tree tree, std::string path, Placing placing, Source source) = 0;
  /// Streams a tar of the whole root.
  virtual Task<Result<>> export_root(Tree tree, Sink sink) = 0;
  /// Streams a layer: what the folder `upper` changes, as a tar with whiteouts; nothing in it is newer than
  /// `epoch` (seconds).
  virtual Task<Result<>> layer(std::string upper, std::optional<int64_t> epoch, Sink sink) = 0;
  /// Streams Docker's list of changes (JSON): what the folder `upper` changes in `layers`, lowest first.
  virtual Task<Result<>> changes(std::string upper, std::vector<std::string> layers, Sink sink) = 0;
  /// What a copy would take, by content. Sources that are not there and a destination that does not fit are
  /// kInvalid, in the words that Docker puts after "COPY failed: ".
  virtual Task<Result<CopyDigest>> digest(CopyWish wish) = 0;
  /// Streams the layer that the copy adds to the root file system at `base`, as a tar; nothing when it
  /// changes nothing.
  virtual Task<Result<>> copy_layer(std::string base, CopyWish wish, Sink sink) = 0;
};

}  // namespace panal
