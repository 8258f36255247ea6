// The verbs `digest` and `copy`.
#include <fcntl.h>

#include <cerrno>

#include "base/json.h"
#include "unpack/copy/copy.h"
#include "unpack/unpack.h"

namespace panal {
namespace {

Result<CopyJob> read_job() {
  TRY(const std::string text, read_all(0, 256 << 20));
  return from_text<CopyJob>(text);
}

Result<std::vector<Fd>> open_trees(const CopyJob& job) {
  std::vector<Fd> trees;
  for (size_t i = 0; i < job.trees.size(); ++i) {
    trees.emplace_back(::open(copy_tree_at(i).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!trees.back()) return fail(Code::kInternal, sys_error(errno, "open", copy_tree_at(i)).message);
  }
  return trees;
}

}  // namespace

Result<> digest_sources(const TreeJob& tree) {
  TRY(const CopyJob job, read_job());
  TRYV(lock_in(tree));
  TRY(const auto trees, open_trees(job));
  TRY(const auto line, digest_copy(job, trees));
  return write_all(1, to_text(line) + "\n");
}

Result<> copy_sources(const TreeJob& tree) {
  TRY(const CopyJob job, read_job());
  TRYV(lock_in(tree));
  TRY(const auto trees, open_trees(job));
  const Fd base(::open(kCopyBase, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!base) return fail(Code::kInternal, sys_error(errno, "open", kCopyBase).message);
  return write_copy(job, trees, base.get(), 1);
}

}  // namespace panal
