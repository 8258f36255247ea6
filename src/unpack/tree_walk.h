// What the walks over a container's files share. The tree may change under a walk: what is gone or has become
// something else is left out.
#pragma once
#include <sys/stat.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"

namespace panal {

/// Names in an open folder, sorted.
Result<std::vector<std::string>> names_in(int dir);
/// A regular file or folder, of the kind that `info` says, without following a link; `info` is brought up to
/// date. Not open: it has changed.
Result<Fd> open_entry(int dir, const std::string& name, struct stat& info);
/// An extended attribute; empty when there is none.
std::string attribute(int fd, const char* name);

/// The extended attributes that an image keeps: security.capability and user.*, sorted.
std::vector<std::pair<std::string, std::string>> kept_attributes(int fd);
bool is_kept_attribute(const std::string& name);
/// Where a link leads; nothing when there is none.
std::optional<std::string> link_target(int dir, const std::string& name);

}  // namespace panal
