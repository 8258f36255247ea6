// The image configuration (OCI image-spec config.md, Docker's superset) and the manifests that name it.
#pragma once
#include <optional>

#include "base/result.h"
#include "image/index.h"
#include "model/image.h"
#include "ports/layers.h"

namespace panal {

/// Fills what an Image takes from its config blob: platform, runtime config, history, diff ids and chain ids.
/// `digest` is the blob's.
Result<Image> image_from_config(const std::string& config_json, const std::string& digest,
                                const Layers& hasher);
/// A layer's blob. `packing`: "+gzip", "+zstd" or nothing, as media types end.
struct PackedLayer {
  std::string digest;
  int64_t size_bytes = 0;
  std::string packing;
};
/// Looks at the file's first bytes.
PackedLayer packed_layer(const std::string& file, std::string digest, int64_t size_bytes);
/// OCI image manifest for a config and its layers.
std::string make_manifest(const std::string& config_digest, size_t config_size,
                          const std::vector<PackedLayer>& layers);

struct ManifestParts {
  std::string config_digest, config_media_type;
  std::vector<std::string> layer_digests;
  std::vector<int64_t> layer_sizes;
  int64_t config_size = 0;
};
Result<ManifestParts> parse_manifest(const std::string& json);

/// One image inside an archive: which files are its config and its layers.
struct ArchiveImage {
  ArchiveFile config;
  std::vector<ArchiveFile> layers;
  std::vector<std::string> tags;
  std::string manifest;  // as it stands in the archive; empty: there is none
};
/// docker save's manifest.json, or an OCI layout's index.json. `platform`: of an index within; without one
/// this machine's, or the only one.
Result<std::vector<ArchiveImage>> images_in_archive(
    const std::vector<ArchiveFile>& files, const std::optional<ImagePlatform>& platform = std::nullopt);

/// A config for `docker import`: one layer.
std::string import_config(const std::string& diff_id, const ContainerConfig& config,
                          const std::string& message, const std::string& created,
                          const ImagePlatform& platform);

/// A config for `docker commit`: what the container had, and one more layer.
struct CommitParts {
  ContainerConfig config;
  std::vector<std::string> diff_ids;
  std::vector<HistoryEntry> history;
  HistoryEntry entry;
  ImagePlatform platform;
};
std::string commit_config(CommitParts parts);

}  // namespace panal
