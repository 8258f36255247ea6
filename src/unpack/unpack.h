// The verbs of panal-unpack and its limits.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"
#include "image/tree_job.h"

namespace panal {

constexpr int64_t kMaxLayerBytes = 256LL << 30;  // unpacked bytes of one layer
constexpr int64_t kMaxEntries = 10'000'000;      // entries of one archive
constexpr int64_t kMaxExpansion = 2000;          // unpacked : packed, above kFreeExpansion
constexpr int64_t kFreeExpansion = 64 << 20;
constexpr int64_t kMaxArchiveFiles = 4096;  // files of an image archive
constexpr int kMaxDepth = 2048;             // folders in folders: a path has no room for more

Result<> unpack_archive(const std::string& dir);
Result<> save_blob(const std::string& file);
Result<> unpack_layer(const std::string& blob, const std::string& digest, const std::string& dir);
Result<> pack_archive(const std::string& dir);
Result<> stat_path(const TreeJob& job, const std::string& path);
Result<> get_path(const TreeJob& job, const std::string& path);
Result<> put_path(const TreeJob& job, const std::string& path);
Result<> export_root(const TreeJob& job);
Result<> pack_upper(const TreeJob& job);
Result<> print_changes(const TreeJob& job);
Result<> digest_sources(const TreeJob& job);
Result<> copy_sources(const TreeJob& job);
Result<> fetch();

/// Drops everything this process does not need any more. From here on `tree.root` (or an empty root in
/// memory, when there is none), with its binds in place, is all it can see: a mount namespace of its own
/// without devices and set-user-ids, no network, few capabilities, and no system call that leads out.
enum class Attributes { kUser, kTrusted };  // kTrusted: overlayfs' own extended attributes are wanted
Result<> lock_in(const TreeJob& tree, Attributes attributes = Attributes::kUser);
/// The same for a process that speaks to the network through descriptors and sees of files only how names are
/// resolved. `dir` is empty.
Result<> lock_in_online(const std::string& dir);

}  // namespace panal
