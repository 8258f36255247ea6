#include "sys/files/confined_files.h"

#include <signal.h>

#include "base/json.h"
#include "image/copy_job.h"
#include "image/tree_job.h"
#include "sys/process/helper.h"

namespace panal {

static constexpr size_t kMaxStat = 64 << 10;

static TreeJob job_of(const Tree& tree) {
  TreeJob job;
  job.root = tree.root, job.read_only = tree.read_only;
  job.user_ns = tree.user_ns, job.root_uid = tree.root_uid, job.root_gid = tree.root_gid;
  for (const auto& m : tree.mounts) job.binds.push_back({m.source, m.target, m.read_only});
  return job;
}

// The use of the tree ends with the process, even while a client is still to be heard out.
static std::function<void(int)> holding(std::shared_ptr<TreeUse> use) {
  return [use = std::move(use)](int pid) mutable {
    if (!use) return;
    if (pid)
      use->stop = [pid] { ::kill(pid, SIGKILL); };
    else
      use->stop = nullptr, use.reset();
  };
}

// A short answer of one verb.
static Sink line_into(std::string& text, const char* verb) {
  return [&text, verb](std::string_view data) -> Task<Result<>> {
    if (text.size() + data.size() > kMaxStat)
      co_return fail(Code::kInternal, std::string("panal-unpack ") + verb + " says too much");
    text.append(data);
    co_return Result<>{};
  };
}

Task<Result<std::string>> ConfinedFiles::stat(Tree tree, std::string path) {
  std::string text;
  const Sink sink = line_into(text, "stat");
  const std::string job = to_text(job_of(tree));
  CO_TRYV(co_await run_helper(loop_, {helper_, "stat", job, path}, {}, sink, holding(std::move(tree.use))));
  co_return text.substr(0, text.find('\n'));
}

Task<Result<>> ConfinedFiles::read(Tree tree, std::string path,
                                   std::function<Task<Result<>>(std::string stat)> begin, Sink sink) {
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
  co_return co_await run_helper(loop_, {helper_, "get", job, path}, {}, split_off,
                                holding(std::move(tree.use)));
}

static Task<Result<>> nothing(std::string_view) { co_return Result<>{}; }

Task<Result<>> ConfinedFiles::write(Tree tree, std::string path, Placing placing, Source source) {
  TreeJob job = job_of(tree);
  job.keep_kinds = placing.keep_kinds;
  if (placing.owner) job.set_owner = true, job.uid = placing.owner->first, job.gid = placing.owner->second;
  co_return co_await run_helper(loop_, {helper_, "put", to_text(job), path}, std::move(source), nothing,
                                holding(std::move(tree.use)));
}

Task<Result<>> ConfinedFiles::export_root(Tree tree, Sink sink) {
  const std::string job = to_text(job_of(tree));
  co_return co_await run_helper(loop_, {helper_, "export", job}, {}, std::move(sink),
                                holding(std::move(tree.use)));
}

Task<Result<>> ConfinedFiles::layer(std::string upper, std::optional<int64_t> epoch, Sink sink) {
  TreeJob job;
  job.epoch = epoch;
  job.root = std::move(upper), job.read_only = true;
  co_return co_await run_helper(loop_, {helper_, "upper", to_text(job)}, {}, std::move(sink));
}

Task<Result<>> ConfinedFiles::changes(std::string upper, std::vector<std::string> layers, Sink sink) {
  TreeJob job;
  job.root = std::move(upper), job.layers = std::move(layers);
  co_return co_await run_helper(loop_, {helper_, "changes", to_text(job)}, {}, std::move(sink));
}

static CopyJob copy_job(const CopyWish& wish) {
  CopyJob job;
  for (const auto& t : wish.trees) job.trees.push_back({t.ignore, t.stage});
  for (const auto& s : wish.sources)
    job.sources.push_back({static_cast<int64_t>(s.tree), s.pattern, s.unpack});
  for (const auto& [name, content] : wish.texts) job.texts.push_back({name, base64(content)});
  job.destination = wish.destination, job.exclude = wish.exclude, job.parents = wish.parents;
  job.uid = wish.owner.first, job.gid = wish.owner.second, job.owned = wish.owned;
  job.chmod = wish.chmod,
  job.now = std::chrono::floor<std::chrono::seconds>(wish.now).time_since_epoch().count(),
  job.epoch = wish.epoch;
  return job;
}

// An empty root in memory, and in it what is copied and, when there is one, what it is copied to. All of it
// read-only.
static TreeJob trees_of(const CopyWish& wish, const std::string& base) {
  TreeJob job;
  job.read_only = true;
  for (const auto& t : wish.trees) job.binds.push_back({t.root, copy_tree_at(job.binds.size()), true});
  if (!base.empty()) job.binds.push_back({base, kCopyBase, true});
  return job;
}

static Source once(std::string text) {
  return
      [text = std::move(text)]() mutable -> Task<Result<std::string>> { co_return std::exchange(text, {}); };
}

Task<Result<CopyDigest>> ConfinedFiles::digest(CopyWish wish) {
  std::string text;
  const Sink sink = line_into(text, "digest");
  CO_TRYV(co_await run_helper(loop_, {helper_, "digest", to_text(trees_of(wish, ""))},
                              once(to_text(copy_job(wish))), sink));
  CO_TRY(const auto line, from_text<CopyDigestLine>(text));
  co_return CopyDigest{line.kind, line.digest};
}

Task<Result<>> ConfinedFiles::copy_layer(std::string base, CopyWish wish, Sink sink) {
  co_return co_await run_helper(loop_, {helper_, "copy", to_text(trees_of(wish, base))},
                                once(to_text(copy_job(wish))), std::move(sink));
}

}  // namespace panal
