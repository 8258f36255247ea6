#include "image/config.h"

#include <fstream>

#include "base/fd.h"
#include "base/text.h"
#include "image/reference.h"
#include "model/image_json.h"

namespace panal {

struct RootFs {
  std::string type;
  std::vector<std::string> diff_ids;
};
template <class A>
void fields(A& a, RootFs& r) {
  a("type", r.type), a("diff_ids", r.diff_ids);
}
struct ConfigFile {
  std::string architecture, os, variant, author, created, comment;
  ContainerConfig config;
  RootFs rootfs;
  std::vector<HistoryEntry> history;
};
template <class A>
void fields(A& a, ConfigFile& c) {
  a("architecture", c.architecture), a("os", c.os), a.opt("variant", c.variant), a.opt("author", c.author),
      a.opt("created", c.created);
  a.opt("comment", c.comment), a("config", c.config), a("rootfs", c.rootfs), a.opt("history", c.history);
}

Result<Image> image_from_config(const std::string& config_json, const std::string& digest,
                                const Layers& hasher) {
  auto parsed = from_text<ConfigFile>(config_json);
  if (!parsed) return fail(wrap("image config", parsed.error()));
  ConfigFile& c = *parsed;
  Image image;
  image.id = digest, image.config_json = config_json;
  image.architecture = c.architecture, image.os = c.os.empty() ? "linux" : c.os, image.variant = c.variant,
  image.author = c.author;
  image.created = c.created, image.comment = c.comment, image.config = c.config, image.history = c.history;
  if (image.os != "linux")
    return fail(Code::kInvalid,
                "image operating system \"" + image.os + "\" cannot be used on this platform");
  image.diff_ids = c.rootfs.diff_ids;
  if (image.diff_ids.size() > 127) return fail(Code::kInvalid, "max depth exceeded");
  // chain id: OCI image-spec config.md, "Layer ChainID"
  for (const auto& diff : image.diff_ids) {
    if (!diff.starts_with("sha256:")) return fail(Code::kInvalid, "image config: invalid diff id " + diff);
    image.chain_ids.push_back(image.chain_ids.empty() ? diff
                                                      : hasher.sha256(image.chain_ids.back() + " " + diff));
  }
  return image;
}

struct Descriptor {
  std::string mediaType, digest;
  int64_t size = 0;
  std::map<std::string, std::string> annotations;
};
template <class A>
void fields(A& a, Descriptor& d) {
  a("mediaType", d.mediaType), a("digest", d.digest), a("size", d.size), a.opt("annotations", d.annotations);
}
struct Manifest {
  int schemaVersion = 2;
  std::string mediaType;
  Descriptor config;
  std::vector<Descriptor> layers, manifests;
};
template <class A>
void fields(A& a, Manifest& m) {
  a("schemaVersion", m.schemaVersion), a("mediaType", m.mediaType), a.opt("config", m.config),
      a.opt("layers", m.layers), a.opt("manifests", m.manifests);
}

PackedLayer packed_layer(const std::string& file, std::string digest, int64_t size_bytes) {
  std::ifstream in(file, std::ios::binary);
  std::string head(4, '\0');
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(in.gcount()));
  return {std::move(digest), size_bytes,
          head.starts_with("\x1f\x8b") ? "+gzip"
          : head == "\x28\xb5\x2f\xfd" ? "+zstd"
                                       : ""};
}

std::string make_manifest(const std::string& config_digest, size_t config_size,
                          const std::vector<PackedLayer>& layers) {
  Manifest m;
  m.mediaType = "application/vnd.oci.image.manifest.v1+json";
  m.config = {
      "application/vnd.oci.image.config.v1+json", config_digest, static_cast<int64_t>(config_size), {}};
  for (const auto& l : layers)
    m.layers.push_back({"application/vnd.oci.image.layer.v1.tar" + l.packing, l.digest, l.size_bytes, {}});
  return to_text(m);
}

Result<ManifestParts> parse_manifest(const std::string& json) {
  TRY(auto m, from_text<Manifest>(json));
  ManifestParts parts;
  parts.config_digest = m.config.digest, parts.config_size = m.config.size;
  // Digests become file names: nothing else may stand there.
  if (!valid_digest(m.config.digest)) return fail(Code::kInvalid, "image manifest: invalid config digest");
  if (m.config.size < 0) return fail(Code::kInvalid, "image manifest: invalid size");
  parts.config_media_type = m.config.mediaType;
  for (const auto& l : m.layers) {
    if (!valid_digest(l.digest)) return fail(Code::kInvalid, "image manifest: invalid layer digest");
    if (l.size < 0) return fail(Code::kInvalid, "image manifest: invalid size");
  }
  for (const auto& l : m.layers) parts.layer_digests.push_back(l.digest), parts.layer_sizes.push_back(l.size);
  return parts;
}

struct SavedImage {
  std::string config;
  std::vector<std::string> tags, layers;
};
template <class A>
void fields(A& a, SavedImage& s) {
  a("Config", s.config), a("RepoTags", s.tags), a("Layers", s.layers);
}

