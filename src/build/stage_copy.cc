// COPY and ADD: what they name is digested where it lies, and becomes a layer only when no step before had
// the same.
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>

#include "base/fd.h"
#include "base/path.h"
#include "base/text.h"
#include "build/stage_run.h"
#include "image/mode_change.h"

namespace panal {

static constexpr int64_t kMostDownload = 64LL << 30;

static bool is_url(const std::string& word) {
  return word.starts_with("http://") || word.starts_with("https://");
}

// "user:group" of --chown against the files of the image; a user alone names the group, too.
static Result<std::pair<uint32_t, uint32_t>> owner_of(const std::string& text, Layers& layers,
                                                      const std::string& root) {
  const size_t colon = text.find(':');
  const std::string user = text.substr(0, colon),
                    group = colon == std::string::npos ? user : text.substr(colon + 1);
  const std::string passwd = layers.read_in_root(root, "/etc/passwd").value_or(""),
                    groups = layers.read_in_root(root, "/etc/group").value_or("");
  TRY(const ResolvedUser who, resolve_user(user.empty() ? "0" : user, {}, passwd, groups));
  TRY(const ResolvedUser with_group, resolve_user("0:" + (group.empty() ? "0" : group), {}, passwd, groups));
  return std::pair{who.uid, with_group.gid};
}

static time_t http_date(const std::string& text) {
  tm parts{};
  return ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S", &parts) ? ::timegm(&parts) : 0;
}

static std::string last_name(const std::string& url) {
  const std::string path = url.substr(0, url.find_first_of("?#"));
  const size_t host = path.find('/', path.find("//") + 2);
  return host == std::string::npos ? "" : path.substr(path.rfind('/') + 1);
}

// Sources, destination and flags, variables expanded. Tree 0 is the context or the image of --from; downloads
// add theirs.
Result<CopyWish> StageRun::copy_wish(const Instruction& in) {
  CopyWish wish;
  const char escape = build_.file_.escape;
  const auto look = variables();
  std::vector<std::string> words;
  for (const auto& word : in.args) {
    const auto text = std::ranges::find(in.heredocs, word, &Heredoc::word);
    if (text == in.heredocs.end() || &word == &in.args.back()) {
      TRY(std::string expanded, expand_word(word, escape, look));
      words.push_back(std::move(expanded));
      continue;
    }
    std::string content = text->content;
    if (text->expand) {
      TRY(content, expand_text(text->content, look));
    }
    wish.texts.emplace_back(text->name, std::move(content));
  }
  const std::string to = words.back();
  words.pop_back();
  const bool folder =
      to.ends_with('/') || to == "." || to == ".." || to.ends_with("/.") || to.ends_with("/..");
  wish.destination = "/" + clean_path(to.starts_with('/') ? to : draft_.config.working_dir + "/" + to);
  if (folder && wish.destination != "/") wish.destination += "/";
  const std::string unpack = in.flag("unpack");
  for (auto& word : words) {
    if (word.empty())
      return fail(Code::kInvalid, "a source of " + std::string(word_name(in.word)) + " is empty");
    wish.sources.push_back(
        {0, word, in.word == Word::kAdd && (unpack.empty() ? !is_url(word) : unpack == "true")});
  }
  for (const auto& [flag, value] : in.flags) {
    if (flag != "exclude") continue;
    TRY(std::string pattern, expand_word(value, escape, look));
    wish.exclude.push_back(std::move(pattern));
  }
  wish.parents = in.flag("parents") == "true";
  if (!in.flag("chmod").empty()) {
    TRY(wish.chmod, expand_word(in.flag("chmod"), escape, look));
    TRYV(ModeChange::parse(wish.chmod));
  }
  wish.now = now(), wish.epoch = build_.epoch_;
  return wish;
}

Task<Result<std::string>> StageRun::source_of(const std::string& from) {
  if (const auto stage = stage_named(build_.file_, from, at_)) {
    const auto& other = build_.results_[*stage];
    if (!other.ended)
      co_return fail(Code::kInvalid, "stage " + from + " is not built: only an ONBUILD trigger names it");
    co_return other.image_id;
  }
  auto id = co_await build_.image_named(from, build_.request_.platform, report());
  if (!id) co_return fail(wrap("invalid from flag value " + from, id.error()));
  pins_.push_back(std::make_unique<Images::Pin>(parts_.images, std::vector<std::string>{*id}));
  co_return id;
}

Task<Result<>> StageRun::download(const Instruction& in, const std::string& url, CopyWish& wish) {
  std::string name = last_name(url);
  if (name.empty() && wish.destination.ends_with('/'))
    co_return fail(Code::kInvalid, "cannot determine filename from url: " + url);
  if (name.empty() || name == "." || name == "..") name = "download";
  const std::string dir = build_.new_path("download");
  CO_TRYV(make_dirs(dir, 0700));
  HttpCall get{.url = url, .save_file = dir + "/" + name, .limit_bytes = kMostDownload, .halt = build_.halt_};
  get.progress = [this](int64_t bytes) {
    transcript_.report(at_, {.status = "Downloading", .current = bytes});
  };
  CO_TRY(HttpAnswer answer, co_await parts_.http.exchange(get));
  if (answer.status != 200)
    co_return fail(Code::kInternal, "failed to GET " + url + " with status " + std::to_string(answer.status));
  if (const std::string sum = in.flag("checksum"); !sum.empty()) {
    CO_TRY(const std::string wanted, expand_word(sum, build_.file_.escape, variables()));
    if (!wanted.starts_with("sha256:") || wanted.size() != 71)
      co_return fail(Code::kInvalid, "unsupported checksum: " + wanted.substr(0, 100));
    if (answer.digest != wanted)
      co_return fail(Code::kInvalid, "digest mismatch " + answer.digest + ": " + wanted);
  }
  const timespec time{http_date(answer.headers["last-modified"]), 0};
  const timespec times[] = {time, time};
  (void)::chmod(get.save_file.c_str(), 0600), (void)::utimensat(AT_FDCWD, get.save_file.c_str(), times, 0);
  wish.trees.push_back({dir, {}});
  co_return Result<>{};
}

Task<Result<>> StageRun::copy(const Instruction& in) {
  CO_TRY(CopyWish wish, copy_wish(in));
  const std::string from = in.flag("from");
  std::string identity = build_.context_.identity;  // "": what it holds may change
  if (from.empty()) {
    wish.trees.push_back({build_.context_.root, build_.context_.ignore});
  } else {
    CO_TRY(identity, co_await source_of(from));
    wish.trees.push_back({"", {}, true});  // mounted when it is needed
  }
  bool sums = false;  // whether anything has one
  for (auto& source : wish.sources) {
    if (in.word != Word::kAdd) break;
    if (is_repository(source.pattern)) {
      sums = true;
      CO_TRY(std::string commit, expand_word(in.flag("checksum"), build_.file_.escape, variables()));
      if (!commit.empty() &&
          (commit.size() < 7 || commit.find_first_not_of("0123456789abcdef") != std::string::npos))
        co_return fail(Code::kInvalid,
                       "invalid checksum \"" + commit.substr(0, 100) + "\": a git commit is wanted");
      CO_TRY(const std::string dir,
             co_await build_.check_out(source.pattern, in.flag("keep-git-dir") == "true", std::move(commit)));
      wish.trees.push_back({dir, {}});
      source = {wish.trees.size() - 1, "/", false};
      continue;
    }
    if (!is_url(source.pattern)) continue;
    sums = true;
    CO_TRYV(co_await download(in, source.pattern, wish));
    source.tree = wish.trees.size() - 1, source.pattern = list_dir(wish.trees.back().root).at(0);
    for (const char c : std::exchange(source.pattern, "")) {  // it is a name, no pattern
      if (c == '*' || c == '?' || c == '[' || c == '\\') source.pattern += '\\';
      source.pattern += c;
    }
  }
  if (wish.trees.size() > 1) identity.clear();
  if (!in.flag("checksum").empty() && !sums)
    co_return fail(Code::kInvalid, "checksum is only supported for HTTP(S) and git sources");
  const std::string image = from.empty() ? "" : identity;
  auto done = co_await copy_with(in, wish, image, identity);
  if (!image.empty() && !wish.trees[0].root.empty())
    (void)co_await parts_.layers.remove_rootfs(wish.trees[0].root.substr(0, wish.trees[0].root.rfind('/')));
  co_return done;
}

// All that a digest depends on besides what lies in the source.
static std::string memo_key(const std::string& identity, const CopyWish& wish) {
  std::string out = identity;
  const auto add = [&out](std::string_view text) {
    out += "\n" + std::to_string(text.size()) + " " + std::string(text);
  };
  for (const auto& line : wish.trees[0].ignore) add(line);
  for (const auto& source : wish.sources) add(source.pattern), add(source.unpack ? "unpack" : "");
  for (const auto& [name, text] : wish.texts) add(name), add(text);
  for (const auto& pattern : wish.exclude) add(pattern);
  add(wish.destination), add(wish.parents ? "parents" : ""), add(wish.owned ? "owned" : ""), add(wish.chmod);
  return out;
}

Task<Result<CopyDigest>> StageRun::digest_of(CopyWish& wish, const std::string& image,
                                             const std::string& identity) {
  const std::string key = identity.empty() ? "" : parts_.layers.sha256(memo_key(identity, wish));
  if (const CopyDigest* known = key.empty() ? nullptr : build_.memo_.find(key)) co_return *known;
  CO_TRYV(co_await mount_source(wish, image));
  CO_TRY(CopyDigest digest, co_await parts_.files.digest(wish));
  if (!key.empty()) build_.memo_.keep(key, digest);
  co_return digest;
}

Task<Result<>> StageRun::mount_source(CopyWish& wish, const std::string& image) {
  if (!wish.trees[0].root.empty()) co_return Result<>{};
  CO_TRY(const std::string root, co_await build_.mount_image(image));
  wish.trees[0].root = root + "/merged";
  co_return Result<>{};
}

Task<Result<>> StageRun::copy_with(const Instruction& in, CopyWish& wish, std::string image,
                                   std::string identity) {
  const std::string word(word_name(in.word));
  const auto failed = [&](Error error) {
    if (word == "ADD" && error.message.starts_with("When using COPY")) error.message.replace(11, 4, word);
    return fail(error.code == Code::kInvalid || error.code == Code::kNotFound
                    ? wrap(word + " failed", std::move(error))
                    : std::move(error));
  };
  auto digest = co_await digest_of(wish, image, identity);
  if (!digest) co_return failed(digest.error());
  std::string flags;
  CO_TRY(const std::string chown, expand_word(in.flag("chown"), build_.file_.escape, variables()));
  if (!chown.empty()) flags += "--chown=" + chown + " ";
  for (const auto& [name, value] : in.flags)
    if (name != "from" && name != "chown" && name != "checksum") flags += "--" + name + "=" + value + " ";
  const std::string created_by = nop(word + " " + flags + digest->kind + ":" + digest->digest + " in " +
                                     wish.destination + " "),
                    key = parts_.layers.sha256(created_by);
  CO_TRY(const bool hit, co_await cached(created_by, key));
  if (hit) co_return Result<>{};
  CO_TRYV(co_await mount_source(wish, image));
  // --link: the layer does not depend on what lies below it.
  CO_TRY(const std::string below, co_await build_.mount_image(image_id_));
  CO_TRY(const std::string base,
         in.flag("link") == "true" ? co_await build_.mount_image("") : Result<std::string>(below));
  auto work = [&]() -> Task<Result<>> {
    if (!chown.empty()) {
      CO_TRY(wish.owner, owner_of(chown, parts_.layers, below + "/merged"));
      wish.owned = true;
    }
    const Pack pack = [&](Sink sink) {
      return parts_.files.copy_layer(base + "/merged", wish, std::move(sink));
    };
    co_return co_await commit(created_by, key, pack);
  };
  auto done = co_await work();
  (void)co_await parts_.layers.remove_rootfs(below);
  if (base != below) (void)co_await parts_.layers.remove_rootfs(base);
  if (!done) co_return failed(done.error());
  co_return done;
}

}  // namespace panal
