// Paths as the Engine API's archive verbs understand them. Text only.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace panal {

/// From the root, without "." and ".."; a trailing "/" or "/." stays, as it says that a folder is meant.
std::string absolute_path(const std::string& path);
/// The last word: "/" of "/", "." of "/etc/.", "etc" of "/etc/".
std::string base_name(const std::string& path);
/// The name of an archive's entry below the folder it is unpacked to, "" for the folder itself; nothing when it leads out.
std::optional<std::string> inside_path(const std::string& name);
/// Go's os.FileMode, as path stats hold it.
uint32_t go_mode(mode_t mode);

}  // namespace panal
