// Paths as the Engine API's archive verbs understand them. Text only.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"

namespace panal {

/// From the root, without "." and ".."; a trailing "/" or "/." stays, as it says that a folder is meant.
std::string absolute_path(const std::string& path);
/// The last word: "/" of "/", "." of "/etc/.", "etc" of "/etc/".
std::string base_name(const std::string& path);
/// The name of an archive's entry below the folder it is unpacked to, "" for the folder itself; nothing when
/// it leads out.
std::optional<std::string> inside_path(const std::string& name);
/// Where `path` leads in the end, as a process with this root would see it: without leading slash, dots and
/// links. `link_at(path)` is the target of a link there; nothing when there is no link. What does not exist
/// is taken for a folder.
Result<std::string> follow_links(
    const std::string& path, const std::function<std::optional<std::string>(const std::string& at)>& link_at);
/// "a/b" of "a/b/c", "" of "a".
std::string folder_of(const std::string& path);
/// "a/b" of "a" and "b"; the other one where one is empty.
std::string below(const std::string& folder, const std::string& name);
/// Go's os.FileMode, as path stats hold it.
uint32_t go_mode(mode_t mode);

}  // namespace panal
