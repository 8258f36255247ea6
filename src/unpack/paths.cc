#include "unpack/paths.h"

#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "base/path.h"
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
  std::string out = "/" + clean_path(path);
  if (base_name(path) == ".") out += out.back() == '/' ? "." : "/.";
  if (path.ends_with('/') && out.back() != '/') out += '/';
  return out;
}

std::optional<std::string> inside_path(const std::string& name) {
  std::vector<std::string> parts;
  for (auto& part : split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..")
      parts.push_back(std::move(part));
    else if (parts.empty())
      return std::nullopt;
    else
      parts.pop_back();
  }
  return join(parts, "/");
}

Result<std::string> follow_links(
    const std::string& path, const std::function<std::optional<std::string>(const std::string&)>& link_at) {
  std::vector<std::string> left = split(path, '/'), done;
  std::ranges::reverse(left);
  for (int links = 0; !left.empty();) {
    std::string part = std::move(left.back());
    left.pop_back();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!done.empty()) done.pop_back();
      continue;
    }
    done.push_back(std::move(part));
    const auto target = link_at(join(done, "/"));
    if (!target) continue;
    if (++links > 255) return fail(Code::kInvalid, "too many links in " + path);
    if (target->starts_with('/'))
      done.clear();
    else
      done.pop_back();
    const auto parts = split(*target, '/');
    left.insert(left.end(), parts.rbegin(), parts.rend());
  }
  return join(done, "/");
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string below(const std::string& folder, const std::string& name) {
  return folder.empty() || name.empty() ? folder + name : folder + "/" + name;
}

uint32_t go_mode(mode_t mode) {
  uint32_t out = mode & 0777;
  switch (mode & S_IFMT) {
    case S_IFDIR:
      out |= 1u << 31;
      break;
    case S_IFLNK:
      out |= 1u << 27;
      break;
    case S_IFBLK:
      out |= 1u << 26;
      break;
    case S_IFCHR:
      out |= 1u << 26 | 1u << 21;
      break;
    case S_IFIFO:
      out |= 1u << 25;
      break;
    case S_IFSOCK:
      out |= 1u << 24;
      break;
    default:
      break;
  }
  if (mode & S_ISUID) out |= 1u << 23;
  if (mode & S_ISGID) out |= 1u << 22;
  if (mode & S_ISVTX) out |= 1u << 20;
  return out;
}

}  // namespace panal
