// The node's images: what is loaded, tagged, used. Owns the image and layer tables; bytes lie with ports
// Layers. Invariant: an image is in the table only when all its layers are unpacked; a layer folder without a
// row is garbage, and so is a row or a blob that no image and no pin names.
#pragma once
#include <map>
#include <memory>
#include <set>

#include "image/index.h"
#include "model/image.h"
#include "node/events.h"
#include "ports/database.h"
#include "ports/layers.h"

namespace panal {

struct ImageRemoval {
  std::vector<std::string> untagged, deleted;
};

struct ArchiveImage;

class Images {
 public:
  /// `boot`: names this boot of the machine.
  Images(Loop& loop, Layers& layers, Database& db, Events& events, std::string boot)
      : loop_(loop), layers_(layers), db_(db), events_(events), boot_(std::move(boot)) {}
  Result<> load();
  /// Makes good what a crash of the machine has torn (durability.cc). Once, before a container starts.
  Task<void> recover();

  /// By id, unique id prefix, or reference. The error is Docker's "No such image: NAME".
  Result<const Image*> find(const std::string& name) const;
  const std::map<std::string, Image>& all() const { return images_; }
  std::vector<int64_t> layer_numbers(const Image& image) const;

  /// docker load. Returns what was loaded, as the CLI prints it ("Loaded image: alpine:latest").
  Task<Result<std::vector<std::string>>> load_archive(Source source, std::optional<ImagePlatform> platform);
  struct Import {
    std::string reference, message;  // reference: may be empty
    std::vector<std::string> changes;
    ImagePlatform platform = host_platform();
  };
  Task<Result<std::string>> import(Source source, Import wish);
  /// docker commit: `layer` streams what was changed above `chain_ids`; nothing when nothing was.
  struct Commit {
    std::string reference, author, comment, created_by,
        parent;  // parent: id of the image it began as, which may be gone
    std::vector<std::string> changes, chain_ids;
    ContainerConfig config;
    std::string build_key;                  // not empty: a step of a build, which the next build finds by it
    std::optional<WallTime> created;        // instead of now
    std::optional<ImagePlatform> platform;  // of what has no parent
    bool layer_given = false;               // the last of `chain_ids` is what this step adds
  };
  Task<Result<std::string>> commit(Commit wish, std::function<Task<Result<>>(Sink)> layer);
  /// A repository's name alone becomes all its tags, as `docker save` has it.
  std::vector<std::string> with_all_tags(const std::vector<std::string>& names) const;
  Task<Result<>> save(std::vector<std::string> names, Sink sink);
  Task<Result<>> tag(const std::string& name, std::string target);
  /// `in_use(image id)` names a container that stands against removal ("" for none; `running` tells whether
  /// force helps).
  using InUse = std::function<std::string(const std::string& id, bool& running)>;
  enum class Parents { kStay, kGo };  // the steps that only this image was made by
  Task<Result<ImageRemoval>> remove(std::string name, bool force, Parents parents, InUse in_use);
  /// An image from elsewhere: its documents and its names. `index` may be empty.
  struct Arrival {
    std::string manifest, config, index;
    std::vector<std::string> tags, repo_digests;
  };
  /// Registers an image whose layer blobs are in the content store, unpacking what is missing.
  Task<Result<std::string>> adopt(Arrival arrival);
  /// Unpacks layer `at` of an image that is not registered yet; its blob is in the content store.
  Task<Result<>> unpack_layer(const Image& image, size_t at, std::function<void(int64_t)> progress = {});
  /// The image that a step made of `parent` ("" for nothing) before; empty when there is none. It counts as
  /// used.
  Task<std::string> built(std::string parent, std::string build_key);
  /// The end of a build: the image is one by itself from now on.
  Task<Result<>> keep(std::string id);
  struct BuildPrune {
    bool all = false;  // also what images that stay were made of
    std::function<bool(const Image&)> wanted = [](const Image&) { return true; };
    std::function<bool(const std::string& id)> in_use;  // by a container
    int64_t keep_bytes = 0;                             // the last used ones stay up to so much
  };
  struct BuildPruned {
    std::vector<std::string> ids;
    int64_t bytes = 0;
  };
  Task<Result<BuildPruned>> prune_builds(BuildPrune wish);
  /// Bytes that go with this image alone.
  int64_t own_size(const Image& image) const;
  /// Gives up an image that did not come about: what nothing else uses goes.
  Task<void> discard(std::vector<std::string> chain_ids, std::vector<std::string> digests) {
    return drop_unused(std::move(chain_ids), std::move(digests));
  }
  /// Notes that a registry has the image as `digest`: "localhost:5000/app@sha256:...".
  Task<Result<>> add_repo_digest(std::string id, std::string digest);
  /// While it lives, these layers (chain ids) and blobs (digests) are not removed as unused: somebody makes
  /// an image of them.
  class Pin {
   public:
    Pin(Images& images, std::vector<std::string> names);
    ~Pin();
    Pin(const Pin&) = delete;

   private:
    Images& images_;
    std::vector<std::string> names_;
  };
  /// Removes what a crash in the middle of a load or a removal has left. Call once, before anything is
  /// loaded.
  Task<void> collect();
  int64_t shared_size(const Image& image) const;
  const Layer* layer(const std::string& chain_id) const;

 private:
  /// With the image's labels, which clients filter by, while it is there.
  void told(std::string action, const std::string& id, std::string name);
  struct FreshLayer;
  Task<Result<FreshLayer>> fresh_layer(Source source, std::string dir, std::string below);
  Task<Result<std::string>> add(Image image, std::vector<std::string> tags);
  Task<Result<std::string>> store_and_add(Image image, const std::string& config,
                                          std::vector<ArchiveFile> layers, std::vector<std::string> tags);
  Task<Result<std::string>> load_one(ArchiveImage one, std::optional<ImagePlatform> platform);
  Task<Result<>> store(const Image& image);
  Task<Result<>> store(const Layer& row);
  /// This row's files are not on the disk yet; they soon will be.
  void written(std::set<std::string>& unsynced, const std::string& name);
  Task<void> sync();
  Task<bool> recover_layer(Layer row);
  Task<Result<>> erase(std::string id);
  bool has_children(const std::string& id) const;
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
  std::string boot_;
  std::set<std::string> unsynced_layers_, unsynced_images_;  // chain ids; ids
  bool syncing_ = false;
  bool damaged_ = false;  // a row was not understood: nothing may be called garbage
  Scope scope_;
};

}  // namespace panal
