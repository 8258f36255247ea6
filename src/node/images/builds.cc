// Images that docker build makes step by step: the cache, what it holds, and what may go of it.
#include <algorithm>

#include "node/images/images.h"

namespace panal {

bool Images::has_children(const std::string& id) const {
  return std::ranges::any_of(images_, [&](const auto& entry) { return entry.second.parent == id; });
}

Task<std::string> Images::built(std::string parent, std::string build_key) {
  Image* found = nullptr;
  for (auto& [id, image] : images_)
    if (image.parent == parent && image.build_key == build_key && (!found || image.used_at > found->used_at))
      found = &image;
  if (!found) co_return "";
  const std::string id = found->id;
  const WallTime before = std::exchange(found->used_at, loop_.wall_now());
  ++found->cache_hits;
  if (found->used_at - before > 1min)
    (void)co_await store(*found);  // to the minute is enough after a restart
  co_return id;
}

Task<Result<>> Images::keep(std::string id) {
  const auto it = images_.find(id);
  if (it == images_.end()) co_return fail(Code::kNotFound, "No such image: " + id);
  if (!it->second.build_step) co_return Result<>{};
  it->second.build_step = false;
  co_return co_await store(it->second);
}

int64_t Images::shared_size(const Image& image) const {
  int64_t shared = 0;
  for (const auto& chain : image.chain_ids) {
    int users = 0;
    for (const auto& [id, other] : images_)
      users += std::ranges::find(other.chain_ids, chain) != other.chain_ids.end();
    if (users > 1)
      if (const Layer* l = layer(chain)) shared += l->size_bytes;
  }
  return shared;
}

int64_t Images::own_size(const Image& image) const { return image.size_bytes - shared_size(image); }

Task<Result<Images::BuildPruned>> Images::prune_builds(BuildPrune wish) {
  std::set<std::string> needed;  // what images that stay were made of
  if (!wish.all)
    for (const auto& [id, image] : images_)
      if (!image.hidden())
        for (auto at = images_.find(image.parent); at != images_.end() && needed.insert(at->first).second;)
          at = images_.find(at->second.parent);
  std::vector<std::pair<WallTime, std::string>> victims;
  for (const auto& [id, image] : images_)
    if (image.hidden() && !needed.contains(id) && !pinned_.contains(id) && wish.wanted(image) &&
        !wish.in_use(id))
      victims.emplace_back(image.used_at, id);
  std::ranges::sort(victims);
  const auto bytes = [this] {
    int64_t sum = 0;
    for (const auto& [chain, layer] : layer_rows_) sum += layer.size_bytes;
    return sum;
  };
  int64_t kept = 0;
  if (wish.keep_bytes > 0)
    for (const auto& [id, image] : images_)
      if (image.hidden()) kept += own_size(image);
  BuildPruned out;
  const int64_t before = bytes();
  for (const auto& [used, id] : victims) {
    const auto it = images_.find(id);
    if (it == images_.end() || pinned_.contains(id)) continue;
    if (wish.keep_bytes > 0 && kept <= wish.keep_bytes) break;
    kept -= own_size(it->second);
    CO_TRYV(co_await erase(id));
    out.ids.push_back(id);
  }
  out.bytes = before - bytes();
  co_return out;
}

}  // namespace panal
