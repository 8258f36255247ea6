#include "unpack/paths.h"

#include <sys/stat.h>

#include <vector>

#include "base/text.h"

namespace panal {

static std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string base_name(const std::string& path) {
  const std::string bare = without_slashes(path);
  return bare.size() == 1 ? bare : bare.substr(bare.rfind('/') + 1);
}

std::string absolute_path(const std::string& path) {
  std::vector<std::string> parts;
  for (auto& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") parts.push_back(std::move(part));
    else if (!parts.empty()) parts.pop_back();
  }
  std::string out = "/" + join(parts, "/");
  if (base_name(path) == ".") out += out.back() == '/' ? "." : "/.";
  if (path.ends_with('/') && out.back() != '/') out += '/';
  return out;
}

std::optional<std::string> inside_path(const std::string& name) {
  std::vector<std::string> parts;
  for (auto& part : split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") parts.push_back(std::move(part));
    else if (parts.empty()) return std::nullopt;
    else parts.pop_back();
  }
  return join(parts, "/");
}

uint32_t go_mode(mode_t mode) {
  uint32_t out = mode & 0777;
  switch (mode & S_IFMT) {
    case S_IFDIR: out |= 1u << 31; break;
    case S_IFLNK: out |= 1u << 27; break;
    case S_IFBLK: out |= 1u << 26; break;
    case S_IFCHR: out |= 1u << 26 | 1u << 21; break;
    case S_IFIFO: out |= 1u << 25; break;
    case S_IFSOCK: out |= 1u << 24; break;
    default: break;
  }
  if (mode & S_ISUID) out |= 1u << 23;
  if (mode & S_ISGID) out |= 1u << 22;
  if (mode & S_ISVTX) out |= 1u << 20;
  return out;
}

}  // namespace panal
