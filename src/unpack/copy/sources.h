// Which files of its trees a COPY or ADD takes (Dockerfile reference, "COPY"). A symlink that is named as a
// source, or matches a wildcard, stands for what it leads to; links below a folder, and below what --parents
// keeps, are links.
#pragma once
#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "image/copy_job.h"

namespace panal {

struct CopyNode {
  std::string path;      // in its tree, without links; no leading slash
  std::string place;     // where below the destination; "" is the destination itself
  mode_t kind = 0;       // S_IFREG ...
  bool implied = false;  // a folder that is only there for what lies in it: one that exists stays as it is
};

struct CopyTaken {
  enum class Kind { kFile, kFolder, kParents, kArchive, kText };
  Kind kind = Kind::kFile;
  size_t from = 0;  // which tree, or which text
  std::vector<CopyNode> nodes;
};

/// What the sources and texts of `job` name in `trees`, in their order.
Result<std::vector<CopyTaken>> take_sources(const CopyJob& job, const std::vector<Fd>& trees);
/// A file, folder or link of a tree, itself; nothing in `path` is followed.
Fd open_plain(int root, const std::string& path, uint64_t flags);

}  // namespace panal
