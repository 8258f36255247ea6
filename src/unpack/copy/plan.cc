#include "unpack/copy/plan.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "unpack/copy/archive.h"
#include "unpack/paths.h"
#include "unpack/tree_walk.h"

namespace panal {
namespace {

using From = CopyItem::From;

std::unexpected<Error> no_folder(const std::string& path) {
  return fail(Code::kInvalid, "cannot copy to non-directory: /" + path);
}

}  // namespace

Result<CopyPlan> CopyPlan::make(const CopyJob& job, const std::vector<Fd>& trees, int base) {
  CopyPlan plan(trees, base);
  if (base < 0) {
    plan.is_folder_ = true;
    return plan;
  }
  const std::string asked = absolute_path(job.destination);
  bool planned = false;
  TRY(plan.destination_,
      follow_links(asked, [&](const std::string& at) { return plan.link_at(at, planned); }));
  TRY(const There there, plan.look(plan.destination_));
  plan.is_folder_ = there.kind == S_IFDIR || asked.ends_with('/') || base_name(asked) == "." || job.parents;
  if (job.sources.empty() && job.texts.empty()) {
    if (there.kind && there.kind != S_IFDIR)
      return fail(Code::kInvalid, "Cannot mkdir: " + job.destination + " is not a directory");
    TRYV(plan.make_destination());
  }
  return plan;
}

bool CopyPlan::changes_nothing() const {
  return std::ranges::all_of(items_, [](const auto& item) { return item.second.from == From::kBase; });
}

/// Whether what the root has in a folder is there still; the folder has no links in its path.
bool CopyPlan::base_shows_in(const std::string& folder) const {
  if (folder.empty()) return base_ >= 0;
  if (const auto it = items_.find(folder); it != items_.end()) return it->second.shows_base;
  return base_shows_in(folder_of(folder));
}

Result<CopyPlan::There> CopyPlan::look(const std::string& path) const {
  if (path.empty()) return There{S_IFDIR, base_ >= 0};
  if (const auto it = items_.find(path); it != items_.end())
    return There{it->second.kind, it->second.shows_base};
  if (!base_shows_in(folder_of(path))) return There{};
  struct stat info;
  if (::fstatat(base_, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0)
    return There{info.st_mode & S_IFMT, S_ISDIR(info.st_mode)};
  if (errno == ENOENT || errno == ENOTDIR) return There{};
  return fail(sys_error(errno, "stat", "/" + path));
}

std::optional<std::string> CopyPlan::link_at(const std::string& path, bool& planned) const {
  if (const auto it = items_.find(path); it != items_.end()) {
    if (!S_ISLNK(it->second.kind)) return std::nullopt;
    planned = true;
    return it->second.link;
  }
  return base_shows_in(folder_of(path)) ? link_target(base_, path) : std::nullopt;
}

/// Every folder above `path` is in the layer: one of the root as it is there, so that the layer changes
/// nothing about it.
Result<> CopyPlan::make_folders_above(const std::string& path) {
  const std::string folder = folder_of(path);
  if (folder.empty()) return {};
  if (const auto it = items_.find(folder); it != items_.end())
    return S_ISDIR(it->second.kind) ? Result<>{} : no_folder(folder);
  TRYV(make_folders_above(folder));
  TRY(const There there, look(folder));
  if (there.kind && there.kind != S_IFDIR) return no_folder(folder);
  return put(folder, {.from = there.kind ? From::kBase : From::kMade, .shows_base = there.kind != 0});
}

Result<> CopyPlan::put(const std::string& path, CopyItem item) {
  if (item.from != From::kBase && path.compare(path.rfind('/') + 1, 4, ".wh.") == 0)
    return fail(Code::kInvalid, "/" + path + ": a layer cannot hold a file whose name begins with .wh.");
  if (!S_ISDIR(item.kind))
    items_.erase(items_.lower_bound(path + "/"), items_.lower_bound(path + "0"));  // '0' follows '/'
  items_.insert_or_assign(path, std::move(item));
  return {};
}

Result<> CopyPlan::make_destination() {
  TRY(const There there, look(destination_));
  if (there.kind == S_IFDIR) return {};
  if (there.kind) return no_folder(destination_);
  TRYV(make_folders_above(destination_));
  return put(destination_, {.from = From::kMade, .has_mode = true});
}

Result<> CopyPlan::add_node(const CopyTaken& taken, const CopyNode& node, const std::string& path) {
  TRY(const There there, look(path));
  if (node.kind == S_IFDIR && there.kind && there.kind != S_IFDIR) return no_folder(path);
  if (node.kind != S_IFDIR && there.kind == S_IFDIR)
    return fail(Code::kInvalid, "cannot replace to directory /" + path + " with file");
  if (node.implied && there.kind) return {};
  TRYV(make_folders_above(path));
  CopyItem item{.from = taken.kind == CopyTaken::Kind::kText ? From::kText : From::kTree,
                .source = taken.from,
                .path = node.path,
                .kind = node.kind,
                .shows_base = there.shows_base};
  if (S_ISLNK(node.kind)) {
    auto target = link_target(trees_[taken.from].get(), node.path);
    if (!target) return {};  // it has gone meanwhile
    item.link = std::move(*target);
  }
  return put(path, std::move(item));
}

Result<> CopyPlan::add(const CopyTaken& taken) {
  using Kind = CopyTaken::Kind;
  if (taken.kind == Kind::kArchive) return add_archive(taken);
  if (taken.kind == Kind::kFile || taken.kind == Kind::kText)
    return add_node(taken, taken.nodes[0],
                    is_folder_ ? below(destination_, taken.nodes[0].place) : destination_);
  TRYV(make_destination());
  for (const auto& node : taken.nodes)
    if (!node.place.empty()) TRYV(add_node(taken, node, below(destination_, node.place)));
  return {};
}

Result<> CopyPlan::add_archive(const CopyTaken& taken) {
  TRYV(make_destination());
  archives_.push_back(
      {open_plain(trees_[taken.from].get(), taken.nodes[0].path, O_RDONLY), taken.nodes[0].place});
  if (!archives_.back().file) return fail(sys_error(errno, "open", taken.nodes[0].path));
  ArchiveReader reader;
  TRYV(reader.open(archives_.back().file.get(), archives_.back().name));
  for (int64_t number = 0;; ++number) {
    TRY(archive_entry* const entry, reader.next());
    if (!entry) return {};
    if (auto added = add_entry(entry, number); !added)
      return fail(wrap(archives_.back().name, added.error()));
  }
}

/// Where an entry's name leads: links in it are followed, but for its last part.
Result<std::string> CopyPlan::entry_path(const std::string& name) const {
  const auto inside = inside_path(name);
  bool planned = false;
  const std::string whole = inside ? below(destination_, *inside) : "";
  TRY(const std::string folder, follow_links(inside ? folder_of(whole) : "",
                                             [&](const std::string& at) { return link_at(at, planned); }));
  const bool leads_out =
      planned && !destination_.empty() && folder != destination_ && !folder.starts_with(destination_ + "/");
  if (!inside || leads_out) return fail(Code::kInvalid, name + " is outside of /" + destination_);
  return inside->empty() ? destination_ : below(folder, whole.substr(whole.rfind('/') + 1));
}

Result<> CopyPlan::add_hard_link(const std::string& path, const std::string& target) {
  TRY(const std::string first, entry_path(target));
  TRY(const There there, look(first));
  if (!there.kind || there.kind == S_IFDIR)
    return fail(Code::kInvalid, "link " + target + " /" + path + ": no such file or directory");
  if (first == path) return {};
  auto it = items_.find(first);
  if (it == items_.end()) {  // a file of the root comes into the layer, so that its names stay one file
    TRYV(make_folders_above(first));
    CopyItem file{.from = From::kLink, .path = first, .kind = there.kind};
    if (S_ISLNK(file.kind)) file.link = link_target(base_, first).value_or("");
    TRYV(put(first, std::move(file)));
    it = items_.find(first);
  }
  CopyItem same = it->second;
  return put(path, std::move(same));
}

Result<> CopyPlan::add_entry(archive_entry* entry, int64_t number) {
  const char* name = archive_entry_pathname(entry);
  if (!name) return fail(Code::kInvalid, "archive/tar: invalid tar header");
  TRY(const std::string path, entry_path(name));
  if (path.empty()) return {};  // the root itself stays as it is
  TRYV(make_folders_above(path));
  if (const char* hard = archive_entry_hardlink(entry)) return add_hard_link(path, hard);
  CopyItem item{.from = From::kArchive,
                .source = archives_.size() - 1,
                .entry = number,
                .kind = static_cast<mode_t>(archive_entry_filetype(entry))};
  if (item.kind != S_IFREG && item.kind != S_IFDIR && item.kind != S_IFLNK && item.kind != S_IFCHR &&
      item.kind != S_IFBLK && item.kind != S_IFIFO)
    return fail(Code::kInvalid, "unhandled kind of entry: " + std::string(name));
  if (const char* target = archive_entry_symlink(entry); target && S_ISLNK(item.kind)) item.link = target;
  if (item.kind == S_IFDIR) {
    TRY(const There there, look(path));
    item.shows_base = there.kind == S_IFDIR && there.shows_base;
  }
  return put(path, std::move(item));
}

}  // namespace panal
