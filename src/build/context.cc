// Where a build's files come from: a tar in the request, or an address.
#include <fcntl.h>

#include "base/fd.h"
#include "base/text.h"
#include "build/builder.h"
#include "ports/file_source.h"

namespace panal {

static constexpr int64_t kMostRemote = 64LL << 30;

bool is_repository(const std::string& remote) {
  const std::string address = remote.substr(0, remote.find('#'));
  return address.starts_with("git://") || address.starts_with("git@") || address.starts_with("ssh://") ||
         address.starts_with("github.com/") ||
         ((address.starts_with("http://") || address.starts_with("https://")) && address.ends_with(".git"));
}

// "URL#ref:folder" (the reference's "Git repositories").
Task<Result<std::string>> Build::check_out(std::string remote, bool keep_git_dir, std::string commit) {
  const size_t hash = remote.find('#');
  const std::string fragment = hash == std::string::npos ? "" : remote.substr(hash + 1);
  RepositoryWish wish;
  wish.url = remote.substr(0, hash), wish.ref = fragment.substr(0, fragment.find(':')),
  wish.dir = new_path("repository"), wish.keep_git_dir = keep_git_dir, wish.commit = std::move(commit);
  if (wish.url.starts_with("github.com/")) wish.url = "https://" + wish.url;
  CO_TRYV(make_dirs(wish.dir, 0755));
  const std::string dir = wish.dir, folder = fragment.find(':') == std::string::npos
                                                 ? ""
                                                 : fragment.substr(fragment.find(':') + 1);
  CO_TRYV(co_await parts_.repositories.check_out(std::move(wish)));
  if (folder.empty()) co_return dir;
  const std::string shown = new_path("bind");
  CO_TRYV(parts_.layers.bind_in_root(dir, folder, shown));
  co_return shown;
}

// The CLI's tar with a Dockerfile from standard input ends with its last file's last byte; the block is
// filled up here.
static Source whole_blocks(Source body, Hasher& hasher) {
  const auto bytes = std::make_shared<size_t>(0);
  return [body = std::move(body), bytes, &hasher]() -> Task<Result<std::string>> {
    CO_TRY(std::string piece, co_await body());
    if (piece.empty() && *bytes % 512) piece.assign(512 - *bytes % 512, '\0');
    *bytes += piece.size();
    hasher.add(piece);
    co_return piece;
  };
}

// Everything in a context is root's.
Task<Result<>> Build::unpack(Source tar) {
  Tree tree;
  tree.root = context_.root;
  Placing placing;
  placing.owner = {0, 0};
  co_return co_await parts_.files.write(std::move(tree), "/", placing, std::move(tar));
}

Task<Result<>> Build::take_context(Source body) {
  if (!request_.remote.empty()) co_return co_await take_remote();
  const auto hasher = parts_.layers.hasher();
  CO_TRYV(co_await unpack(whole_blocks(std::move(body), *hasher)));
  context_.identity = hasher->end();
  co_return Result<>{};
}

Task<Result<>> Build::take_remote() {
  const std::string& url = request_.remote;
  if (is_repository(url)) {
    CO_TRY(context_.root, co_await check_out(url, false));
    co_return Result<>{};
  }
  if (!url.starts_with("http://") && !url.starts_with("https://"))
    co_return fail(Code::kInvalid,
                   "remote context is neither a URL nor a git repository: " + url.substr(0, 256));
  const std::string file = dir_ + "/remote";
  HttpCall get{.url = url, .save_file = file, .limit_bytes = kMostRemote, .halt = halt_};
  CO_TRY(HttpAnswer answer, co_await parts_.http.exchange(std::move(get)));
  if (answer.status != 200)
    co_return fail(Code::kInvalid,
                   "error downloading remote context " + url + ": status " + std::to_string(answer.status));
  const std::string type = answer.headers["content-type"].substr(0, answer.headers["content-type"].find(';'));
  if (type == "text/plain") {  // a Dockerfile by itself
    CO_TRY(const std::string text, read_file(file, 4 << 20));
    request_.dockerfile = "Dockerfile";
    co_return write_file(context_.root + "/Dockerfile", text);
  }
  const auto opened = std::make_shared<Fd>(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!*opened) co_return fail(sys_error(errno, "open", file));
  co_return co_await unpack(file_source(parts_.loop, opened));
}

}  // namespace panal
