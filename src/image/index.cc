#include "image/index.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "image/reference.h"

namespace panal {

std::string ImagePlatform::text() const {
  return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

ImagePlatform host_platform() {
#if defined(__x86_64__)
  return {"linux", "amd64", ""};
#elif defined(__aarch64__)
  return {"linux", "arm64", ""};
#else
  return {"linux", "arm", "v7"};
#endif
}

ImagePlatform normal_platform(ImagePlatform p) {
  p.os = lower(p.os), p.architecture = lower(p.architecture), p.variant = lower(p.variant);
  if (p.os == "macos") p.os = "darwin";
  if (p.architecture == "x86_64" || p.architecture == "x86-64") p.architecture = "amd64";
  if (p.architecture == "aarch64") p.architecture = "arm64";
  if (p.architecture == "i386" || p.architecture == "i486" || p.architecture == "i686")
    p.architecture = "386";
  if (p.architecture == "armhf") p.architecture = "arm", p.variant = "v7";
  if (p.architecture == "armel") p.architecture = "arm", p.variant = "v6";
  if (!p.variant.empty() && p.variant[0] >= '0' && p.variant[0] <= '9') p.variant = "v" + p.variant;
  if ((p.architecture == "arm64" && p.variant == "v8") || (p.architecture == "amd64" && p.variant == "v1"))
    p.variant.clear();
  if (p.architecture == "arm" && p.variant.empty()) p.variant = "v7";
  return p;
}

Result<ImagePlatform> parse_platform(std::string_view text) {
  const ImagePlatform host = host_platform();
  if (text.empty()) return host;
  const auto parts = split(text, '/');
  const auto invalid = [&] {
    return fail(Code::kInvalid,
                "\"" + std::string(text) + "\": unknown operating system or architecture: invalid argument");
  };
  for (const auto& part : parts)
    if (part.empty() || part.size() > 64 || std::ranges::any_of(part, [](char c) {
          return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                   c == '-' || c == '.');
        }))
      return fail(Code::kInvalid, "\"" + part.substr(0, 64) + "\" is an invalid " +
                                      (&part == parts.data() ? "OS " : "") + "component of \"" +
                                      std::string(text.substr(0, 256)) + "\": invalid argument");
  if (parts.size() > 3) return invalid();
  if (parts.size() > 1) return normal_platform({parts[0], parts[1], parts.size() > 2 ? parts[2] : ""});
  if (lower(parts[0]) == "macos") return normal_platform({"darwin", host.architecture, host.variant});
  for (const char* os : {"linux", "windows", "darwin", "freebsd"})
    if (lower(parts[0]) == os) return normal_platform({os, host.architecture, host.variant});
  const ImagePlatform named = normal_platform({host.os, parts[0], ""});
  for (const char* known :
       {"amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "mips64le", "mips64", "loong64"})
    if (named.architecture == known) return named;
  return invalid();
}

// Newer machines run what older ones of their kind do: 2 is better than 1; 0 does not fit.
static int fitness(const ImagePlatform& given, const ImagePlatform& wanted) {
  const ImagePlatform have = normal_platform(given), want = normal_platform(wanted);
  if (have.os != want.os || have.architecture != want.architecture) return 0;
  if (have.variant == want.variant) return 100;
  if (want.architecture == "arm" && have.variant < want.variant)
    return have.variant.size() > 1 ? have.variant[1] - '0' : 1;
  if (have.variant.empty() && want.architecture != "arm") return 50;
  return want.variant.empty() && want.architecture != "amd64" ? 10 : 0;
}

bool platform_fits(const ImagePlatform& have, const ImagePlatform& want) { return fitness(have, want) > 0; }

Result<> check_platform(const std::string& name, const Image& image,
                        const std::optional<ImagePlatform>& platform) {
  if (!platform || platform_fits(platform_of(image), *platform)) return {};
  return fail(Code::kNotFound, "image with reference " + name + " was found but its platform (" +
                                   platform_of(image).text() + ") does not match the specified platform (" +
                                   platform->text() + ")");
}

namespace {

struct PlatformPart {
  std::string os, architecture, variant;
};
template <class A>
void fields(A& a, PlatformPart& p) {
  a("os", p.os), a("architecture", p.architecture), a("variant", p.variant);
}
struct EntryPart {
  std::string media_type, digest;
  int64_t size = 0;
  std::optional<PlatformPart> platform;
};
template <class A>
void fields(A& a, EntryPart& e) {
  a("mediaType", e.media_type), a("digest", e.digest), a("size", e.size), a("platform", e.platform);
}
struct IndexPart {
  int schema = 2;
  std::string media_type;
  std::optional<std::vector<EntryPart>> manifests;
  Json layers, fs_layers;
};
template <class A>
void fields(A& a, IndexPart& i) {
  a("schemaVersion", i.schema), a("mediaType", i.media_type), a("manifests", i.manifests),
      a("layers", i.layers), a("fsLayers", i.fs_layers);
}

}  // namespace

std::string manifest_media_type(std::string_view json) {
  const auto parsed = from_text<IndexPart>(json);
  if (parsed && !parsed->media_type.empty()) return parsed->media_type;
  return parsed && parsed->manifests ? "application/vnd.oci.image.index.v1+json"
                                     : "application/vnd.oci.image.manifest.v1+json";
}

Result<std::optional<std::vector<IndexEntry>>> parse_index(std::string_view json) {
  TRY(const auto parsed, from_text<IndexPart>(json));
  if (parsed.schema == 1 || !parsed.fs_layers.is_null())
    return fail(Code::kUnsupported,
                "Docker Image Format v1 and Docker Image manifest version 2, schema 1 are not supported: the "
                "image must be pushed again by a newer client");
  if (parsed.schema != 2)
    return fail(Code::kInvalid, "unsupported manifest schema version " + std::to_string(parsed.schema));
  if (!parsed.manifests) return std::optional<std::vector<IndexEntry>>();
  if (!parsed.layers.is_null())
    return fail(Code::kInvalid, "the manifest is an index and an image at once");  // CVE-2021-41190
  std::vector<IndexEntry> out;
  for (const auto& e : *parsed.manifests) {
    if (!valid_digest(e.digest)) return fail(Code::kInvalid, "image index: invalid digest");
    IndexEntry entry{e.media_type, e.digest, e.size, {}};
    if (e.platform)
      entry.platform = {e.platform->os, e.platform->architecture, e.platform->variant};
    else
      entry.platform = host_platform();
    if (entry.platform.os == "unknown") continue;  // attestations
    out.push_back(std::move(entry));
  }
  return std::optional(std::move(out));
}

const IndexEntry* choose_platform(const std::vector<IndexEntry>& entries, const ImagePlatform& want) {
  const IndexEntry* best = nullptr;
  int most = 0;
  for (const auto& e : entries)
    if (const int fits = fitness(e.platform, want); fits > most) best = &e, most = fits;
  return best;
}

}  // namespace panal
