// The verbs of panal-unpack and its limits.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"

namespace panal {

constexpr int64_t kMaxLayerBytes = 256LL << 30;   // unpacked bytes of one layer
constexpr int64_t kMaxEntries = 10'000'000;       // entries of one archive
constexpr int64_t kMaxExpansion = 2000;           // unpacked : packed, above the first 64 MiB
constexpr int64_t kMaxArchiveFiles = 4096;        // files of an image archive

Result<> unpack_archive(const std::string& dir);
Result<> save_blob(const std::string& file);
Result<> unpack_layer(const std::string& blob, const std::string& digest, const std::string& dir);
Result<> pack_archive();

/// Drops everything this process does not need any more: new network namespace, chroot to `root` (when not empty), system
/// calls that reach outside are refused from here on.
Result<> lock_in(const std::string& root);

}  // namespace panal
