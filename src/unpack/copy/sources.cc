#include "unpack/copy/sources.h"

#include <fcntl.h>
#include <linux/openat2.h>

#include <cerrno>
#include <optional>
#include <set>

#include "base/in_root.h"
#include "base/path.h"
#include "base/text.h"
#include "dockerfile/ignore.h"
#include "unpack/copy/archive.h"
#include "unpack/paths.h"
#include "unpack/tree_walk.h"
#include "unpack/unpack.h"

namespace panal {
namespace {

using Parts = std::vector<std::string>;

bool has_wildcard(const std::string& text) {
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '*' || text[i] == '?' || text[i] == '[')
      return true;
  return false;
}

std::string unescaped(const std::string& pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i)
    out += pattern[i] == '\\' && i + 1 < pattern.size() ? pattern[++i] : pattern[i];
  return out;
}

bool lies_in(const std::string& path, const std::set<std::string>& folders) {
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
    if (folders.contains(path.substr(0, slash))) return true;
  return false;
}

class Taker {
 public:
  Taker(const CopyJob& job, const std::vector<Fd>& trees) : job_(job), trees_(trees) {}
  Result<std::vector<CopyTaken>> take();

 private:
  struct Found {
    std::string path;
    mode_t kind;
  };
  struct Walk {
    const PathPatterns& ignore;
    std::vector<CopyNode>& nodes;
  };
  Result<> read_patterns();
  Result<> take_source(const CopyJobSource& source);
  Result<bool> take_one(const CopyJobSource& source, const std::string& path);
  Result<> take_parents(const CopyJobSource& source);
  Result<> keep_parents(size_t tree, const std::string& root, const std::string& pattern,
                        std::vector<CopyNode>& nodes);
  Result<std::vector<std::string>> matches(size_t tree, const std::string& pattern);
  Result<std::optional<Found>> follow(size_t tree, const std::string& path);
  Result<> expand(size_t tree, const std::string& dir, const Parts& pattern, size_t at, bool deep,
                  std::set<std::string>& out);
  Result<> walk(const Walk& w, int dir, const CopyNode& folder, const std::string& relative, int depth);
  Result<> walk_from(size_t tree, const CopyNode& folder, const std::string& relative,
                     std::vector<CopyNode>& nodes);
  bool hidden(size_t tree, const std::string& path) const {
    return !path.empty() && !ignore_[tree].empty() && ignore_[tree].match(path);
  }
  std::unexpected<Error> not_found(size_t tree, const std::string& path) const;

  const CopyJob& job_;
  const std::vector<Fd>& trees_;
  std::vector<PathPatterns> ignore_;
  PathPatterns exclude_;
  std::vector<CopyTaken> taken_;
  std::set<std::pair<std::string, size_t>> expanded_;
  int64_t files_ = 0;
};

std::unexpected<Error> Taker::not_found(size_t tree, const std::string& path) const {
  return fail(
      Code::kInvalid,
      std::string(job_.trees[tree].stage ? ""
                                         : "file not found in build context or excluded by .dockerignore: ") +
          "stat " + path + ": file does not exist");
}

Result<mode_t> kind_at(int root, const std::string& path) {
  struct stat info;
  if (::fstatat(root, path.c_str(), &info, path.empty() ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW) == 0)
    return info.st_mode & S_IFMT;
  if (errno == ENOENT || errno == ENOTDIR) return 0;
  return fail(sys_error(errno, "stat", path));
}

/// Nothing: it is not there, or left out; of a folder that is left out something may still be taken.
Result<std::optional<Taker::Found>> Taker::follow(size_t tree, const std::string& path) {
  bool out = false;
  TRY(const std::string real, follow_links(path, [&](const std::string& at) {
        auto target = link_target(trees_[tree].get(), at);
        out |= target && hidden(tree, at);
        return target;
      }));
  TRY(const mode_t kind, kind_at(trees_[tree].get(), real));
  if (kind == 0 || out || (kind != S_IFDIR && hidden(tree, real))) return std::nullopt;
  return Found{real, kind};
}

/// Paths below the folder `dir` that match the components of `pattern` from `at` on. `deep`: ** is any number
/// of folders. Follows no links.
Result<> Taker::expand(size_t tree, const std::string& dir, const Parts& pattern, size_t at, bool deep,
                       std::set<std::string>& out) {
  const bool last = at + 1 == pattern.size(), any = deep && pattern[at] == "**";
  if (deep && !expanded_.emplace(dir, at).second) return {};
  if (++files_ > kMaxEntries) return fail(Code::kInvalid, "too many files to copy");
  if (any && !last) TRYV(expand(tree, dir, pattern, at + 1, deep, out));
  const auto step = [&](const std::string& name) -> Result<> {
    const std::string path = below(dir, name);
    TRY(const mode_t kind, kind_at(trees_[tree].get(), path));
    if (kind && last) out.insert(path);
    if (kind != S_IFDIR || last || (hidden(tree, path) && !ignore_[tree].may_except_below(path))) return {};
    return expand(tree, path, pattern, any ? at : at + 1, deep, out);
  };
  if (pattern[at].find_first_of("*?[\\") == std::string::npos) return step(pattern[at]);
  const Fd folder = open_plain(trees_[tree].get(), dir, O_RDONLY | O_DIRECTORY);
  if (!folder) return fail(sys_error(errno, "open", dir));
  TRY(const auto names, names_in(folder.get()));
  for (const auto& name : names) {
    auto matched = any ? Result<bool>(true) : match_component(pattern[at], name);
    if (!matched) return fail(wrap(join(pattern, "/"), matched.error()));
    if (*matched) TRYV(step(name));
  }
  return {};
}

