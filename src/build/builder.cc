#include "build/builder.h"

#include <algorithm>

#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "build/stage_run.h"
#include "image/reference.h"

namespace panal {

// A build's folder with what is mounted in it.
static Task<void> drop_folder(BuildParts& parts, std::string dir) {
  for (const auto& part : list_dir(dir))
    (void)parts.layers.unmount(dir + "/" + part),
        (void)co_await parts.layers.unmount_rootfs(dir + "/" + part);
  const auto work = [dir] { return remove_tree(dir); };
  if (auto gone = co_await blocking(parts.loop, work, Lane::kLong); !gone)
    log::warn("msg=\"remove a build's folder\" dir={} error=\"{}\"", dir, gone.error().message);
}

Task<void> Builder::collect() {
  const auto left = list_dir(parts_.dir);
  for (const auto& name : left)
    if (name != "cache") co_await drop_folder(parts_, parts_.dir + "/" + name);
}

const CopyDigest* CopyMemo::find(const std::string& key) const {
  const auto it = known_.find(key);
  return it == known_.end() ? nullptr : &it->second;
}

void CopyMemo::keep(std::string key, CopyDigest digest) {
  static constexpr size_t kMost = 1024;
  if (!known_.insert_or_assign(key, std::move(digest)).second) return;
  order_.push_back(std::move(key));
  if (order_.size() <= kMost) return;
  known_.erase(order_.front());
  order_.pop_front();
}

Build::Build(BuildParts& parts, CacheMounts& caches, CopyMemo& memo, BuildRequest request)
    : parts_(parts), caches_(caches), memo_(memo), request_(std::move(request)) {}

// Proxies are taken without an ARG and leave no trace in the image.
bool is_proxy_arg(const std::string& name) {
  static const std::set<std::string> kNames = {"http_proxy", "https_proxy", "ftp_proxy", "no_proxy",
                                               "all_proxy"};
  return kNames.contains(lower(name));
}

Result<> Build::take_globals() {
  const auto name_platform = [this](const std::string& prefix, const ImagePlatform& p) {
    globals_[prefix + "PLATFORM"] = p.text(), globals_[prefix + "OS"] = p.os,
                      globals_[prefix + "ARCH"] = p.architecture, globals_[prefix + "VARIANT"] = p.variant;
  };
  name_platform("BUILD", host_platform());
  name_platform("TARGET", request_.platform.value_or(host_platform()));
  globals_["TARGETSTAGE"] = request_.target.empty() ? "default" : request_.target;
  const auto look = [this](const std::string& name) { return global(name); };
  for (const auto& in : file_.arguments)
    for (size_t i = 0; i < in.pairs.size(); ++i) {
      const auto& [name, value] = in.pairs[i];
      declared_.insert(name);
      if (const auto given = request_.args.find(name); given != request_.args.end() && given->second) {
        globals_[name] = *given->second;
      } else if (in.has_value[i]) {
        TRY(globals_[name], expand_word(value, file_.escape, look));
      }
    }
  if (const auto given = request_.args.find("SOURCE_DATE_EPOCH");
      given != request_.args.end() && given->second && !given->second->empty()) {
    const auto seconds = parse_int(*given->second);
    if (!seconds || *seconds < 0)
      return fail(Code::kInvalid, "invalid SOURCE_DATE_EPOCH: " + given->second->substr(0, 64));
    epoch_ = *seconds;
  }
  return {};
}

std::optional<std::string> Build::global(const std::string& name) const {
  const auto it = globals_.find(name);
  return it == globals_.end() ? std::nullopt : std::optional(it->second);
}

// One that the CLI took from standard input or from elsewhere it calls ".dockerfile." and 20 hex digits.
std::string Build::file_name() const {
  const std::string name = request_.dockerfile.substr(request_.dockerfile.rfind('/') + 1);
  constexpr std::string_view kGiven = ".dockerfile.";
  return name.starts_with(kGiven) && name.size() == kGiven.size() + 20 ? "Dockerfile" : name;
}

Result<> Build::read_dockerfile() {
  auto text = parts_.layers.read_in_root(context_.root, request_.dockerfile);
  if (!text && request_.dockerfile == "Dockerfile")
    text = parts_.layers.read_in_root(context_.root, "dockerfile");
  if (!text) return fail(Code::kInvalid, "Cannot locate specified Dockerfile: " + request_.dockerfile);
  if (trim(*text).empty())
    return fail(Code::kInvalid, "the Dockerfile (" + request_.dockerfile + ") cannot be empty");
  const std::string name = file_name();
  auto parsed = parse_dockerfile(*text, name);
  if (!parsed) return fail(wrap("dockerfile parse error", parsed.error()));
  file_ = std::move(*parsed);
  TRYV(take_globals());
  const auto look = [this](const std::string& variable) { return global(variable); };
  TRY(plan_, plan_build(file_, request_.target, look, name));
  if (!request_.labels.empty()) {  // one more step of the target
    Instruction in;
    in.word = Word::kLabel, in.text = "LABEL", in.line = file_.stages[plan_.target].from.line;
    for (const auto& [key, value] : request_.labels) {
      const auto literal = [this](const std::string& text) {
        std::string out = "\"";
        for (const char c : text)
          out += (c == '"' || c == '$' || c == file_.escape ? std::string(1, file_.escape) : "") + c;
        return out + "\"";
      };
      in.pairs.emplace_back(literal(key), literal(value)), in.text += " " + key + "=" + value;
    }
    file_.stages[plan_.target].steps.push_back(std::move(in));
    ++plan_.steps;
    for (size_t i = plan_.target + 1; i < plan_.stages.size(); ++i) ++plan_.stages[i].first_step;
  }
  std::string ignore;
  for (const std::string& file : {request_.dockerfile + ".dockerignore", std::string(".dockerignore")})
    if (ignore.empty())
      if (auto lines = parts_.layers.read_in_root(context_.root, file)) ignore = *lines;
  context_.ignore = split(ignore, '\n');
  return {};
}

Task<Result<>> Build::open(Source body) {
  for (auto& tag : request_.tags) {
    CO_TRY(const ImageRef ref, parse_tagged(tag));
    if (!ref.digest.empty())
      co_return fail(Code::kInvalid, "refusing to create a tag with a digest reference");
    tag = ref.familiar();
  }
  dir_ = parts_.dir + "/" + hex(parts_.entropy.bytes(8));
  context_.root = dir_ + "/context";
  CO_TRYV(make_dirs(parts_.dir, 0700));
  CO_TRYV(make_dirs(context_.root, 0755));
  CO_TRYV(co_await take_context(std::move(body)));
  CO_TRYV(read_dockerfile());
  results_ = std::vector<StageResult>(file_.stages.size());
  co_return Result<>{};
}

Task<void> Build::close() {
  results_.clear();
  if (!dir_.empty()) co_await drop_folder(parts_, dir_);
}

std::vector<std::string> Build::unused_args() const {
  std::vector<std::string> out;
  for (const auto& [name, value] : request_.args)
    if (!declared_.contains(name) && !is_proxy_arg(name) && name != "SOURCE_DATE_EPOCH" &&
        !name.starts_with("BUILDKIT_"))
      out.push_back(name);
  return out;
}

Task<Result<std::string>> Build::mount_image(std::string id, Layers::Ids ids) {
  std::vector<int64_t> numbers;
  if (!id.empty()) {
    CO_TRY(const Image* image, parts_.images.find(id));
    numbers = parts_.images.layer_numbers(*image);
  }
  const std::string dir = new_path("root");
  CO_TRYV(make_dirs(dir, 0700));
  CO_TRYV(co_await parts_.layers.mount_rootfs(dir, std::move(numbers), Layers::Lasts::kUntilCrash, ids));
  co_return dir;
}

Task<Result<std::string>> Build::image_named(std::string name, std::optional<ImagePlatform> platform,
                                             Report report) {
  const auto fits = [&](const Image& image) {
    return !platform || platform_fits(platform_of(image), *platform);
  };
  const std::string key = name + " " + (platform ? platform->text() : "");
  while (pulling_.contains(key)) (void)co_await pull_ended_.wait(parts_.loop);
  if (auto here = parts_.images.find(name); here && fits(**here) && (!request_.pull || pulled_.contains(key)))
    co_return (*here)->id;
  CO_TRY(ImageRef ref, parse_tagged(name));
  PullOptions options;
  if (platform) options.platform = *platform, options.platform_asked = true;
  options.halt = halt_;
  for (const auto& [registry, auth] : request_.auths)
    if (registry == ref.domain || registry == "https://" + ref.domain ||
        registry.find("//" + ref.domain + "/") != std::string::npos ||
        (ref.domain == "docker.io" && registry.find("index.docker.io") != std::string::npos))
      options.auth = auth;
  pulling_.insert(key);
  auto id = co_await parts_.pull.pull(ref, options, std::move(report));
  pulling_.erase(key);
  pull_ended_.notify(parts_.loop);
  if (id) pulled_.insert(key);
  co_return id;
}

Task<void> Build::run_stage(size_t at, Transcript& transcript) {
  StageResult& result = results_[at];
  for (const size_t other : plan_.stages[at].needs)
    while (!results_[other].ended && !halted()) (void)co_await stage_ended_.wait(parts_.loop);
  if (!halted()) {
    StageRun stage(*this, transcript, at);
    auto done = co_await stage.run();
    result.image_id = stage.image_id(), result.pins = stage.take_pins();
    if (!done) {
      if (!failure_) failure_ = done.error(), exit_code_ = stage.exit_code();
      halt_->halt();  // the other stages are of no use any more
    }
  }
  result.ended = true;
  stage_ended_.notify(parts_.loop);
  transcript.end(at, failure_ ? "" : result.image_id);
}

Task<Result<std::string>> Build::run(Transcript& transcript) {
  for (const auto& warning : file_.warnings) co_await transcript.say(0, "[Warning] " + warning + "\n");
  int number = 0;
  for (const auto& in : file_.arguments)
    co_await transcript.say(
        0, "Step " + std::to_string(++number) + "/" + std::to_string(plan_.steps) + " : " + in.text + "\n");
  Scope scope;
  for (size_t i = 0; i < plan_.stages.size(); ++i) {
    if (plan_.stages[i].wanted)
      scope.spawn(run_stage(i, transcript));
    else
      transcript.end(i);
  }
  const int woken = 0;
  halt_->on_halt(&woken, [this] { stage_ended_.notify(parts_.loop); });
  co_await scope.join();
  halt_->forget(&woken);
  if (failure_) co_return std::unexpected(*failure_);
  if (halted()) co_return fail(Code::kCancelled, "the build was cancelled");
  const std::string id = results_[plan_.target].image_id;
  if (id.empty()) co_return fail(Code::kInvalid, "No image was generated. Is your Dockerfile empty?");
  CO_TRYV(co_await parts_.images.keep(id));
  for (const auto& tag : request_.tags) CO_TRYV(co_await parts_.images.tag(id, tag));
  co_return id;
}

}  // namespace panal
