// What is kept of images and what may go: pins, removal of unused layers and blobs, and what a crash has
// left.
#include <algorithm>

#include "base/log.h"
#include "node/images/images.h"

namespace panal {

Images::Pin::Pin(Images& images, std::vector<std::string> names) : images_(images), names_(std::move(names)) {
  images_.pinned_.insert(names_.begin(), names_.end());
}
Images::Pin::~Pin() {
  for (const auto& name : names_) images_.pinned_.erase(images_.pinned_.find(name));
}

bool Images::wanted(const std::string& name) const {
  if (pinned_.contains(name)) return true;
  return std::ranges::any_of(images_, [&](const auto& entry) {
    const Image& image = entry.second;
    return image.id == name || image.manifest_digest == name ||
           std::ranges::find(image.chain_ids, name) != image.chain_ids.end() ||
           std::ranges::find(image.layer_digests, name) != image.layer_digests.end();
  });
}

// Looked at again before each step: an image of the same layers may be loaded meanwhile.
Task<void> Images::drop_unused(std::vector<std::string> chain_ids, std::vector<std::string> digests) {
  if (damaged_) co_return;
  for (auto it = chain_ids.rbegin(); it != chain_ids.rend(); ++it) {
    auto row = layer_rows_.find(*it);
    if (row == layer_rows_.end() || wanted(*it) || unpacking_.contains(*it)) continue;
    const int64_t number = row->second.number;
    layer_rows_.erase(row);
    (void)co_await db_.erase("layer", *it);
    (void)co_await layers_.remove_layer(number);
  }
  for (const auto& digest : digests)
    if (!wanted(digest)) layers_.remove_blob(digest);
}

Task<void> Images::collect() {
  if (damaged_) co_return;
  const auto folders = layers_.stored_layers();
  const auto blobs = layers_.stored_blobs();
  std::vector<std::string> rows;
  std::set<int64_t> known;
  for (const auto& [chain, layer] : layer_rows_) rows.push_back(chain), known.insert(layer.number);
  for (const int64_t number : folders) next_layer_ = std::max(next_layer_, number + 1);
  const size_t before = layer_rows_.size();
  co_await drop_unused({}, blobs);  // without a wait: nothing new has the same names
  co_await drop_unused(std::move(rows), {});
  size_t removed = before - layer_rows_.size();
  for (const int64_t number : folders)
    if (!known.contains(number)) (void)co_await layers_.remove_layer(number), ++removed;
  if (removed)
    log::info("msg=\"layers that an interrupted load or removal left are gone\" count={}", removed);
}

}  // namespace panal