/// What a pattern with wildcards names. Links are followed in what stands before the first one.
Result<std::vector<std::string>> Taker::matches(size_t tree, const std::string& pattern) {
  const Parts parts = split(pattern, '/');
  const auto first = std::ranges::find_if(parts, has_wildcard);
  TRY(const auto start, follow(tree, join(Parts(parts.begin(), first), "/")));
  std::set<std::string> out;
  if (start && start->kind == S_IFDIR)
    TRYV(expand(tree, start->path, Parts(first, parts.end()), 0, false, out));
  return std::vector<std::string>(out.begin(), out.end());
}

/// What a folder holds. One that is left out is there all the same when something in it is not.
Result<> Taker::walk(const Walk& w, int dir, const CopyNode& folder, const std::string& relative, int depth) {
  if (depth > kMaxDepth) return fail(Code::kInvalid, "folders are nested too deep to be copied");
  TRY(const auto names, names_in(dir));
  for (const auto& name : names) {
    struct stat info;
    CopyNode node{below(folder.path, name), below(folder.place, name)};
    if (::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return fail(sys_error(errno, "stat", node.path));
    }
    node.kind = info.st_mode & S_IFMT;
    const std::string inside = below(relative, name);
    const bool ignored = !w.ignore.empty() && w.ignore.match(node.path),
               excluded = !exclude_.empty() && exclude_.match(inside);
    const bool maybe = node.kind == S_IFDIR && (!ignored || w.ignore.may_except_below(node.path)) &&
                       (!excluded || exclude_.may_except_below(inside));
    if (node.kind == S_IFSOCK || ((ignored || excluded) && !maybe)) continue;
    if (++files_ > kMaxEntries) return fail(Code::kInvalid, "too many files to copy");
    const size_t mark = w.nodes.size();
    w.nodes.push_back(node);
    if (node.kind != S_IFDIR) continue;
    TRY(const Fd child, open_entry(dir, name, info));
    if (child) TRYV(walk(w, child.get(), node, inside, depth + 1));
    if ((ignored || excluded) && w.nodes.size() == mark + 1) w.nodes.pop_back();
  }
  return {};
}

Result<> Taker::walk_from(size_t tree, const CopyNode& folder, const std::string& relative,
                          std::vector<CopyNode>& nodes) {
  const Fd dir = open_plain(trees_[tree].get(), folder.path, O_RDONLY | O_DIRECTORY);
  if (!dir) return fail(sys_error(errno, "open", folder.path));
  return walk({ignore_[tree], nodes}, dir.get(), folder, relative, 0);
}

/// False: it is not there, or left out.
Result<bool> Taker::take_one(const CopyJobSource& source, const std::string& path) {
  const auto tree = static_cast<size_t>(source.tree);
  TRY(const auto found, follow(tree, path));
  if (!found) return false;
  if (found->kind == S_IFSOCK) return fail(Code::kInvalid, path + ": sockets cannot be copied");
  CopyTaken taken{.from = tree};
  if (found->kind == S_IFDIR) {
    taken.kind = CopyTaken::Kind::kFolder;
    taken.nodes.push_back({found->path, "", S_IFDIR});
    TRYV(walk_from(tree, CopyNode(taken.nodes[0]), "", taken.nodes));
    if (taken.nodes.size() == 1 && hidden(tree, found->path)) return false;
  } else {
    taken.nodes.push_back({found->path, base_name(path), found->kind});
    if (source.unpack && found->kind == S_IFREG) {
      const Fd file = open_plain(trees_[tree].get(), found->path, O_RDONLY);
      if (!file) return fail(sys_error(errno, "open", path));
      if (is_archive(file.get())) taken.kind = CopyTaken::Kind::kArchive;
    }
  }
  taken_.push_back(std::move(taken));
  return true;
}

Result<> Taker::take_source(const CopyJobSource& source) {
  if (source.tree < 0 || source.tree >= std::ssize(trees_))
    return fail(Code::kInternal, "a source of a tree that is not there");
  if (job_.parents) return take_parents(source);
  const auto tree = static_cast<size_t>(source.tree);
  const std::string path = clean_path(source.pattern);
  if (!has_wildcard(path)) {
    TRY(bool taken, take_one(source, path));
    if (!taken && path.contains('\\')) {
      TRY(taken, take_one(source, unescaped(path)));
    }
    return taken ? Result<>{} : not_found(tree, path);
  }
  TRY(const auto paths, matches(tree, path));
  for (const auto& found : paths) {
    if (exclude_.match(base_name(found))) continue;
    TRY(const bool taken, take_one(source, found));
    if (!taken && !hidden(tree, found)) return not_found(tree, found);
  }
  return {};
}

