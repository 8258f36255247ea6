#include "build/stage_run.h"

#include "base/json.h"
#include "base/text.h"
#include "image/progress.h"

namespace panal {

static constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string history_list(const std::vector<std::string>& words) {
  std::string out = "[";
  for (const auto& word : words) out += (out.size() == 1 ? "" : " ") + dump(Json(to_utf8(word)));
  return out + "]";
}

Result<std::string> history_text(const Instruction& in, const ImageDraft& draft, char escape,
                                 const Variables& variables) {
  std::string out(word_name(in.word));
  switch (in.word) {
    case Word::kEnv:
    case Word::kLabel:
      for (const auto& [name, value] : in.pairs) {
        TRY(const std::string key, expand_word(name, escape, variables));
        TRY(const std::string text, expand_word(value, escape, variables));
        out += " " + key + "=" + text;
      }
      return out;
    case Word::kCmd:
      return out + " " + history_list(draft.config.cmd.value_or(std::vector<std::string>{}));
    case Word::kEntrypoint:
      return out + " " + history_list(draft.config.entrypoint.value_or(std::vector<std::string>{}));
    case Word::kShell:
      return out + " " + history_list(draft.config.shell);
    case Word::kExpose: {
      std::set<std::string> all;  // their order is no difference
      for (const auto& word : in.args) {
        TRY(const auto ports, expand_words(word, escape, variables));
        all.insert(ports.begin(), ports.end());
      }
      for (const auto& port : all) out += " " + port;
      return out;
    }
    case Word::kVolume: {
      std::vector<std::string> paths;
      for (const auto& word : in.args) {
        TRY(auto path, in.exec_form ? Result<std::string>(word) : expand_word(word, escape, variables));
        paths.push_back(std::move(path));
      }
      return out + " " + history_list(paths);
    }
    case Word::kUser:
      return out + " " + draft.config.user;
    case Word::kStopsignal:
      return out + " " + draft.config.stop_signal;
    case Word::kWorkdir:
      return out + " " + draft.config.working_dir;
    default:
      return in.text;
  }
}

std::optional<std::string> StageRun::variable(const std::string& name) const {
  if (auto value = env_value(draft_.config.env, name)) return value;
  if (const auto it = args_.find(name); it != args_.end()) return it->second;
  if (is_proxy_arg(name))
    if (const auto it = build_.request_.args.find(name); it != build_.request_.args.end()) return it->second;
  return std::nullopt;
}

std::string StageRun::nop(const std::string& text) const {
  const auto& shell = draft_.config.shell;
  return (shell.empty() ? "/bin/sh -c" : join(shell, " ")) + " #(nop) " + text;
}

void StageRun::take_image(const std::string& id) {
  image_id_ = id;
  pins_.push_back(std::make_unique<Images::Pin>(parts_.images, std::vector<std::string>{id}));
}

Task<Result<bool>> StageRun::cached(const std::string& created_by, const std::string& key) {
  if (build_.request_.no_cache) co_return false;
  const std::string id = co_await parts_.images.built(image_id_, key);
  const bool found = !id.empty() && parts_.images.find(id).has_value();
  bool hit = found;
  if (found) take_image(id);
  if (!found) {
    CO_TRY(hit, co_await cached_elsewhere(created_by, key));
  }
  if (!hit) co_return false;
  co_await say(" ---> Using cache\n");
  co_return true;
}

// --cache-from: an image whose history begins like ours and goes on with this step gives its layer.
Task<Result<bool>> StageRun::cached_elsewhere(const std::string& created_by, const std::string& key) {
  Image own;  // of nothing
  if (!image_id_.empty()) {
    CO_TRY(const Image* now, parts_.images.find(image_id_));
    own = *now;
  }
  const auto same = [](const HistoryEntry& a, const HistoryEntry& b) {
    return a.created_by == b.created_by && a.empty_layer == b.empty_layer;
  };
  for (const auto& name : build_.request_.cache_from) {
    const auto found = parts_.images.find(name);
    if (!found) continue;
    const Image& other = **found;
    const size_t steps = own.history.size(), layers = own.chain_ids.size();
    if (other.history.size() <= steps || other.chain_ids.size() < layers ||
        !std::equal(own.chain_ids.begin(), own.chain_ids.end(), other.chain_ids.begin()) ||
        !std::equal(own.history.begin(), own.history.end(), other.history.begin(), same) ||
        other.history[steps].created_by != created_by)
      continue;
    const bool layer = !other.history[steps].empty_layer;
    if (layer && other.chain_ids.size() == layers) continue;
    Images::Commit wish;
    wish.parent = image_id_, wish.chain_ids = own.chain_ids, wish.config = draft_.config,
    wish.author = draft_.author, wish.created_by = created_by, wish.build_key = key;
    wish.platform = platform_, wish.layer_given = layer,
    wish.created = parse_rfc3339(other.history[steps].created);
    if (layer) wish.chain_ids.push_back(other.chain_ids[layers]);
    const Pack nothing = [](Sink) -> Task<Result<>> { co_return Result<>{}; };
    CO_TRY(const std::string id, co_await parts_.images.commit(std::move(wish), nothing));
    take_image(id);
    co_return true;
  }
  co_return false;
}

Task<Result<>> StageRun::commit(std::string created_by, std::string key, Pack pack) {
  Images::Commit wish;
  if (!image_id_.empty()) {
    CO_TRY(const Image* parent, parts_.images.find(image_id_));
    wish.chain_ids = parent->chain_ids;
  }
  wish.parent = image_id_, wish.config = draft_.config, wish.author = draft_.author,
  wish.created_by = std::move(created_by), wish.build_key = std::move(key);
  wish.platform = platform_, wish.created = now();
  if (!pack) pack = [](Sink) -> Task<Result<>> { co_return Result<>{}; };
  CO_TRY(const std::string id, co_await parts_.images.commit(std::move(wish), std::move(pack)));
  take_image(id);
  co_return Result<>{};
}

Task<Result<>> StageRun::from() {
  const StagePlan& p = plan();
  std::optional<ImagePlatform> wanted = build_.request_.platform;
  if (!p.platform.empty()) {
    CO_TRY(wanted, parse_platform(p.platform));
  }
  if (wanted) platform_ = *wanted;
  if (p.base_stage) {
    image_id_ = build_.results_[*p.base_stage].image_id;
  } else if (p.base != "scratch") {
    CO_TRY(const std::string id, co_await build_.image_named(p.base, wanted, report()));
    take_image(id);
  }
  if (!image_id_.empty()) {
    CO_TRY(const Image* image, parts_.images.find(image_id_));
    draft_.config = image->config, draft_.author = image->author;
    platform_ = platform_of(*image);
  }
  set_env(draft_.config.env, kPath, false);
  co_return Result<>{};
}

// ONBUILD of the base: what its image left for those who build on it.
Task<Result<>> StageRun::triggers() {
  const auto lines = std::exchange(draft_.config.on_build, {});
  if (lines.empty()) co_return Result<>{};
  co_await say("# Executing " + std::to_string(lines.size()) + " build trigger" +
               (lines.size() == 1 ? "" : "s") + "\n");
  for (const auto& text : lines) {
    CO_TRY(const auto source, read_dockerfile(text, "ONBUILD"));
    for (const auto& line : source.lines) {
      CO_TRY(const Instruction in, parse_instruction(line, build_.file_.escape, "ONBUILD"));
      CO_TRYV(co_await dispatch(in));
    }
  }
  co_return Result<>{};
}

Task<Result<>> StageRun::run() {
  const std::string total = "/" + std::to_string(build_.plan_.steps) + " : ";
  int number = plan().first_step;
  co_await say("Step " + std::to_string(number) + total + stage().from.text + "\n");
  const auto place = [this](const Instruction& in, Error error) {
    return wrap(build_.file_name() + ":" + std::to_string(in.line), std::move(error));
  };
  if (auto done = co_await from(); !done) co_return std::unexpected(place(stage().from, done.error()));
  co_await say(" ---> " + short_digest(image_id_) + "\n");
  if (auto done = co_await triggers(); !done) co_return done;
  for (const auto& in : stage().steps) {
    if (build_.halted()) co_return fail(Code::kCancelled, "the build was cancelled");
    co_await say("Step " + std::to_string(++number) + total + in.text + "\n");
    auto done = co_await dispatch(in);
    if (!done && exit_code_ == 0 && done.error().code != Code::kCancelled)
      co_return std::unexpected(place(in, done.error()));
    CO_TRYV(done);
  }
  co_return Result<>{};
}

Result<> StageRun::take_arguments(const Instruction& in) {
  for (size_t i = 0; i < in.pairs.size(); ++i) {
    const auto& [name, value] = in.pairs[i];
    build_.declared_.insert(name);
    const auto given = build_.request_.args.find(name);
    if (given != build_.request_.args.end() && given->second) {
      args_[name] = *given->second;
    } else if (in.has_value[i]) {
      TRY(args_[name], expand_word(value, build_.file_.escape, variables()));
    } else if (!args_.contains(name) || !args_[name]) {
      args_[name] = build_.global(name);
    }
  }
  return {};
}

Task<Result<>> StageRun::dispatch(const Instruction& in) {
  auto done = co_await step(in);
  if (done) co_await say(" ---> " + short_digest(image_id_) + "\n");
  co_return done;
}

Task<Result<>> StageRun::step(const Instruction& in) {
  if (in.word == Word::kRun) co_return co_await run_command(in);
  if (in.word == Word::kCopy || in.word == Word::kAdd) co_return co_await copy(in);
  const auto look = variables();
  std::string text;
  if (in.word == Word::kArg) {
    CO_TRYV(take_arguments(in));
    text = in.text;
  } else {
    const ImageDraft before = draft_;
    CO_TRYV(apply_instruction(draft_, in, build_.file_.escape, look));
    const auto old =
        [&](const std::string& name) -> std::optional<std::string> {  // ENV sees what stood before it
      if (auto value = env_value(before.config.env, name)) return value;
      const auto it = args_.find(name);
      return it == args_.end() ? std::nullopt : it->second;
    };
    CO_TRY(text, history_text(in, draft_, build_.file_.escape, old));
  }
  if (in.word == Word::kWorkdir) co_return co_await work_dir();
  const std::string created_by = nop(" " + text), key = parts_.layers.sha256(created_by);
  CO_TRY(const bool hit, co_await cached(created_by, key));
  if (hit) co_return Result<>{};
  co_return co_await commit(created_by, key, nullptr);
}

Task<Result<>> StageRun::work_dir() {
  const std::string created_by = nop("WORKDIR " + draft_.config.working_dir),
                    key = parts_.layers.sha256(created_by);
  CO_TRY(const bool hit, co_await cached(created_by, key));
  if (hit) co_return Result<>{};
  CopyWish wish;
  wish.destination = draft_.config.working_dir, wish.now = now(), wish.epoch = build_.epoch_;
  CO_TRY(const std::string base, co_await build_.mount_image(image_id_));
  const Pack pack = [this, base, wish](Sink sink) {
    return parts_.files.copy_layer(base + "/merged", wish, std::move(sink));
  };
  auto done = co_await commit(created_by, key, pack);
  (void)co_await parts_.layers.remove_rootfs(base);
  co_return done;
}

}  // namespace panal