namespace {

class Finder {
 public:
  explicit Finder(const std::vector<ArchiveFile>& files) {
    for (const auto& f : files) by_path_[f.path] = &f;
  }
  /// Follows links inside the archive (docker save's older layouts link repeated layers).
  const ArchiveFile* find(std::string path) const {
    while (path.starts_with("./")) path = path.substr(2);
    for (int hops = 0; hops < 8; ++hops) {
      auto it = by_path_.find(path);
      if (it == by_path_.end()) return nullptr;
      if (!it->second->file.empty()) return it->second;
      path = it->second->link;
    }
    return nullptr;
  }
  /// kInvalid for one that is not there, and for one whose content is another than its name says.
  Result<ArchiveFile> blob(const std::string& digest) const {
    const ArchiveFile* file = valid(digest) ? find("blobs/sha256/" + digest.substr(7)) : nullptr;
    if (!file) return fail(Code::kInvalid, "invalid archive: " + digest + " is missing");
    if (file->digest != digest)
      return fail(Code::kInvalid,
                  "invalid archive: the content of " + digest + " is that of " + file->digest);
    return *file;
  }

 private:
  static bool valid(const std::string& digest) {
    return digest.size() == 71 && digest.starts_with("sha256:");
  }
  std::map<std::string, const ArchiveFile*> by_path_;
};

}  // namespace

static Result<ArchiveFile> need(const ArchiveFile* file, const std::string& name) {
  if (!file) return fail(Code::kInvalid, "invalid archive: " + name + " is missing");
  return *file;
}

static Result<ArchiveImage> from_oci_manifest(const Finder& finder, const Descriptor& descriptor,
                                              const std::optional<ImagePlatform>& platform, int depth) {
  TRY(const ArchiveFile file, finder.blob(descriptor.digest));
  TRY(const std::string text, read_file(file.file, 4 << 20));
  TRY(const auto entries, parse_index(text));
  if (entries && depth < 3) {
    const IndexEntry* best = choose_platform(*entries, platform.value_or(host_platform()));
    if (!best && !platform && entries->size() == 1) best = &entries->front();
    if (!best)
      return fail(Code::kNotFound, "no suitable image for platform " +
                                       platform.value_or(host_platform()).text() + " in the archive");
    return from_oci_manifest(finder, {best->media_type, best->digest, best->size_bytes, {}}, platform,
                             depth + 1);
  }
  TRY(const ManifestParts parts, parse_manifest(text));
  ArchiveImage image;
  image.manifest = text;
  TRY(image.config, finder.blob(parts.config_digest));
  for (const auto& digest : parts.layer_digests) {
    TRY(auto found, finder.blob(digest));
    image.layers.push_back(found);
  }
  return image;
}

static Result<std::vector<ArchiveImage>> from_oci_layout(const Finder& finder, const ArchiveFile& index,
                                                         const std::optional<ImagePlatform>& platform) {
  TRY(const std::string text, read_file(index.file, 4 << 20));
  TRY(const auto parsed, from_text<Manifest>(text));
  std::vector<ArchiveImage> out;
  std::map<std::string, size_t> known;  // one image may stand there under several names
  for (const auto& descriptor : parsed.manifests) {
    const auto [at, is_new] = known.emplace(descriptor.digest, out.size());
    if (is_new) {
      TRY(auto image, from_oci_manifest(finder, descriptor, platform, 0));
      out.push_back(std::move(image));
    }
    auto& tags = out[at->second].tags;
    for (const char* key : {"io.containerd.image.name", "org.opencontainers.image.ref.name"})
      if (auto it = descriptor.annotations.find(key);
          it != descriptor.annotations.end() && it->second.find_first_of(":/") != std::string::npos) {
        tags.push_back(it->second);
        break;
      }
  }
  return out;
}

Result<std::vector<ArchiveImage>> images_in_archive(const std::vector<ArchiveFile>& files,
                                                    const std::optional<ImagePlatform>& platform) {
  const Finder finder(files);
  const ArchiveFile *list = finder.find("manifest.json"), *index = finder.find("index.json");
  if (!list && !index) return fail(Code::kInvalid, "invalid archive: does not contain a manifest.json");
  if (!list) return from_oci_layout(finder, *index, platform);
  std::map<std::string, std::string> manifests;  // of what stands there in both forms, by config
  if (index)
    if (const auto same = from_oci_layout(finder, *index, platform))
      for (const auto& image : *same) manifests[image.config.file] = image.manifest;
  std::vector<ArchiveImage> out;
  TRY(const std::string text, read_file(list->file, 4 << 20));
  TRY(const auto saved, from_text<std::vector<SavedImage>>(text));
  for (const auto& s : saved) {
    ArchiveImage image;
    image.tags = s.tags;
    TRY(image.config, need(finder.find(s.config), s.config));
    for (const auto& layer : s.layers) {
      TRY(auto found, need(finder.find(layer), layer));
      image.layers.push_back(found);
    }
    if (auto it = manifests.find(image.config.file); it != manifests.end()) image.manifest = it->second;
    out.push_back(std::move(image));
  }
  return out;
}

std::string import_config(const std::string& diff_id, const ContainerConfig& config,
                          const std::string& message, const std::string& created,
                          const ImagePlatform& platform) {
  ConfigFile c;
  c.architecture = platform.architecture, c.os = platform.os, c.variant = platform.variant,
  c.created = created, c.comment = message, c.config = config;
  c.rootfs = {"layers", {diff_id}};
  c.history.push_back({created, "", "", message, false});
  return to_text(c);
}

std::string commit_config(CommitParts p) {
  ConfigFile c;
  c.architecture = p.platform.architecture, c.os = p.platform.os, c.variant = p.platform.variant,
  c.author = p.entry.author, c.created = p.entry.created, c.comment = p.entry.comment;
  c.config = std::move(p.config);
  c.rootfs = {"layers", std::move(p.diff_ids)};
  c.history = std::move(p.history);
  c.history.push_back(std::move(p.entry));
  return to_text(c);
}

}  // namespace panal
