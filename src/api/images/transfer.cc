// Images that come and go: pull, import, commit, push, login, and what a registry has under a name.
#include <fcntl.h>

#include <algorithm>

#include "api/api.h"
#include "api/body.h"
#include "api/cluster/swarm_parts.h"
#include "api/images/platform.h"
#include "base/fd.h"
#include "base/text.h"
#include "image/config.h"
#include "image/progress.h"
#include "image/reference.h"
#include "model/container_json.h"
#include "ports/file_source.h"

namespace panal {

namespace {

constexpr int64_t kMaxImport = 256LL << 30;

// Runs `work` and passes its lines on. What fails before the first line is an answer with a status, what
// fails later the last line. The work is halted when its client hangs up. Of what moves only the newest word
// waits for a slow reader.
class LineStream {
 public:
  LineStream(Loop& loop, Call& call, std::shared_ptr<Halt> halt)
      : loop_(loop), call_(call), halt_(std::move(halt)) {}

  Task<Result<>> run(std::function<Task<Result<>>(Report)> work) {
    CO_TRYV(co_await call_.http.body(kMaxJsonBody));
    call_.http.on_close([halt = halt_] { halt->halt(); });
    Scope scope;
    scope.spawn(produce(work));
    Result<> written;
    while (!done_ || !pending_.empty()) {
      if (pending_.empty()) {
        (void)co_await more_.wait(loop_);
        continue;
      }
      std::string text;
      for (const auto& line : std::exchange(pending_, {})) text += progress_json(line);
      if (written && !call_.http.started()) written = co_await call_.http.begin(200, "application/json");
      if (written) written = co_await call_.http.write(text);
      if (!written) halt_->halt();
    }
    co_await scope.join();
    CO_TRYV(written);
    if (!call_.http.started()) co_return outcome_;
    if (!outcome_) CO_TRYV(co_await call_.http.write(progress_error_json(outcome_.error().message)));
    co_return co_await call_.http.end();
  }

 private:
  Task<void> produce(std::function<Task<Result<>>(Report)> work) {
    outcome_ = co_await work([this](ProgressLine line) { take(std::move(line)); });
    done_ = true;
    more_.notify(loop_);
  }
  void take(ProgressLine line) {
    if (line.current > 0)
      for (auto it = pending_.rbegin(); it != pending_.rend(); ++it) {
        if (it->id != line.id) continue;
        if (it->current > 0 && it->status == line.status) return void(*it = std::move(line));
        break;
      }
    pending_.push_back(std::move(line));
    more_.notify(loop_);
  }

