#include "sys/files/confined_files.h"

#include <signal.h>

#include "base/json.h"
#include "image/tree_job.h"
#include "sys/process/helper.h"

namespace panal {

static constexpr size_t kMaxStat = 64 << 10;

static TreeJob job_of(const Tree& tree) {
  TreeJob job;
  job.root = tree.root, job.read_only = tree.read_only;
  for (const auto& m : tree.mounts) job.binds.push_back({m.source, m.target, m.read_only});
  return job;
}

// The use of the tree ends with the process, even while a client is still to be heard out.
static std::function<void(int)> holding(std::shared_ptr<TreeUse> use) {
  return [use = std::move(use)](int pid) mutable {
    if (!use) return;
    if (pid) use->stop = [pid] { ::kill(pid, SIGKILL); };
    else use->stop = nullptr, use.reset();
  };
}

Task<Result<std::string>> ConfinedFiles::stat(Tree tree, std::string path) {
  std::string text;
  const Sink sink = [&text](std::string_view data) -> Task<Result<>> {
    if (text.size() + data.size() > kMaxStat) co_return fail(Code::kInternal, "panal-unpack stat says too much");
    text.append(data);
    co_return Result<>{};
  };
  const std::string job = to_text(job_of(tree));
  CO_TRYV(co_await run_helper(loop_, {helper_, "stat", job, path}, {}, sink, holding(std::move(tree.use))));
  co_return text.substr(0, text.find('\n'));
}

Task<Result<>> ConfinedFiles::read(Tree tree, std::string path, std::function<Task<Result<>>(std::string stat)> begin, Sink sink) {
  std::string head;  // the first line is the path stat, the archive follows
  bool begun = false;
  const Sink split_off = [&](std::string_view data) -> Task<Result<>> {
    if (begun) co_return co_await sink(data);
    const size_t end = data.find('\n');
    head.append(data.substr(0, end));
    if (head.size() > kMaxStat) co_return fail(Code::kInternal, "panal-unpack get says too much");
    if (end == std::string_view::npos) co_return Result<>{};
    begun = true;
    CO_TRYV(co_await begin(head));
    if (data.size() > end + 1) co_return co_await sink(data.substr(end + 1));
    co_return Result<>{};
  };
  const std::string job = to_text(job_of(tree));
  co_return co_await run_helper(loop_, {helper_, "get", job, path}, {}, split_off, holding(std::move(tree.use)));
}

static Task<Result<>> nothing(std::string_view) { co_return Result<>{}; }

Task<Result<>> ConfinedFiles::write(Tree tree, std::string path, Placing placing, Source source) {
  TreeJob job = job_of(tree);
  job.keep_kinds = placing.keep_kinds;
  if (placing.owner) job.set_owner = true, job.uid = placing.owner->first, job.gid = placing.owner->second;
  co_return co_await run_helper(loop_, {helper_, "put", to_text(job), path}, std::move(source), nothing, holding(std::move(tree.use)));
}

Task<Result<>> ConfinedFiles::export_root(Tree tree, Sink sink) {
  const std::string job = to_text(job_of(tree));
  co_return co_await run_helper(loop_, {helper_, "export", job}, {}, std::move(sink), holding(std::move(tree.use)));
}

Task<Result<>> ConfinedFiles::layer(std::string upper, Sink sink) {
  TreeJob job;
  job.root = std::move(upper), job.read_only = true;
  co_return co_await run_helper(loop_, {helper_, "upper", to_text(job)}, {}, std::move(sink));
}

Task<Result<>> ConfinedFiles::changes(std::string upper, std::vector<std::string> layers, Sink sink) {
  TreeJob job;
  job.root = std::move(upper), job.layers = std::move(layers);
  co_return co_await run_helper(loop_, {helper_, "changes", to_text(job)}, {}, std::move(sink));
}

}  // namespace panal
