// What a copy takes, as a digest.
#include "unpack/digest.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "unpack/copy/copy.h"
#include "unpack/copy/plan.h"
#include "unpack/tree_walk.h"

namespace panal {
namespace {

using From = CopyItem::From;

/// One digest over all of it: each thing says how long it is, so that no two trees read the same.
class TreeDigest {
 public:
  TreeDigest(const CopyJob& job, const std::vector<Fd>& trees) : job_(job), trees_(trees) {}
  Result<> add(const std::string& path, const CopyItem& item);
  Result<> add_archive(const std::string& name, size_t tree, const std::string& path);
  std::string text() { return digest_.text().substr(sizeof "sha256:" - 1); }

 private:
  void add_words(std::initializer_list<std::string_view> words);
  Result<> add_content(int fd, int64_t size, const std::string& path);

  const CopyJob& job_;
  const std::vector<Fd>& trees_;
  Digest digest_;
  std::string line_, chunk_ = std::string(1 << 18, '\0');
};

void TreeDigest::add_words(std::initializer_list<std::string_view> words) {
  line_.clear();
  for (const auto word : words) line_ += std::to_string(word.size()) + ':', line_ += word;
  digest_.add(line_ + '\n');
}

Result<> TreeDigest::add_content(int fd, int64_t size, const std::string& path) {
  if (size > std::ssize(chunk_)) (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  int64_t left = size;
  while (left > 0) {
    const ssize_t n = ::read(fd, chunk_.data(), static_cast<size_t>(std::min(left, std::ssize(chunk_) + 0L)));
    if (n < 0) return fail(sys_error(errno, "read", path));
    if (n == 0) break;
    digest_.add({chunk_.data(), static_cast<size_t>(n)});
    left -= n;
  }
  if (left > 0) add_words({"short", std::to_string(left)});
  return {};
}

Result<> TreeDigest::add(const std::string& path, const CopyItem& item) {
  if (item.from == From::kText) {
    add_words({"text", path, job_.texts[item.source].content});
    return {};
  }
  const int root = trees_[item.source].get();
  Fd file;
  struct stat info;
  if (S_ISREG(item.kind) || S_ISDIR(item.kind)) {
    file = open_plain(root, item.path, O_RDONLY | (S_ISDIR(item.kind) ? O_DIRECTORY : 0));
    if (!file || ::fstat(file.get(), &info) != 0) return fail(sys_error(errno, "open", item.path));
  } else if (::fstatat(root, item.path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail(sys_error(errno, "stat", item.path));
  }
  const bool has_device = S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode);
  if (job_.trees[item.source].stage)
    add_words({"owner", std::to_string(info.st_uid), std::to_string(info.st_gid)});
  add_words({"node", path, std::to_string(info.st_mode), item.link,
             std::to_string(has_device ? info.st_rdev : 0),
             std::to_string(S_ISREG(info.st_mode) ? info.st_size : 0)});
  if (!file) return {};
  for (const auto& [name, value] : kept_attributes(file.get())) add_words({"attribute", name, value});
  return S_ISREG(info.st_mode) ? add_content(file.get(), info.st_size, item.path) : Result<>{};
}

Result<> TreeDigest::add_archive(const std::string& name, size_t tree, const std::string& path) {
  const Fd file = open_plain(trees_[tree].get(), path, O_RDONLY);
  struct stat info;
  if (!file || ::fstat(file.get(), &info) != 0) return fail(sys_error(errno, "open", path));
  add_words({"archive", name, std::to_string(info.st_size)});
  return add_content(file.get(), info.st_size, path);
}

}  // namespace

Result<CopyDigestLine> digest_copy(const CopyJob& job, const std::vector<Fd>& trees) {
  TRY(const auto taken, take_sources(job, trees));
  TRY(CopyPlan plan, CopyPlan::make(job, trees, -1));
  TreeDigest digest(job, trees);
  for (const auto& t : taken) {
    TRYV(t.kind == CopyTaken::Kind::kArchive ? digest.add_archive(t.nodes[0].place, t.from, t.nodes[0].path)
                                             : plan.add(t));
  }
  for (const auto& [path, item] : plan.items())
    if (item.from != From::kMade) TRYV(digest.add(path, item));
  const bool is_dir = taken.size() == 1 && (taken[0].kind == CopyTaken::Kind::kFolder ||
                                            taken[0].kind == CopyTaken::Kind::kParents);
  return CopyDigestLine{taken.size() != 1 ? "multi" : is_dir ? "dir" : "file", digest.text()};
}

}  // namespace panal
