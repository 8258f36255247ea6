// What a copy makes of the root file system below it: every path that its layer holds, before a byte is read.
// What comes later wins; a folder does not become a file, nor a file a folder, but by an archive.
//
// Symlinks of the root are followed in the destination and in the paths of archives' entries, as a process
// with this root would follow them; links that an archive brings itself, only as far as they stay inside the
// destination.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "unpack/copy/sources.h"

struct archive_entry;

namespace panal {

struct CopyItem {
  enum class From { kBase, kLink, kMade, kTree, kText, kArchive };
  From from = From::kMade;
  size_t source = 0;  // which tree, text or archive
  std::string path;   // kTree: in there; kLink: of the root's file that has this name, too
  int64_t entry = 0;  // kArchive: which one of its entries; several items of one are hard links
  mode_t kind = S_IFDIR;
  std::string link;         // where a symlink leads
  bool shows_base = false;  // a folder: what the root has in it is still there
  bool has_mode = false;    // a folder that is made: `mode` is meant for it
};

class CopyPlan {
 public:
  /// `base` < 0: an empty root file system. The trees and archives must stay open.
  static Result<CopyPlan> make(const CopyJob& job, const std::vector<Fd>& trees, int base);
  Result<> add(const CopyTaken& taken);
  /// By path, without leading slash; a folder comes before what is in it.
  const std::map<std::string, CopyItem>& items() const { return items_; }
  struct Archive {
    Fd file;
    std::string name;
  };
  const std::vector<Archive>& archives() const { return archives_; }
  bool changes_nothing() const;

 private:
  struct There {
    mode_t kind = 0;  // 0: nothing
    bool shows_base = false;
  };
  CopyPlan(const std::vector<Fd>& trees, int base) : trees_(trees), base_(base) {}
  Result<There> look(const std::string& path) const;
  bool base_shows_in(const std::string& folder) const;
  std::optional<std::string> link_at(const std::string& path, bool& planned) const;
  Result<> make_folders_above(const std::string& path);
  Result<> make_destination();
  Result<> put(const std::string& path, CopyItem item);
  Result<> add_node(const CopyTaken& taken, const CopyNode& node, const std::string& path);
  Result<> add_archive(const CopyTaken& taken);
  Result<> add_entry(archive_entry* entry, int64_t number);
  Result<std::string> entry_path(const std::string& name) const;
  Result<> add_hard_link(const std::string& path, const std::string& target);

  const std::vector<Fd>& trees_;
  int base_;
  std::string destination_;  // without links and slashes at its ends
  bool is_folder_ = false;   // the destination is one, or is said to be
  std::map<std::string, CopyItem> items_;
  std::vector<Archive> archives_;
};

}  // namespace panal
