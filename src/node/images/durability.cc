// What is left of images after a crash of the machine.
//
// A row is written as soon as its files are, with the boot that this was in, and nobody waits for the disk. A
// moment later one syncfs forces out the files of all rows written until then, and the rows forget their
// boot. The database may lose its last rows but keeps their order. So after a crash
//  - a row without a boot names whole files;
//  - one of an earlier boot may name torn ones. Its layer is unpacked again from its blob, whose digest is
//    checked on the way; an image with a blob that is torn or gone is removed, and the log names it;
//  - a row of a layer may come back whose files were on their way out: its folder has gone as a whole
//    (Layers::remove_layer), so that it is made again or its image removed;
//  - files without a row are garbage (collect()).
// A kill of the daemon alone tears nothing: the kernel has the files.
#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "model/image_json.h"
#include "node/images/images.h"

namespace panal {

// The steps of a build and the layers of an image come one after the other.
static constexpr auto kGathering = 2s;

Task<Result<>> Images::store(const Layer& row) { return db_.put("layer", row.chain_id, to_text(row)); }

void Images::written(std::set<std::string>& unsynced, const std::string& name) {
  unsynced.insert(name);
  if (!std::exchange(syncing_, true)) scope_.spawn(sync());
}

Task<void> Images::sync() {
  while (!unsynced_layers_.empty() || !unsynced_images_.empty()) {
    co_await loop_.sleep(kGathering);
    const auto layers = std::exchange(unsynced_layers_, {}), images = std::exchange(unsynced_images_, {});
    if (auto done = co_await layers_.sync(); !done) {  // the rows keep their boot, which is the truth
      log::error("msg=\"images may not outlast a crash of this machine\" error=\"{}\"", done.error().message);
      continue;
    }
    for (const auto& chain : layers)
      if (const auto it = layer_rows_.find(chain);
          it != layer_rows_.end() && !unsynced_layers_.contains(chain))
        it->second.boot.clear(), (void)co_await store(it->second);
    for (const auto& id : images)
      if (const auto it = images_.find(id); it != images_.end() && !unsynced_images_.contains(id))
        it->second.boot.clear(), (void)co_await store(it->second);
  }
  syncing_ = false;
}

/// Whether the layer can be used, or may be when it is looked at again.
Task<bool> Images::recover_layer(Layer row) {
  Result<> done = fail(Code::kInvalid, "its blob is gone");
  const int64_t number = next_layer_++, before = row.number;
  if (layers_.has_blob(row.blob_digest)) {
    auto unpacked = co_await layers_.unpack(layers_.blob_path(row.blob_digest), row.blob_digest, number, {});
    done = !unpacked                          ? fail(unpacked.error())
           : unpacked->diff_id != row.diff_id ? fail(Code::kInvalid, "its content is another")
                                              : Result<>();
  }
  if (done) {
    row.number = number, row.boot = boot_;
    layer_rows_[row.chain_id] = row;
    (void)co_await store(row);
    written(unsynced_layers_, row.chain_id);
    (void)co_await layers_.remove_layer(before);
    co_return true;
  }
  (void)co_await layers_.remove_layer(number);
  log::warn("msg=\"a layer that a crash of the machine may have torn\" layer={} error=\"{}\"", row.chain_id,
            done.error().message);
  if (done.error().code != Code::kInvalid) co_return true;  // no room, say: nothing is known of it yet
  layer_rows_.erase(row.chain_id);
  (void)co_await db_.erase("layer", row.chain_id);
  (void)co_await layers_.remove_layer(before);
  co_return false;
}

Task<void> Images::recover() {
  const auto in_doubt = [this](const std::string& boot) { return !boot.empty() && boot != boot_; };
  const auto folders = layers_.stored_layers();
  for (const int64_t number : folders) next_layer_ = std::max(next_layer_, number + 1);
  std::vector<Layer> layers;
  for (const auto& [chain, row] : layer_rows_)
    if (in_doubt(row.boot) || std::ranges::find(folders, row.number) == folders.end())
      layers.push_back(row);
    else if (!row.boot.empty())
      written(unsynced_layers_, chain);
  std::set<std::string> torn;
  for (auto& row : layers)
    if (const std::string chain = row.chain_id; !co_await recover_layer(std::move(row))) torn.insert(chain);
  std::vector<Image> images;
  for (const auto& [id, image] : images_)
    if (in_doubt(image.boot) ||
        std::ranges::any_of(image.chain_ids, [&](const auto& c) { return torn.contains(c); }))
      images.push_back(image);
    else if (!image.boot.empty())
      written(unsynced_images_, id);
  for (const auto& image : images) {
    bool whole = std::ranges::none_of(image.chain_ids, [&](const auto& c) { return torn.contains(c); });
    std::vector<std::string> blobs = image.layer_digests;
    blobs.insert(blobs.end(), {image.id, image.manifest_digest});
    for (const auto& digest : blobs) whole = whole && co_await layers_.blob_is_whole(digest);
    if (whole) {
      images_[image.id].boot = boot_;
      (void)co_await store(images_[image.id]);
      written(unsynced_images_, image.id);
      continue;
    }
    log::error("msg=\"image removed: a crash of the machine has torn its files\" image={} tags={}", image.id,
               join(image.tags, ","));
    (void)co_await erase(image.id);
  }
}

}  // namespace panal
