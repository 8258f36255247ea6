// Opening files below a folder that somebody hostile may be changing meanwhile: what a chroot there would
// see, and nothing else.
#pragma once
#include <cstdint>
#include <string>

#include "base/fd.h"

namespace panal {

/// openat2 with RESOLVE_ flags; errno says why not. A rename elsewhere while ".." is looked up makes the
/// kernel unsure: it is asked again.
Fd open_resolved(int dir, const std::string& path, uint64_t flags, uint64_t resolve);
Result<Fd> open_root(const std::string& path);
/// Opens `path` below the folder `root` (openat2, RESOLVE_IN_ROOT): neither a symlink nor ".." leads out.
Result<Fd> open_in_root(int root, const std::string& path, uint64_t flags);
/// A regular file, for reading. Anything else is refused without having been opened: opening a device may act
/// on it.
Result<Fd> open_file_in_root(int root, const std::string& path);
/// mkdir -p, also where a dangling symlink leads; the folder itself (O_PATH).
Result<Fd> make_dirs_in_root(int root, const std::string& path);
/// Makes the folder that a dangling symlink on the way of `path` leads to; without one, nothing.
Result<> mend_links_in_root(int root, const std::string& path);

}  // namespace panal
