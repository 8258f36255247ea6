// What a copy takes, as the layer that it adds: first all that is in no archive, sorted, then the archives'
// entries in their order.
#include <fcntl.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "base/text.h"
#include "image/mode_change.h"
#include "unpack/copy/archive.h"
#include "unpack/copy/copy.h"
#include "unpack/copy/plan.h"
#include "unpack/tar_writer.h"
#include "unpack/tree_walk.h"

namespace panal {
namespace {

using From = CopyItem::From;

class LayerWriter {
 public:
  LayerWriter(const CopyJob& job, std::optional<ModeChange> chmod, const std::vector<Fd>& trees, int base,
              const CopyPlan& plan)
      : job_(job), chmod_(std::move(chmod)), trees_(trees), base_(base), plan_(plan) {}
  Result<> write(int fd);

 private:
  Result<> put_made(const std::string& path, const CopyItem& item);
  Result<> put_node(const std::string& path, const CopyItem& item);
  Result<> put_text(const std::string& path, const CopyItem& item);
  Result<> put_archive(size_t archive);
  Result<> put_entry(ArchiveReader& reader, archive_entry* from,
                     const std::vector<const std::string*>& paths);
  void set_mode(struct stat& info) const;
  void set_time(struct stat& info, int64_t seconds) const {
    info.st_mtim.tv_sec = job_.epoch ? std::min(seconds, *job_.epoch) : seconds;
  }
  struct stat fresh(mode_t mode, int64_t size = 0) const;

