// Names of images.
#include <algorithm>

#include "image/reference.h"
#include "node/images/images.h"

namespace panal {

Task<Result<>> Images::tag(const std::string& name, std::string target) {
  CO_TRY(const Image* found, find(name));
  CO_TRY(const ImageRef ref, parse_tagged(target));
  if (!ref.digest.empty()) co_return fail(Code::kInvalid, "refusing to create a tag with a digest reference");
  if (ref.familiar_name() == "sha256")
    co_return fail(Code::kInvalid, "refusing to create an ambiguous tag using digest algorithm as name");
  const std::string id = found->id, tag = ref.familiar();
  Image named = *found;
  std::erase(named.tags, tag);
  named.tags.push_back(tag);
  std::ranges::sort(named.tags);
  named.tagged_at = loop_.wall_now();
  CO_TRYV(co_await store(named));
  images_[id] = std::move(named);
  for (auto& [other_id, image] : images_)
    if (other_id != id && std::erase(image.tags, tag) != 0) CO_TRYV(co_await store(image));
  told("tag", id, tag);
  co_return Result<>{};
}

Task<Result<>> Images::add_repo_digest(std::string id, std::string digest) {
  auto it = images_.find(id);
  if (it == images_.end() ||
      std::ranges::find(it->second.repo_digests, digest) != it->second.repo_digests.end())
    co_return Result<>{};
  it->second.repo_digests.push_back(std::move(digest));
  std::ranges::sort(it->second.repo_digests);
  co_return co_await store(it->second);
}

std::vector<std::string> Images::with_all_tags(const std::vector<std::string>& names) const {
  std::vector<std::string> out;
  for (const auto& name : names) {
    const size_t before = out.size();
    const auto ref = parse_reference(name);
    if (ref && ref->tag.empty() && ref->digest.empty())
      for (const auto& [id, image] : images_)
        for (const auto& tag : image.tags)
          if (const auto t = parse_reference(tag); t && t->familiar_name() == ref->familiar_name())
            out.push_back(tag);
    if (out.size() == before) out.push_back(name);
  }
  return out;
}

}  // namespace panal
