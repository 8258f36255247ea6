// The image configuration (OCI image-spec config.md, Docker's superset) and the manifests that name it.
#pragma once
#include "base/result.h"
#include "model/image.h"
#include "ports/layers.h"

namespace panal {

/// Fills what an Image takes from its config blob: platform, runtime config, history, diff ids and chain ids. `digest` is the blob's.
Result<Image> image_from_config(const std::string& config_json, const std::string& digest, const Layers& hasher);
/// OCI image manifest for a config and its layers. `sizes` in bytes, as many as layers.
std::string make_manifest(const std::string& config_digest, size_t config_size, const std::vector<std::string>& layers, const std::vector<int64_t>& sizes);

struct ManifestParts {
  std::string config_digest;
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
};
/// docker save's manifest.json, or an OCI layout's index.json.
Result<std::vector<ArchiveImage>> images_in_archive(const std::vector<ArchiveFile>& files);

/// A config for `docker import`: one layer, changes as Dockerfile instructions.
Result<std::string> import_config(const std::string& diff_id, const std::vector<std::string>& changes, const std::string& message,
                                  const std::string& created, const std::string& architecture);

}  // namespace panal
