// Image indexes (OCI) and manifest lists (Docker): which of several images is the one for a platform.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/image.h"

namespace panal {

struct ImagePlatform {
  std::string os, architecture, variant;
  /// "linux/arm64/v8"
  std::string text() const;
};
/// This machine's.
ImagePlatform host_platform();
/// --platform: "linux/arm64", "arm64", "linux/arm/v7"; what is not said is the host's. Empty: the host.
Result<ImagePlatform> parse_platform(std::string_view text);
/// Docker's spelling: x86_64 is amd64, aarch64 arm64, arm64's v8 and arm's v7 are what no variant says.
ImagePlatform normal_platform(ImagePlatform platform);
/// Whether an image for `have` runs where `want` is wanted.
bool platform_fits(const ImagePlatform& have, const ImagePlatform& want);
inline ImagePlatform platform_of(const Image& image) { return {image.os, image.architecture, image.variant}; }
/// kNotFound, in Docker's words, when a platform was asked for and the image is for another.
Result<> check_platform(const std::string& name, const Image& image,
                        const std::optional<ImagePlatform>& platform);

struct IndexEntry {
  std::string media_type, digest;
  int64_t size_bytes = 0;
  ImagePlatform platform;
};
/// Entries of an index that are images (no attestations); none when the text is a manifest of one image.
/// Schema 1 is refused.
Result<std::optional<std::vector<IndexEntry>>> parse_index(std::string_view json);
/// The best entry for a platform; null when there is none.
const IndexEntry* choose_platform(const std::vector<IndexEntry>& entries, const ImagePlatform& want);

/// What is accepted where a manifest is asked for.
inline constexpr const char* kManifestTypes =
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
/// The media type that a manifest says it has, or its form tells.
std::string manifest_media_type(std::string_view json);

}  // namespace panal
