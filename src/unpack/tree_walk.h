// What the walks over a container's files share. The tree may change under a walk: what is gone or has become something else is left out.
#pragma once
#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/fd.h"

namespace panal {

/// Names in an open folder, sorted.
Result<std::vector<std::string>> names_in(int dir);
/// A regular file or folder, of the kind that `info` says, without following a link; `info` is brought up to date. Not open: it has changed.
Result<Fd> open_entry(int dir, const std::string& name, struct stat& info);
/// An extended attribute; empty when there is none.
std::string attribute(int fd, const char* name);

}  // namespace panal
