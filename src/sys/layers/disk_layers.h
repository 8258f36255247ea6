// Layers on a local disk. Layout below the data root:
//   blobs/sha256/<hex>   content store (OCI layout)      layers/<n>/   unpacked layers, overlayfs lower
//   directories ingest/<id>/         unfinished work, emptied at start
// Archives are opened only by panal-unpack, a process of its own.
#pragma once
#include "model/id_map.h"
#include "ports/entropy.h"
#include "ports/layers.h"
#include "sys/loop/asio_loop.h"

namespace panal {

class DiskLayers final : public Layers {
 public:
  DiskLayers(AsioLoop& loop, Entropy& entropy, std::string root, std::string helper);
  /// Makes the folders and clears unfinished ingests.
  Result<> open();
  /// After open(): how owners appear where kMapped is asked for. `dir`: a folder for that, made new.
  Result<> map_ids(const IdMap& ids, const std::string& dir);

  Task<Result<std::vector<ArchiveFile>>> open_archive(Source source, std::string ingest_dir) override;
  Task<Result<ArchiveFile>> save_blob(Source source, std::string file) override;
  Task<Result<UnpackedLayer>> unpack(std::string blob_file, std::string digest, int64_t number,
                                     std::function<void(int64_t)> progress) override;
  Task<Result<>> pack(std::vector<ArchiveFile> files, Sink sink) override;
  Task<Result<>> sync() override;
  Task<bool> blob_is_whole(std::string digest) override;
  Result<> adopt_blob(const std::string& file, const std::string& digest) override;
  Result<> write_blob(const std::string& digest, std::string_view data) override;
  std::string blob_path(const std::string& digest) const override;
  bool has_blob(const std::string& digest) const override;
  void remove_blob(const std::string& digest) override;
  std::string layer_dir(int64_t number) const override { return root_ + "/layers/" + std::to_string(number); }
  Task<Result<>> remove_layer(int64_t number) override;
  std::vector<int64_t> stored_layers() const override;
  std::vector<std::string> stored_blobs() const override;
  std::string new_ingest_dir() override;
  Task<void> drop_ingest(std::string dir) override;
  Task<Result<>> mount_rootfs(std::string dir, std::vector<int64_t> layers, Lasts lasts, Ids ids) override;
  Task<Result<>> mount_over(std::string dir, std::string lower) override;
  std::string mapped(const std::string& path) const override;
  Task<Result<>> unmount_rootfs(std::string dir) override;
  Task<Result<>> remove_rootfs(std::string dir) override;
  Result<> mount_shm(const std::string& dir, int64_t size_bytes, Ids ids) override;
  void unmount_shm(const std::string& dir) override;
  Task<Result<>> mount_device(std::string device, std::string type, std::string options,
                              std::string target) override;
  Result<> unmount(const std::string& target) override;
  Result<> bind_in_root(const std::string& root, const std::string& path, const std::string& target) override;
  Result<std::string> read_in_root(const std::string& root, const std::string& path) override;
  Result<std::string> make_dir_in_root(const std::string& root, const std::string& path, Ids ids) override;
  Result<> mend_links_in_root(const std::string& root, const std::string& path, Ids ids) override;
  Task<Result<>> unmount_device(std::string target) override;
  Task<Result<>> copy_up(std::string root, std::string path, std::string target) override;
  std::string sha256(std::string_view data) const override;
  std::unique_ptr<Hasher> hasher() const override;
  Task<int64_t> disk_usage(std::string dir) override;

 private:
  Task<Result<>> copy_tree(std::string root, std::string path, std::string target);
  /// Runs the helper, feeding `source` to its standard input; its standard output comes back.
  Task<Result<std::string>> helper(std::vector<std::string> words, Source source);
  const IdMap& map_of(Ids ids) const;
  Task<Result<>> mount_layers(std::string dir, std::string lower, Lasts lasts, Ids ids);

  AsioLoop& loop_;
  Entropy& entropy_;
  std::string root_, helper_;
  IdMap ids_;
  std::string view_;  // the data root with owners mapped
};

std::string sha256_hex(std::string_view data);

}  // namespace panal
