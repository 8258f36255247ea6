#include "node/images/images.h"

#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "image/config.h"
#include "image/reference.h"
#include "model/image_json.h"

namespace panal {

Result<> Images::load() {
  // One damaged row must not take the others along; but while it stands, nothing may be called garbage.
  const auto read = [this]<class T>(const std::vector<std::pair<std::string, std::string>>& rows,
                                    std::map<std::string, T>& into) {
    for (const auto& [id, json] : rows) {
      if (auto row = from_text<T>(json)) {
        into[id] = std::move(*row);
        continue;
      }
      log::error("msg=\"image or layer not understood, left alone\" id={}", id);
      damaged_ = true;
    }
  };
  TRY(const auto layers, db_.all("layer"));
  read(layers, layer_rows_);
  for (const auto& [id, layer] : layer_rows_) next_layer_ = std::max(next_layer_, layer.number + 1);
  TRY(const auto images, db_.all("image"));
  read(images, images_);
  return {};
}

Task<Result<>> Images::store(const Image& image) { return db_.put("image", image.id, to_text(image)); }

const Layer* Images::layer(const std::string& chain_id) const {
  auto it = layer_rows_.find(chain_id);
  return it == layer_rows_.end() ? nullptr : &it->second;
}

Result<const Image*> Images::find(const std::string& name) const {
  const auto missing = [&](const std::string& shown) {
    return fail(Code::kNotFound, "No such image: " + shown);
  };
  if (looks_like_id(name)) {
    const std::string prefix = name.starts_with("sha256:") ? name : "sha256:" + name;
    auto it = images_.lower_bound(prefix);
    if (it != images_.end() && it->first.starts_with(prefix) && prefix.size() > 7) {
      auto next = std::next(it);
      if (next == images_.end() || !next->first.starts_with(prefix)) return &it->second;
      if (name.starts_with("sha256:"))
        return fail(Code::kInvalid, "image ID prefix " + name + " is ambiguous");
    }
  }
  auto ref = parse_tagged(name);
  if (!ref) {
    if (name.starts_with("sha256:")) return missing(name);
    return std::unexpected(ref.error());
  }
  for (const auto& [id, image] : images_) {
    if (!ref->digest.empty()) {
      if (std::ranges::find(image.repo_digests, ref->familiar_name() + "@" + ref->digest) !=
          image.repo_digests.end())
        return &image;
      const bool same = image.manifest_digest == ref->digest || image.id == ref->digest;
      if (!same) continue;
      ImageRef bare = *ref;
      for (const auto& tag : image.tags)
        if (auto t = parse_reference(tag); t && t->domain == bare.domain && t->path == bare.path)
          return &image;
      continue;
    }
    if (std::ranges::find(image.tags, ref->familiar()) != image.tags.end()) return &image;
  }
  return missing(ref->familiar());
}

std::vector<int64_t> Images::layer_numbers(const Image& image) const {
  std::vector<int64_t> out;
  for (const auto& chain : image.chain_ids)
    if (const Layer* l = layer(chain)) out.push_back(l->number);
  return out;
}

// Each missing layer is unpacked once, however many images want it at the same time.
Task<Result<>> Images::unpack_layer(const Image& image, size_t at, std::function<void(int64_t)> progress) {
  const std::string chain = image.chain_ids[at], diff_id = image.diff_ids[at],
                    digest = image.layer_digests[at];
  while (unpacking_.contains(chain)) (void)co_await unpacked_.wait(loop_);
  if (layer_rows_.contains(chain)) co_return Result<>{};
  unpacking_.insert(chain);
  const int64_t number = next_layer_++;
  auto unpacked = co_await layers_.unpack(layers_.blob_path(digest), digest, number, std::move(progress));
  if (unpacked && unpacked->diff_id != diff_id)
    unpacked = fail(Code::kInvalid, "layer " + digest + ": its content is " + unpacked->diff_id +
                                        ", the image says " + diff_id);
  Result<> stored;
  if (unpacked) {
    Layer row{chain, diff_id, digest, number, unpacked->size_bytes, boot_};
    stored = co_await store(row);
    if (stored) layer_rows_[chain] = row, written(unsynced_layers_, chain);
  } else {
    (void)co_await layers_.remove_layer(number);
  }
  unpacking_.erase(chain);
  unpacked_.notify(loop_);
  if (!unpacked) co_return std::unexpected(unpacked.error());
  co_return stored;
}

Task<Result<std::string>> Images::add(Image image, std::vector<std::string> tags) {
  if (image.diff_ids.size() != image.layer_digests.size())
    co_return fail(Code::kInvalid, "invalid image: the config names " +
                                       std::to_string(image.diff_ids.size()) + " layers, the manifest " +
                                       std::to_string(image.layer_digests.size()));
  for (size_t i = 0; i < image.chain_ids.size(); ++i) CO_TRYV(co_await unpack_layer(image, i));
  std::set<std::string> names;
  std::vector<std::string> replaced;  // blobs of the same image packed otherwise
  for (const auto& tag : tags) {
    CO_TRY(const ImageRef ref, parse_tagged(tag));
    names.insert(ref.familiar());
  }
  for (const auto& chain : image.chain_ids) image.size_bytes += layer_rows_[chain].size_bytes;
  if (auto it = images_.find(image.id); it != images_.end()) {
    names.insert(it->second.tags.begin(), it->second.tags.end());
    image.created_at = it->second.created_at;
    std::set<std::string> digests(image.repo_digests.begin(), image.repo_digests.end());
    digests.insert(it->second.repo_digests.begin(), it->second.repo_digests.end());
    image.repo_digests.assign(digests.begin(), digests.end());
    if (image.index.empty()) image.index = it->second.index;
    if (image.build_key.empty()) image.build_key = it->second.build_key, image.parent = it->second.parent;
    image.build_step = image.build_step && it->second.build_step;
    replaced = it->second.layer_digests, replaced.push_back(it->second.manifest_digest);
  }
  if (image.created_at == WallTime{})
    image.created_at = parse_rfc3339(image.created).value_or(loop_.wall_now());
  image.tagged_at = loop_.wall_now();
  // A name points at one image only.
  for (auto& [id, other] : images_) {
    if (id == image.id) continue;
    const size_t before = other.tags.size() + other.repo_digests.size();
    std::erase_if(other.tags, [&](const std::string& t) { return names.contains(t); });
    std::erase_if(other.repo_digests, [&](const std::string& d) {
      return std::ranges::find(image.repo_digests, d) != image.repo_digests.end();
    });
    if (other.tags.size() + other.repo_digests.size() != before) CO_TRYV(co_await store(other));
  }
  image.tags.assign(names.begin(), names.end());
  image.boot = boot_;
  CO_TRYV(co_await store(image));
  const std::string id = image.id;
  images_[id] = std::move(image);
  written(unsynced_images_, id);
  co_await drop_unused({}, std::move(replaced));
  co_return id;
}

// The manifest stays the one in the archive, so that the digest does, unless it speaks of other files than
// these.
Task<Result<std::string>> Images::load_one(ArchiveImage one, std::optional<ImagePlatform> platform) {
  CO_TRY(const std::string config, read_file(one.config.file, 8 << 20));
  CO_TRY(Image image, image_from_config(config, layers_.sha256(config), layers_));
  if (platform && !platform_fits(platform_of(image), *platform))
    co_return fail(Code::kNotFound, "requested platform (" + platform->text() + ") not found: image is for " +
                                        platform_of(image).text());
  std::vector<PackedLayer> packed;
  for (const auto& l : one.layers)
    image.layer_digests.push_back(l.digest),
        packed.push_back(
            packed_layer(exists(l.file) ? l.file : layers_.blob_path(l.digest), l.digest, l.size_bytes));
  const auto kept = parse_manifest(one.manifest);
  const bool fits = kept && kept->config_digest == image.id && kept->layer_digests == image.layer_digests;
  image.manifest = fits ? one.manifest : make_manifest(image.id, config.size(), packed);
  image.manifest_digest = layers_.sha256(image.manifest);
  co_return co_await store_and_add(std::move(image), config, std::move(one.layers), std::move(one.tags));
}

// Blobs into the content store, layers unpacked, the row written; what a failure leaves unused goes.
Task<Result<std::string>> Images::store_and_add(Image image, const std::string& config,
                                                std::vector<ArchiveFile> layers,
                                                std::vector<std::string> tags) {
  std::vector<std::string> digests = image.layer_digests;
  digests.insert(digests.end(), {image.id, image.manifest_digest});
  const std::vector<std::string> chains = image.chain_ids;
  auto work = [&]() -> Task<Result<std::string>> {
    const Pin blobs(*this, digests), unpacked(*this, chains);
    for (const auto& l : layers)
      if (exists(l.file)) CO_TRYV(layers_.adopt_blob(l.file, l.digest));
    CO_TRYV(layers_.write_blob(image.id, config));
    CO_TRYV(layers_.write_blob(image.manifest_digest, image.manifest));
    co_return co_await add(std::move(image), std::move(tags));
  };
  auto id = co_await work();
  if (!id) co_await drop_unused(chains, digests);
  co_return id;
}

Task<Result<std::vector<std::string>>> Images::load_archive(Source source,
                                                            std::optional<ImagePlatform> platform) {
  const std::string dir = layers_.new_ingest_dir();
  std::vector<std::string> lines;
  auto work = [&]() -> Task<Result<>> {
    CO_TRY(const auto files, co_await layers_.open_archive(std::move(source), dir));
    CO_TRY(const auto found, images_in_archive(files, platform));
    for (const auto& one : found) {
      CO_TRY(const std::string id, co_await load_one(one, platform));
      if (one.tags.empty()) lines.push_back("Loaded image ID: " + id);
      for (const auto& tag : one.tags) {
        auto ref = parse_tagged(tag);
        lines.push_back("Loaded image: " + (ref ? ref->familiar() : tag));
        told("load", id, tag);
      }
    }
    co_return Result<>{};
  };
  auto done = co_await work();
  co_await layers_.drop_ingest(dir);
  if (!done) co_return std::unexpected(done.error());
  co_return lines;
}

Task<Result<std::string>> Images::adopt(Arrival a) {
  CO_TRY(const ManifestParts parts, parse_manifest(a.manifest));
  CO_TRY(Image image, image_from_config(a.config, layers_.sha256(a.config), layers_));
  if (image.id != parts.config_digest)
    co_return fail(Code::kInvalid, "image config does not match its digest " + parts.config_digest);
  image.layer_digests = parts.layer_digests;
  image.manifest = std::move(a.manifest), image.index = std::move(a.index),
  image.repo_digests = std::move(a.repo_digests);
  image.manifest_digest = layers_.sha256(image.manifest);
  co_return co_await store_and_add(std::move(image), a.config, {}, std::move(a.tags));
}

Task<Result<>> Images::save(std::vector<std::string> names, Sink sink) {
  struct Entry {
    const Image* image;
    std::set<std::string> tags;
  };
  std::map<std::string, Entry> chosen;
  for (const auto& name : names) {
    CO_TRY(const Image* image, find(name));
    auto& entry = chosen[image->id];
    entry.image = image;
    if (auto ref = parse_tagged(name);
        ref && std::ranges::find(image->tags, ref->familiar()) != image->tags.end())
      entry.tags.insert(ref->familiar());
  }
  const std::string dir = layers_.new_ingest_dir();
  JsonArray list, index;
  std::vector<ArchiveFile> files;
  std::set<std::string> packed;
  const auto blob = [&](const std::string& digest) {
    const std::string path = "blobs/sha256/" + digest.substr(7);
    if (packed.insert(digest).second) files.push_back({path, "", layers_.blob_path(digest), digest, 0});
    return path;
  };
  for (const auto& [id, entry] : chosen) {
    JsonArray layers, tags;
    for (const auto& digest : entry.image->layer_digests) layers.push_back(Json(blob(digest)));
    for (const auto& tag : entry.tags) tags.push_back(Json(tag));
    list.push_back(JsonObject{{"Config", blob(id)}, {"RepoTags", tags}, {"Layers", layers}});
    blob(entry.image->manifest_digest);
    const JsonObject descriptor{{"mediaType", manifest_media_type(entry.image->manifest)},
                                {"digest", entry.image->manifest_digest},
                                {"size", entry.image->manifest.size()}};
    if (entry.tags.empty()) index.push_back(descriptor);
    for (const auto& tag : entry.tags) {
      JsonObject named = descriptor;
      named["annotations"] =
          JsonObject{{"io.containerd.image.name", parse_tagged(tag)->full()},
                     {"org.opencontainers.image.ref.name", tag.substr(tag.rfind(':') + 1)}};
      index.push_back(std::move(named));
    }
  }
  const std::pair<const char*, std::string> texts[] = {
      {"manifest.json", dump(list)},
      {"index.json", dump(JsonObject{{"schemaVersion", 2},
                                     {"mediaType", "application/vnd.oci.image.index.v1+json"},
                                     {"manifests", index}})},
      {"oci-layout", R"({"imageLayoutVersion":"1.0.0"})"}};
  for (const auto& [name, text] : texts) {
    CO_TRYV(write_file(dir + "/" + name, text));
    files.push_back({name, "", dir + "/" + name, "", 0});
  }
  const Pin pin(*this, {packed.begin(), packed.end()});
  auto done = co_await layers_.pack(std::move(files), std::move(sink));
  co_await layers_.drop_ingest(dir);
  co_return done;
}

void Images::told(std::string action, const std::string& id, std::string name) {
  const auto it = images_.find(id);
  auto attributes = it == images_.end() ? std::map<std::string, std::string>() : it->second.config.labels;
  attributes["name"] = std::move(name);
  events_.publish("image", std::move(action), id, std::move(attributes));
}

Task<Result<ImageRemoval>> Images::remove(std::string name, bool force, Parents parents, InUse in_use) {
  CO_TRY(const Image* found, find(name));
  const std::string id = found->id;
  ImageRemoval out;
  auto ref = parse_tagged(name);
  const bool by_digest = ref && !ref->digest.empty() && !found->tags.empty() &&
                         std::ranges::find(found->repo_digests, ref->familiar_name() + "@" + ref->digest) !=
                             found->repo_digests.end();
  const bool by_tag =
      by_digest || (ref && std::ranges::find(found->tags, ref->familiar()) != found->tags.end());
  bool running = false;
  const std::string user = in_use(id, running);
  const std::string short_id = id.substr(7, 12);
  if (!by_tag && found->tags.size() > 1 && !force)
    co_return fail(Code::kConflict, "conflict: unable to delete " + short_id +
                                        " (must be forced) - image is referenced in multiple repositories");
  if (!by_digest && !(by_tag && found->tags.size() > 1) && !user.empty() &&
      (by_tag ? !force : running || !force))
    co_return fail(
        Code::kConflict,
        "conflict: unable to " +
            std::string(by_tag ? "remove repository reference \"" + name + "\"" : "delete " + short_id) +
            (running && !by_tag ? " (cannot be forced) - "
             : by_tag           ? " (must force) - "
                                : " (must be forced) - ") +
            (by_tag ? "container " + user + " is using its referenced image " + short_id
                    : std::string("image is being used by ") +
                          (running ? "running container " : "stopped container ") + user));
  std::vector<std::string> gone = by_digest ? std::vector<std::string>{}
                                  : by_tag  ? std::vector<std::string>{ref->familiar()}
                                            : found->tags;
  // A repository's digests go with its last tag.
  const auto in_use_by_tag = [&](const std::string& repository) {
    return std::ranges::any_of(found->tags, [&](const std::string& t) {
      return t.substr(0, t.rfind(':')) == repository && std::ranges::find(gone, t) == gone.end();
    });
  };
  for (const auto& digest : found->repo_digests) {
    const std::string repository = digest.substr(0, digest.find('@'));
    if (by_digest ? digest == repository + "@" + ref->digest && repository == ref->familiar_name()
                  : !in_use_by_tag(repository) && (!by_tag || repository == ref->familiar_name()))
      gone.push_back(digest);
  }
  Image rest = *found;
  for (const auto& tag : gone) std::erase(rest.tags, tag), std::erase(rest.repo_digests, tag);
  CO_TRYV(co_await store(rest));
  if (!images_.contains(id)) co_return out;  // removed by another meanwhile
  auto& image = images_[id] = std::move(rest);
  for (const auto& tag : gone) {
    out.untagged.push_back(tag);
    told("untag", id, id);
  }
  // A stopped container keeps its layers, not the image's name and record.
  if (!image.tags.empty() || (by_tag && !image.repo_digests.empty()) ||
      (!user.empty() && (running || !force)))
    co_return out;
  std::string next = image.parent;
  CO_TRYV(co_await erase(id));
  out.deleted.push_back(id);
  while (parents == Parents::kGo) {
    const auto step = images_.find(next);
    if (step == images_.end() || !step->second.hidden() || has_children(next) || pinned_.contains(next) ||
        !in_use(next, running).empty())
      break;
    out.deleted.push_back(next);
    const std::string gone_too = std::exchange(next, step->second.parent);
    CO_TRYV(co_await erase(gone_too));
  }
  co_return out;
}

Task<Result<>> Images::erase(std::string id) {
  CO_TRYV(co_await db_.erase("image", id));
  told("delete", id, id);
  const Image last = std::move(images_[id]);
  images_.erase(id);
  std::vector<std::string> digests = last.layer_digests;
  digests.insert(digests.end(), {last.id, last.manifest_digest});
  co_await drop_unused(last.chain_ids, digests);
  co_return Result<>{};
}

}  // namespace panal
