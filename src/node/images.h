// The node's images: what is loaded, tagged, used. Owns the image and layer tables; bytes lie with ports Layers.
// Invariant: an image is in the table only when all its layers are unpacked; a layer folder without a row is garbage, and so is a row
// or a blob that no image and no pin names.
#pragma once
#include <map>
#include <memory>
#include <set>

#include "model/image.h"
#include "node/events.h"
#include "ports/database.h"
#include "ports/layers.h"

namespace panal {

struct ImageRemoval {
  std::vector<std::string> untagged, deleted;
};

class Images {
 public:
  Images(Loop& loop, Layers& layers, Database& db, Events& events) : loop_(loop), layers_(layers), db_(db), events_(events) {}
  Result<> load();

  /// By id, unique id prefix, or reference. The error is Docker's "No such image: NAME".
  Result<const Image*> find(const std::string& name) const;
  const std::map<std::string, Image>& all() const { return images_; }
  std::vector<int64_t> layer_numbers(const Image& image) const;

  /// docker load. Returns what was loaded, as the CLI prints it ("Loaded image: alpine:latest").
  Task<Result<std::vector<std::string>>> load_archive(Source source);
  Task<Result<std::string>> import(Source source, std::string reference, std::vector<std::string> changes, std::string message);
  Task<Result<>> save(std::vector<std::string> names, Sink sink);
  Task<Result<>> tag(const std::string& name, std::string target);
  /// `in_use(image id)` names a container that stands against removal ("" for none; `running` tells whether force helps).
  Task<Result<ImageRemoval>> remove(std::string name, bool force, std::function<std::string(const std::string& id, bool& running)> in_use);
  /// Registers an image whose config and layer blobs are in the content store, unpacking what is missing.
  Task<Result<std::string>> adopt(std::string manifest, std::string config, std::vector<std::string> tags);
  /// While it lives, these layers (chain ids) and blobs (digests) are not removed as unused: somebody makes an image of them.
  class Pin {
   public:
    Pin(Images& images, std::vector<std::string> names);
    ~Pin();
    Pin(const Pin&) = delete;

   private:
    Images& images_;
    std::vector<std::string> names_;
  };
  /// Removes what a crash in the middle of a load or a removal has left. Call once, before anything is loaded.
  Task<void> collect();
  int64_t shared_size(const Image& image) const;
  const Layer* layer(const std::string& chain_id) const;

 private:
  Task<Result<>> unpack_layers(const Image& image);
  Task<Result<std::string>> add(Image image, std::vector<std::string> tags);
  Task<Result<std::string>> store_and_add(Image image, const std::string& config, std::vector<ArchiveFile> layers, std::vector<std::string> tags);
  Task<Result<std::string>> load_one(const std::string& config_file, std::vector<ArchiveFile> layers, std::vector<std::string> tags);
  Task<Result<>> store(const Image& image);
  Task<void> drop_unused(std::vector<std::string> chain_ids, std::vector<std::string> digests);
  bool wanted(const std::string& chain_or_digest) const;

  Loop& loop_;
  Layers& layers_;
  Database& db_;
  Events& events_;
  std::map<std::string, Image> images_;
  std::map<std::string, Layer> layer_rows_;  // by chain id
  std::set<std::string> unpacking_;          // chain ids being unpacked now
  std::multiset<std::string> pinned_;        // chain ids and digests
  Event unpacked_;
  int64_t next_layer_ = 1;
};

}  // namespace panal
