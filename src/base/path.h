// Paths as text; nothing looks at a disk.
#pragma once
#include <string>
#include <string_view>

namespace panal {

/// "./a//b/../c/" -> "a/c"; never above the root.
std::string clean_path(std::string_view path);

}  // namespace panal
