// Layers, blobs and mounts on disk. Archives are opened only by the helper program panal-unpack.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "ports/stream.h"

namespace panal {

struct ArchiveFile {
  std::string path;    // inside the archive, normalised
  std::string link;    // target when it is a symbolic or hard link
  std::string file;    // where its bytes lie now
  std::string digest;  // "sha256:..."
  int64_t size_bytes = 0;
};

struct UnpackedLayer {
  std::string diff_id;
  int64_t size_bytes = 0;
};

/// SHA-256 over what comes piece by piece.
class Hasher {
 public:
  virtual ~Hasher() = default;
  virtual void add(std::string_view data) = 0;
  /// "sha256:<hex>", once.
  virtual std::string end() = 0;
};

class Layers {
 public:
  virtual ~Layers() = default;
  /// Spreads an archive (image tar, any compression) into a fresh ingest folder and names its files.
  virtual Task<Result<std::vector<ArchiveFile>>> open_archive(Source source, std::string ingest_dir) = 0;
  /// Stores a stream as one file; digest and size are computed on the way.
  virtual Task<Result<ArchiveFile>> save_blob(Source source, std::string file) = 0;
  /// Unpacks a layer blob into the folder of layer `number`. Refuses a blob whose digest is not `digest`.
  /// `progress`: bytes of the blob taken apart so far.
  virtual Task<Result<UnpackedLayer>> unpack(std::string blob_file, std::string digest, int64_t number,
                                             std::function<void(int64_t)> progress) = 0;
  /// Streams an image archive (docker load's format).
  virtual Task<Result<>> pack(std::vector<ArchiveFile> files, Sink sink) = 0;
  /// Moves a file into the content store under its digest; a blob that is already there wins.
  virtual Result<> adopt_blob(const std::string& file, const std::string& digest) = 0;
  virtual Result<> write_blob(const std::string& digest, std::string_view data) = 0;
  /// Forces what was written until now out to the disk.
  virtual Task<Result<>> sync() = 0;
  /// Whether a blob is there and is what its digest says.
  virtual Task<bool> blob_is_whole(std::string digest) = 0;
  virtual std::string blob_path(const std::string& digest) const = 0;
  virtual bool has_blob(const std::string& digest) const = 0;
  virtual void remove_blob(const std::string& digest) = 0;
  /// The unpacked files of layer `number`.
  virtual std::string layer_dir(int64_t number) const = 0;
  /// It is gone as a whole first, also for one who looks after a crash; then its files go.
  virtual Task<Result<>> remove_layer(int64_t number) = 0;
  virtual std::vector<int64_t> stored_layers() const = 0;
  /// Digests of the blobs in the content store.
  virtual std::vector<std::string> stored_blobs() const = 0;
  virtual std::string new_ingest_dir() = 0;
  virtual Task<void> drop_ingest(std::string dir) = 0;
  /// Mounts layers (lowest first) with the container's writable layer on top. kUntilCrash: nobody sees the
  /// changes after a crash of the machine, so they are not forced onto the disk.
  enum class Lasts { kBeyondCrash, kUntilCrash };
  /// kMapped: owners appear as containers' users are on the host, where userns-remap is set; on the disk they
  /// stay as they are.
  enum class Ids { kAsStored, kMapped };
  virtual Task<Result<>> mount_rootfs(std::string dir, std::vector<int64_t> layers,
                                      Lasts lasts = Lasts::kBeyondCrash, Ids ids = Ids::kAsStored) = 0;
  /// The same of one folder, whatever lies in it, with owners mapped.
  virtual Task<Result<>> mount_over(std::string dir, std::string lower) = 0;
  /// A path below the data root by which owners appear mapped; itself where there is no map.
  virtual std::string mapped(const std::string& path) const = 0;
  virtual Task<Result<>> unmount_rootfs(std::string dir) = 0;
  virtual Task<Result<>> remove_rootfs(std::string dir) = 0;
  /// A memory file system for /dev/shm that several containers may share.
  virtual Result<> mount_shm(const std::string& dir, int64_t size_bytes, Ids ids) = 0;
  virtual void unmount_shm(const std::string& dir) = 0;
  /// Mounts what a volume's options name; blocks for as long as the kernel does.
  virtual Task<Result<>> mount_device(std::string device, std::string type, std::string options,
                                      std::string target) = 0;
  /// Its last unmount writes out what is not on the device yet: may take long.
  virtual Task<Result<>> unmount_device(std::string target) = 0;
  /// Of a folder bound to another place.
  virtual Result<> unmount(const std::string& target) = 0;
  /// Shows `path` inside `root` (which neither symlinks nor ".." leave) at `target`, which is made.
  virtual Result<> bind_in_root(const std::string& root, const std::string& path,
                                const std::string& target) = 0;
  /// Reads a small file inside a root without leaving it by symlinks.
  virtual Result<std::string> read_in_root(const std::string& root, const std::string& path) = 0;
  /// Creates a folder inside a root without leaving it; returns its real path.
  virtual Result<std::string> make_dir_in_root(const std::string& root, const std::string& path, Ids ids) = 0;
  /// Creates the folder that a dangling symlink on the way of `path` leads to; without one, nothing.
  virtual Result<> mend_links_in_root(const std::string& root, const std::string& path, Ids ids) = 0;
  /// Copies the content of `root`/`path` into `target` if target is empty (volume copy-up), or holds no more
  /// than what an earlier copy was cut short with. On failure target is empty.
  virtual Task<Result<>> copy_up(std::string root, std::string path, std::string target) = 0;
  virtual std::string sha256(std::string_view data) const = 0;
  virtual std::unique_ptr<Hasher> hasher() const = 0;
  /// Bytes below a folder, as du counts them.
  virtual Task<int64_t> disk_usage(std::string dir) = 0;
};

}  // namespace panal