  const CopyJob& job_;
  std::optional<ModeChange> chmod_;
  const std::vector<Fd>& trees_;
  int base_;
  const CopyPlan& plan_;
  TarWriter tar_;
  Entry entry_ = new_entry();
  std::map<std::tuple<size_t, dev_t, ino_t>, std::string> linked_;  // first name of files that have several
};

void LayerWriter::set_mode(struct stat& info) const {
  if (chmod_ && !S_ISLNK(info.st_mode)) info.st_mode = chmod_->apply(info.st_mode);
}

/// Of what is in no tree.
struct stat LayerWriter::fresh(mode_t mode, int64_t size) const {
  struct stat info{};
  info.st_mode = mode, info.st_uid = job_.uid, info.st_gid = job_.gid, info.st_size = size;
  set_time(info, job_.now);
  return info;
}

Result<> LayerWriter::put_made(const std::string& path, const CopyItem& item) {
  struct stat info = fresh(S_IFDIR | 0755);
  if (item.has_mode) set_mode(info);
  set_entry(entry_.get(), path, info);
  return tar_.head(entry_.get());
}

Result<> LayerWriter::put_text(const std::string& path, const CopyItem& item) {
  const auto content = unbase64(job_.texts[item.source].content);
  if (!content) return fail(Code::kInternal, "a here-document is no base64");
  struct stat info = fresh(S_IFREG | 0644, std::ssize(*content));
  set_mode(info);
  set_entry(entry_.get(), path, info);
  TRYV(tar_.head(entry_.get()));
  return tar_.data(*content);
}

/// What has gone meanwhile, or has become something else, is left out.
Result<> LayerWriter::put_node(const std::string& path, const CopyItem& item) {
  const bool of_base = item.from == From::kBase || item.from == From::kLink;
  const int root = of_base ? base_ : trees_[item.source].get();
  const std::string& at = item.from == From::kBase ? path : item.path;
  Fd file;
  struct stat info;
  if (S_ISREG(item.kind) || S_ISDIR(item.kind)) {
    file = open_plain(root, at, O_RDONLY | (S_ISDIR(item.kind) ? O_DIRECTORY : 0));
    if (!file && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR)) return {};
    if (!file || ::fstat(file.get(), &info) != 0) return fail(sys_error(errno, "open", at));
    for (const auto& [name, value] : kept_attributes(file.get()))
      archive_entry_xattr_add_entry(entry_.get(), name.c_str(), value.data(), value.size());
  } else if (::fstatat(root, at.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return {};
  }
  if ((info.st_mode & S_IFMT) != item.kind) return {};
  if (!of_base) {
    if (job_.owned || !job_.trees[item.source].stage) info.st_uid = job_.uid, info.st_gid = job_.gid;
    set_mode(info);
    set_time(info, info.st_mtim.tv_sec);
  }
  set_entry(entry_.get(), path, info);
  if (S_ISLNK(item.kind)) archive_entry_set_symlink(entry_.get(), item.link.c_str());
  if (!S_ISDIR(item.kind) && (of_base || info.st_nlink > 1)) {
    const auto [first, is_new] = linked_.try_emplace({item.source, info.st_dev, info.st_ino}, path);
    if (!is_new) return tar_.hard_link(entry_.get(), first->second);
  }
  TRYV(tar_.head(entry_.get()));
  return S_ISREG(item.kind) ? tar_.content(file.get(), info.st_size, at) : Result<>{};
}

Result<> LayerWriter::put_entry(ArchiveReader& reader, archive_entry* from,
                                const std::vector<const std::string*>& paths) {
  struct stat info{};
  info.st_mode = static_cast<mode_t>(archive_entry_filetype(from)) | archive_entry_perm(from),
  info.st_rdev = archive_entry_rdev(from), info.st_size = archive_entry_size(from);
  info.st_uid = job_.owned ? job_.uid : static_cast<uid_t>(archive_entry_uid(from)),
  info.st_gid = job_.owned ? job_.gid : static_cast<gid_t>(archive_entry_gid(from));
  set_time(info, archive_entry_mtime(from));
  for (const auto* path : paths) {
    archive_entry_clear(entry_.get());
    set_entry(entry_.get(), *path, info);
    if (path != paths[0]) {
      TRYV(tar_.hard_link(entry_.get(), *paths[0]));
      continue;
    }
    if (S_ISLNK(info.st_mode)) archive_entry_set_symlink(entry_.get(), archive_entry_symlink(from));
    archive_entry_xattr_reset(from);
    const char* key;
    const void* value;
    size_t size;
    while (archive_entry_xattr_next(from, &key, &value, &size) == ARCHIVE_OK)
      if (is_kept_attribute(key)) archive_entry_xattr_add_entry(entry_.get(), key, value, size);
    TRYV(tar_.head(entry_.get()));
    if (S_ISREG(info.st_mode)) TRYV(reader.content(tar_, info.st_size));
  }
  return {};
}

Result<> LayerWriter::put_archive(size_t archive) {
  std::map<int64_t, std::vector<const std::string*>> wanted;
  for (const auto& [path, item] : plan_.items())
    if (item.from == From::kArchive && item.source == archive) wanted[item.entry].push_back(&path);
  ArchiveReader reader;
  TRYV(reader.open(plan_.archives()[archive].file.get(), plan_.archives()[archive].name));
  for (int64_t number = 0; !wanted.empty(); ++number) {
    TRY(archive_entry* const entry, reader.next());
    if (!entry)
      return fail(Code::kInternal, plan_.archives()[archive].name + ": has changed while it was read");
    const auto it = wanted.find(number);
    if (it == wanted.end()) continue;
    TRYV(put_entry(reader, entry, it->second));
    wanted.erase(it);
  }
  return {};
}

Result<> LayerWriter::write(int fd) {
  TRYV(tar_.open(fd));
  for (const auto& [path, item] : plan_.items()) {
    archive_entry_clear(entry_.get());
    if (item.from == From::kArchive) continue;
    TRYV(item.from == From::kMade   ? put_made(path, item)
         : item.from == From::kText ? put_text(path, item)
                                    : put_node(path, item));
  }
  for (size_t i = 0; i < plan_.archives().size(); ++i) TRYV(put_archive(i));
  return tar_.close();
}

}  // namespace

Result<> write_copy(const CopyJob& job, const std::vector<Fd>& trees, int base, int to) {
  std::optional<ModeChange> chmod;
  if (!job.chmod.empty()) {
    TRY(chmod, ModeChange::parse(job.chmod));
  }
  TRY(const auto taken, take_sources(job, trees));
  TRY(CopyPlan plan, CopyPlan::make(job, trees, base));
  for (const auto& t : taken) TRYV(plan.add(t));
  return plan.changes_nothing() ? Result<>{}
                                : LayerWriter(job, std::move(chmod), trees, base, plan).write(to);
}

}  // namespace panal