  Loop& loop_;
  Call& call_;
  std::shared_ptr<Halt> halt_;
  std::vector<ProgressLine> pending_;
  Event more_;
  bool done_ = false;
  Result<> outcome_;
};

Task<Result<>> pull(Api& api, Call& call) {
  ApiParts& p = api.parts();
  const HttpRequest& r = call.request();
  const std::string tag = r.param("tag");
  CO_TRY(ImageRef ref, parse_reference(r.param("fromImage") +
                                       (tag.empty() ? "" : (tag.starts_with("sha256:") ? "@" : ":") + tag)));
  const bool all = ref.tag.empty() && ref.digest.empty();
  PullOptions options;
  CO_TRY(options.platform, parse_platform(r.param("platform")));
  options.platform_asked = !r.param("platform").empty();
  CO_TRY(options.auth, parse_registry_auth(r.header("x-registry-auth")));
  LineStream lines(p.loop, call, options.halt);
  const auto work = [&](Report report) -> Task<Result<>> {
    if (all) co_return co_await p.image_pull.pull_all(ref, options, report);
    auto id = co_await p.image_pull.pull(ref, options, report);
    if (!id) co_return std::unexpected(id.error());
    co_return Result<>{};
  };
  co_return co_await lines.run(work);
}

Result<Images::Import> import_wish(const HttpRequest& r, const std::string& from) {
  Images::Import wish;
  wish.reference = r.param("repo");
  if (!wish.reference.empty() && !r.param("tag").empty()) wish.reference += ":" + r.param("tag");
  for (auto [it, end] = r.query.equal_range("changes"); it != end; ++it) wish.changes.push_back(it->second);
  wish.message = r.param("message").empty() ? "Imported from " + from : r.param("message");
  TRY(wish.platform, parse_platform(r.param("platform")));
  if (wish.platform.os != "linux")
    return fail(Code::kInvalid, "operating system is not supported: " + wish.platform.os);
  return wish;
}

Task<Result<>> import_url(Api& api, Call& call, std::string url) {
  ApiParts& p = api.parts();
  if (!url.starts_with("http://") && !url.starts_with("https://")) url = "http://" + url;
  CO_TRY(const Images::Import wish, import_wish(call.request(), url));
  const auto halt = std::make_shared<Halt>();
  LineStream lines(p.loop, call, halt);
  const auto work = [&](Report report) -> Task<Result<>> {
    const std::string dir = p.layers.new_ingest_dir(), path = dir + "/download";
    report({.status = "Downloading from " + url});
    HttpCall get{.url = url, .save_file = path, .limit_bytes = kMaxImport, .halt = halt};
    get.progress = [&report](int64_t now) { report({.status = "Importing", .current = now}); };
    auto fetch = [&]() -> Task<Result<std::string>> {
      CO_TRY(const HttpAnswer answer, co_await p.http.exchange(get));
      if (answer.status != 200)
        co_return fail(Code::kInternal,
                       "Get \"" + url + "\": got HTTP status code " + std::to_string(answer.status));
      const auto file = std::make_shared<Fd>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
      if (!*file) co_return fail(sys_error(errno, "open", path));
      co_return co_await p.images.import(file_source(p.loop, file), wish);
    };
    auto id = co_await fetch();
    co_await p.layers.drop_ingest(dir);
    if (!id) co_return std::unexpected(id.error());
    report({.status = *id});
    co_return Result<>{};
  };
  co_return co_await lines.run(work);
}

Task<Result<>> import(Api& api, Call& call) {
  const std::string from = call.request().param("fromSrc");
  if (from != "-") co_return co_await import_url(api, call, from);
  CO_TRY(Images::Import wish, import_wish(call.request(), from));
  const Source source = [&call] { return call.http.read_body(); };
  CO_TRY(const std::string id, co_await api.parts().images.import(source, std::move(wish)));
  CO_TRYV(co_await call.http.begin(200, "application/json"));
  CO_TRYV(co_await call.http.write(progress_json({.status = id})));
  co_return co_await call.http.end();
}

Task<Result<>> commit(Api& api, Call& call) {
  ApiParts& p = api.parts();
  const HttpRequest& r = call.request();
  CO_TRY(const Json body, co_await read_json(call));
  CO_TRY(const LivePtr live, p.containers.find(r.param("container")));
  Images::Commit wish;
  wish.reference = r.param("repo");
  if (!wish.reference.empty() && !r.param("tag").empty()) wish.reference += ":" + r.param("tag");
  wish.author = r.param("author"), wish.comment = r.param("comment"), wish.parent = live->c.image_id,
  wish.chain_ids = live->c.layers;
  for (auto [it, end] = r.query.equal_range("changes"); it != end; ++it)
    for (const auto& line : split(it->second, '\n'))
      if (!trim(line).empty()) wish.changes.push_back(line);
  CO_TRY(wish.config, from_json<ContainerConfig>(body));
  Image own;
  own.config = live->c.config;
  CO_TRYV(merge_image(wish.config, own));
  wish.created_by = join(live->c.config.cmd.value_or(std::vector<std::string>{}), " ");
  const auto still = r.flag("pause", true) ? Containers::StandStill::kYes : Containers::StandStill::kNo;
  const auto pack = [&p, live, still](Sink sink) {
    return p.containers.changed_layer(live, still, std::move(sink));
  };
  const std::string reference = wish.reference, comment = wish.comment;
  CO_TRY(const std::string id, co_await p.images.commit(std::move(wish), pack));
  p.events.publish("container", "commit", live->c.id,
                   {{"comment", comment},
                    {"imageID", id},
                    {"imageRef", reference},
                    {"image", live->c.image_ref},
                    {"name", live->c.name}});
  co_await call.http.reply(201, dump(JsonObject{{"Id", id}}));
  co_return Result<>{};
}

Task<Result<>> create(Api& api, Call& call) {
  if (call.request().param("fromSrc").empty()) co_return co_await pull(api, call);
  co_return co_await import(api, call);
}

Task<Result<>> push(Api& api, Call& call) {
  ApiParts& p = api.parts();
  const HttpRequest& r = call.request();
  const std::string tag = r.param("tag");
  CO_TRY(const ImageRef ref, parse_reference(call.arg() + (tag.empty() ? "" : ":" + tag)));
  CO_TRY(const auto platform, asked_platform(r, 46));
  if (platform) {
    CO_TRY(const Image* image, p.images.find(ref.familiar()));
    CO_TRYV(check_platform(ref.familiar(), *image, platform));
  }
  CO_TRY(const RegistryAuth auth, parse_registry_auth(r.header("x-registry-auth")));
  const auto halt = std::make_shared<Halt>();
  LineStream lines(p.loop, call, halt);
  const auto work = [&](Report report) { return p.image_push.push(ref, auth, halt, report); };
  co_return co_await lines.run(work);
}

Task<Result<>> login(Api& api, Call& call) {
  CO_TRY(const std::string body, co_await call.http.body(kMaxJsonBody));
  CO_TRY(const RegistryAuth auth, auth_from_json(body));
  const auto halt = std::make_shared<Halt>();
  call.http.on_close([halt] { halt->halt(); });
  CO_TRY(const RegistryLogin done, co_await api.parts().registry.login(auth, halt));
  co_await call.http.reply(200,
                           dump(JsonObject{{"Status", done.status}, {"IdentityToken", done.identity_token}}));
  co_return Result<>{};
}

Json platform_json(const ImagePlatform& p) {
  JsonObject out{{"architecture", p.architecture}, {"os", p.os}};
  if (!p.variant.empty()) out["variant"] = p.variant;
  return out;
}

Json described_json(const Described& d) {
  JsonArray platforms;
  for (const auto& p : d.platforms) platforms.push_back(platform_json(p));
  return JsonObject{
      {"Descriptor", JsonObject{{"mediaType", d.media_type}, {"digest", d.digest}, {"size", d.size_bytes}}},
      {"Platforms", platforms}};
}

// What the nodes of the cluster hold. An image that no registry ever had is asked for nowhere else.
Result<Described> held_by_cluster(ApiParts& p, const ImagePeers::Found& found) {
  TRY(const Image image, image_from_config(found.config, p.layers.sha256(found.config), p.layers));
  return Described{p.layers.sha256(found.top()),
                   manifest_media_type(found.top()),
                   found.top().size(),
                   {platform_of(image)}};
}

Task<Result<Described>> describe(ApiParts& p, ImageRef ref, RegistryAuth auth, std::shared_ptr<Halt> halt) {
  auto held = co_await p.swarm->images().find(ref.familiar());
  if (held && !held->from_registry) co_return held_by_cluster(p, *held);
  auto told = co_await p.image_pull.describe(ref, auth, halt);
  if (told || !held) co_return told;
  co_return held_by_cluster(p, *held);
}

// The stock CLI asks here for the digest to pin.
Task<Result<>> distribution(Api& api, Call& call) {
  CO_TRY(const ImageRef ref, parse_tagged(call.arg()));
  CO_TRY(const RegistryAuth auth, parse_registry_auth(call.request().header("x-registry-auth")));
  CO_TRYV(co_await call.http.body(kMaxJsonBody));
  const auto halt = std::make_shared<Halt>();
  call.http.on_close([halt] { halt->halt(); });
  CO_TRY(const Described told, co_await describe(api.parts(), ref, auth, halt));
  co_await call.http.reply(200, dump(described_json(told)));
  co_return Result<>{};
}

}  // namespace

Task<std::string> pin_image(ApiParts& p, std::string& image, std::string auth_header) {
  auto ref = parse_tagged(image);
  const auto auth = parse_registry_auth(auth_header);
  if (!ref || !auth || !ref->digest.empty()) co_return "";
  auto told = co_await describe(p, *ref, *auth, std::make_shared<Halt>());
  if (!told) co_return "unable to pin image " + image + " to digest: " + told.error().message;
  ref->digest = told->digest;
  image = ref->familiar();
  co_return "";
}

void add_image_transfer_routes(Api& api) {
  api.route("POST", "/images/create", [&api](Call& c) { return create(api, c); });
  api.route("POST", "/commit", [&api](Call& c) { return commit(api, c); });
  api.route("POST", "/images/{*}/push", [&api](Call& c) { return push(api, c); });
  api.route("POST", "/auth", [&api](Call& c) { return login(api, c); });
  api.route("GET", "/distribution/{*}/json", [&api](Call& c) { return distribution(api, c); });
}

}  // namespace panal
