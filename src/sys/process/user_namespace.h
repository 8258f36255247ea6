// User namespaces: made by a process that lives for the moment, kept by mounts of their files.
#pragma once
#include <string>

#include "base/result.h"
#include "model/id_map.h"

namespace panal {

/// Makes a user namespace and, unless `net_path` is empty, a network namespace that belongs to it. With
/// `joined` (a namespace's file) it is that one instead of a new one. Blocks; makes the files.
Result<> make_user_namespace(const IdMap& ids, const std::string& joined, const std::string& user_path,
                             const std::string& net_path);

}  // namespace panal
