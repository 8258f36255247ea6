#include "sys/process/git.h"

#include "base/fd.h"
#include "base/text.h"
#include "sys/process/spawn.h"

namespace panal {

static Task<Result<std::string>> git(AsioLoop& loop, std::string dir, std::vector<std::string> words) {
  std::vector<std::string> argv = {"env",
                                   "GIT_TERMINAL_PROMPT=0",
                                   "GIT_CONFIG_NOSYSTEM=1",
                                   "GIT_CONFIG_GLOBAL=/dev/null",
                                   "GIT_SSH_COMMAND=ssh -oBatchMode=yes",
                                   "git",
                                   "-C",
                                   dir,
                                   "-c",
                                   "protocol.file.allow=never",
                                   "-c",
                                   "protocol.ext.allow=never",
                                   "-c",
                                   "core.hooksPath=/dev/null",
                                   "-c",
                                   "safe.directory=*",
                                   "-c",
                                   "advice.detachedHead=false"};
  argv.insert(argv.end(), words.begin(), words.end());
  CO_TRY(const Output done, co_await run_program(loop, std::move(argv), {}, 600s));
  if (done.status == 127)
    co_return fail(Code::kInvalid, "a git repository needs the program git on this machine");
  if (done.status != 0)
    co_return fail(Code::kInvalid, "git " + words[0] + ": " + std::string(trim(done.err)).substr(0, 1000));
  co_return std::string(trim(done.out));
}

Task<Result<>> GitProgram::check_out(RepositoryWish wish) {
  const std::string ref = wish.ref.empty() ? "HEAD" : wish.ref;
  if (ref.starts_with('-') || wish.url.starts_with('-'))
    co_return fail(Code::kInvalid, "invalid git reference: " + wish.ref.substr(0, 128));
  const auto run = [this, &wish](std::vector<std::string> words) {
    return git(loop_, wish.dir, std::move(words));
  };
  CO_TRYV(co_await run({"init", "-q"}));
  auto fetched = co_await run({"fetch", "-q", "--depth", "1", "--no-tags", wish.url, ref});
  std::string what = "FETCH_HEAD";
  if (!fetched && wish.ref.empty()) {  // a plain web server knows no shallow clones
    if (co_await run({"fetch", "-q", "--no-tags", wish.url, ref})) fetched = "";
  } else if (!fetched) {  // a commit that the server gives only with its history
    if (!co_await run({"fetch", "-q", "--no-tags", wish.url, "+refs/heads/*:refs/remotes/origin/*",
                       "+refs/tags/*:refs/tags/*"}))
      co_return fail(fetched.error());
    what = ref, fetched = "";
  }
  CO_TRYV(fetched);
  CO_TRYV(co_await run({"checkout", "-q", "--force", what}));
  if (!wish.commit.empty()) {
    CO_TRY(const std::string commit, co_await run({"rev-parse", "HEAD"}));
    if (!commit.starts_with(wish.commit))
      co_return fail(Code::kInvalid, "expected checksum to match " + wish.commit + ", got " + commit);
  }
  if (exists(wish.dir + "/.gitmodules")) {
    CO_TRYV(co_await run({"remote", "add", "origin", wish.url}));
    CO_TRYV(co_await run({"submodule", "update", "-q", "--init", "--recursive", "--depth", "1"}));
  }
  const std::string kept = wish.dir + "/.git";
  if (wish.keep_git_dir) co_return Result<>{};
  const auto remove = [kept] { return remove_tree(kept); };
  co_return co_await blocking(loop_, remove, Lane::kLong);
}

}  // namespace panal