/// The source's path from `root` on is kept: "a/./b/c" is b/c below a.
Result<> Taker::take_parents(const CopyJobSource& source) {
  const auto tree = static_cast<size_t>(source.tree);
  const size_t pivot = source.pattern.find("/./");
  const std::string before = pivot == std::string::npos ? "" : clean_path(source.pattern.substr(0, pivot));
  const std::string after =
      clean_path(pivot == std::string::npos ? source.pattern : source.pattern.substr(pivot + 3));
  std::vector<std::string> roots{before};
  if (has_wildcard(before)) {
    TRY(roots, matches(tree, before));
  }
  CopyTaken taken{CopyTaken::Kind::kParents, tree};
  for (const auto& root : roots) {
    TRY(const auto found, follow(tree, root));
    if (found && found->kind == S_IFDIR) TRYV(keep_parents(tree, found->path, after, taken.nodes));
  }
  if (!taken.nodes.empty())
    taken_.push_back(std::move(taken));
  else if (!has_wildcard(before) && !has_wildcard(after))
    return not_found(tree, below(before, after));
  return {};
}

Result<> Taker::keep_parents(size_t tree, const std::string& root, const std::string& pattern,
                             std::vector<CopyNode>& nodes) {
  if (pattern.empty()) return walk_from(tree, {root, "", S_IFDIR}, "", nodes);
  std::set<std::string> found, implied, whole;
  expanded_.clear();
  TRYV(expand(tree, root, split(pattern, '/'), 0, true, found));
  for (const auto& path : found) {
    if (lies_in(path, whole)) continue;
    const std::string relative = root.empty() ? path : path.substr(root.size() + 1);
    CopyNode node{path, relative};
    TRY(node.kind, kind_at(trees_[tree].get(), path));
    const bool out = hidden(tree, path) || exclude_.match(relative);
    if (node.kind == S_IFSOCK || (out && node.kind != S_IFDIR)) continue;
    const size_t mark = nodes.size();
    for (size_t slash = relative.find('/'); slash != std::string::npos;
         slash = relative.find('/', slash + 1)) {
      const std::string above = relative.substr(0, slash);
      if (!implied.contains(above)) nodes.push_back({below(root, above), above, S_IFDIR, true});
    }
    nodes.push_back(node);
    const size_t size = nodes.size();
    if (node.kind == S_IFDIR) {
      whole.insert(path);
      TRYV(walk_from(tree, node, relative, nodes));
    }
    if (out && nodes.size() == size) nodes.resize(mark);
    for (size_t i = mark; i < nodes.size() && nodes[i].implied; ++i) implied.insert(nodes[i].place);
  }
  return {};
}

Result<> Taker::read_patterns() {
  for (const auto& tree : job_.trees) {
    TRY(auto patterns, PathPatterns::parse(join(tree.ignore, "\n")));
    ignore_.push_back(std::move(patterns));
  }
  for (const auto& pattern : job_.exclude) TRYV(exclude_.add(pattern));
  return {};
}

Result<std::vector<CopyTaken>> Taker::take() {
  TRYV(read_patterns());
  bool cut = job_.destination.contains('\0');
  for (const auto& source : job_.sources) cut |= source.pattern.contains('\0');
  for (const auto& text : job_.texts) cut |= text.name.contains('\0');
  if (cut) return fail(Code::kInvalid, "a path cannot hold a NUL");
  for (const auto& source : job_.sources) TRYV(take_source(source));
  for (size_t i = 0; i < job_.texts.size(); ++i) {
    const std::string& name = job_.texts[i].name;
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
      return fail(Code::kInvalid, "invalid name of a here-document: " + name);
    taken_.push_back({CopyTaken::Kind::kText, i, {{"", name, S_IFREG}}});
  }
  if (taken_.empty() && !job_.sources.empty()) return fail(Code::kInvalid, "no source files were specified");
  if (taken_.size() > 1 && !job_.parents && !job_.destination.ends_with('/') &&
      base_name(job_.destination) != ".")
    return fail(Code::kInvalid,
                "When using COPY with more than one source file, the destination must be a directory and end "
                "with a /");
  return std::move(taken_);
}

}  // namespace

Fd open_plain(int root, const std::string& path, uint64_t flags) {
  return open_resolved(root, path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

Result<std::vector<CopyTaken>> take_sources(const CopyJob& job, const std::vector<Fd>& trees) {
  if (job.trees.size() != trees.size())
    return fail(Code::kInternal, "as many trees as the job names are needed");
  return Taker(job, trees).take();
}

}  // namespace panal
