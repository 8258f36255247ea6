#include "node/images/pull.h"

#include <algorithm>
#include <filesystem>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "image/config.h"
#include "image/reference.h"

namespace panal {

struct ImagePull::Job {
  ImageRef ref;
  PullOptions options;
  Report report;
  FetchedManifest top;   // what the name stands for: an index or a manifest
  std::string manifest;  // of the one image
  ManifestParts parts;
  std::string config;
  Image image;
  std::vector<bool> ready, existed;  // layers in the content store; unpacked before
  std::shared_ptr<Halt> halt;        // of the layers: the client's, or that one of them failed
  Event changed;
  Result<> outcome;
  std::string id;
  bool newer = true;

  void say(const std::string& id_, const std::string& status, int64_t current = 0, int64_t total = 0) const {
    if (report) report({.id = id_, .status = status, .current = current, .total = total});
  }
  std::string layer(size_t at) const { return short_digest(parts.layer_digests[at]); }
};

static Error not_found(const ImageRef& ref, Error error, const RegistryAuth& auth) {
  const auto says = [&](const char* what) { return error.message.starts_with(what); };
  if (says("manifest unknown"))
    error.message = "manifest for " + ref.familiar() + " not found: " + error.message;
  else if (says("name unknown"))
    error.message = "repository " + ref.familiar_name() + " not found: " + error.message;
  else if (says("denied") || (says("unauthorized") && auth.empty()))
    error = {Code::kNotFound,
             "pull access denied for " + ref.familiar_name() +
                 ", repository does not exist or may require 'docker login': " + error.message};
  // A 401 would make the CLI ask for a password and try again; dockerd answers 500.
  if (error.code == Code::kUnauthorized || error.code == Code::kForbidden) error.code = Code::kInternal;
  return error;
}

Task<Result<>> ImagePull::choose(RegistrySession& session, Job& job) {
  const std::string reference = job.ref.digest.empty() ? job.ref.tag : job.ref.digest;
  auto top = co_await client_.manifest(session, reference);
  if (!top)
    co_return std::unexpected(session.endpoint.mirror ? top.error()
                                                      : not_found(job.ref, top.error(), job.options.auth));
  job.top = std::move(*top), job.manifest = job.top.text;
  CO_TRY(const auto entries, parse_index(job.top.text));
  if (entries) {
    const IndexEntry* best = choose_platform(*entries, job.options.platform);
    if (!best)
      co_return fail(Code::kNotFound, "no matching manifest for " + job.options.platform.text() +
                                          " in the manifest list entries");
    const IndexEntry entry = *best;
    CO_TRY(auto one, co_await client_.manifest(session, entry.digest, entry.size_bytes));
    CO_TRY(const auto nested, parse_index(one.text));
    if (nested) co_return fail(Code::kUnsupported, "an index within an index is not supported");
    job.manifest = std::move(one.text);
  }
  CO_TRY(job.parts, parse_manifest(job.manifest));
  const std::string& type = job.parts.config_media_type;
  if (!type.empty() && type != "application/vnd.docker.container.image.v1+json" &&
      type != "application/vnd.oci.image.config.v1+json" && type != "application/octet-stream")
    co_return fail(Code::kInvalid, "unsupported media type " + type + ": this is not a container image");
  co_return Result<>{};
}

Task<Result<>> ImagePull::fetch(RegistrySession& session, Job& job) {
  CO_TRYV(co_await choose(session, job));
  job.say(job.ref.digest.empty() ? job.ref.tag : job.ref.digest, "Pulling from " + job.ref.path);
  CO_TRY(job.config, co_await client_.config(session, job.parts.config_digest, job.parts.config_size));
  CO_TRY(job.image, image_from_config(job.config, job.parts.config_digest, layers_));
  Image& image = job.image;
  image.layer_digests = job.parts.layer_digests;
  if (image.diff_ids.size() != image.layer_digests.size())
    co_return fail(Code::kInvalid, "invalid image: the config names " +
                                       std::to_string(image.diff_ids.size()) + " layers, the manifest " +
                                       std::to_string(image.layer_digests.size()));
  if (job.options.platform_asked) CO_TRYV(check_platform(job.ref.familiar(), image, job.options.platform));
  std::vector<std::string> blobs = image.layer_digests;
  blobs.insert(blobs.end(), {image.id, layers_.sha256(job.manifest)});
  Result<> done;
  {
    const Images::Pin kept_blobs(images_, blobs), kept_layers(images_, image.chain_ids);
    done = co_await fetch_layers(session, job);
    if (done && job.options.halt->halted()) done = fail(Code::kCancelled, "context canceled");
    if (done) {
      const std::string tag = job.ref.tag.empty() || !job.ref.digest.empty() ? "" : job.ref.familiar();
      if (auto before = images_.find(tag.empty() ? job.ref.familiar() : tag);
          before && (*before)->id == image.id)
        job.newer = false;
      Images::Arrival arrival{job.manifest,
                              job.config,
                              job.top.text == job.manifest ? "" : job.top.text,
                              {},
                              {job.ref.familiar_name() + "@" + job.top.digest}};
      if (!tag.empty()) arrival.tags.push_back(tag);
      auto id = co_await images_.adopt(std::move(arrival));
      if (id)
        job.id = *id;
      else
        done = std::unexpected(id.error());
    }
  }
  if (!done) co_await images_.discard(image.chain_ids, blobs);
  co_return done;
}

Task<Result<>> ImagePull::fetch_layers(RegistrySession& session, Job& job) {
  const size_t count = job.image.layer_digests.size();
  job.ready.assign(count, false), job.existed.assign(count, false), job.outcome = {};
  job.halt = std::make_shared<Halt>();
  const auto outer = job.options.halt;
  outer->on_halt(job.halt.get(), [inner = job.halt] { inner->halt(); });
  session.halt = job.halt;
  for (size_t i = 0; i < count; ++i) {
    job.ready[i] = layers_.has_blob(job.image.layer_digests[i]);
    job.existed[i] = job.ready[i] && images_.layer(job.image.chain_ids[i]);
    job.say(job.layer(i), job.existed[i] ? "Already exists" : "Pulling fs layer");
  }
  Scope scope;
  for (size_t i = 0; i < count; ++i)
    if (!job.ready[i]) scope.spawn(fetch_layer(session, job, i));
  scope.spawn(unpack(job));
  co_await scope.join();
  outer->forget(job.halt.get());
  session.halt = outer;
  co_return job.outcome;
}

Task<void> ImagePull::unpack(Job& job) {
  for (size_t i = 0; i < job.ready.size(); ++i) {
    while (!job.ready[i] && job.outcome && !job.halt->halted()) (void)co_await job.changed.wait(loop_);
    if (!job.outcome || job.halt->halted()) co_return;
    if (job.existed[i]) continue;
    const int64_t size = job.parts.layer_sizes[i];
    job.say(job.layer(i), "Extracting", 1, size);
    const auto progress = [&job, i, size](int64_t now) {
      job.say(job.layer(i), "Extracting", std::max<int64_t>(1, now), size);
    };
    auto done = co_await images_.unpack_layer(job.image, i, progress);
    if (!done) {
      if (job.outcome) job.outcome = fail(wrap("failed to register layer", done.error()));
      job.halt->halt();
      co_return;
    }
    job.say(job.layer(i), "Extracting", size, size);
    job.say(job.layer(i), "Pull complete");
  }
}

// One transfer serves all who want a blob at the same time; the others look again when it has ended.
Task<void> ImagePull::fetch_layer(RegistrySession& session, Job& job, size_t at) {
  const std::string digest = job.image.layer_digests[at];
  Result<> done;
  while (!layers_.has_blob(digest) && job.outcome && !job.halt->halted()) {
    if (auto other = fetching_.find(digest); other != fetching_.end()) {
      const auto event = other->second;
      (void)co_await event->wait(loop_, 1s);
      continue;
    }
    const auto event = fetching_[digest] = std::make_shared<Event>();
    done = co_await download(session, job, at);
    fetching_.erase(digest);
    event->notify(loop_);
    if (!done) break;
  }
  if (!done && job.outcome) {
    job.outcome = done;
    job.halt->halt();  // the other layers are for nothing
  }
  if (done && layers_.has_blob(digest)) {
    job.ready[at] = true;
    job.say(job.layer(at), "Download complete");
  }
  job.changed.notify(loop_);
}

Task<Result<>> ImagePull::download(RegistrySession& session, Job& job, size_t at) {
  if (!slots_.free()) job.say(job.layer(at), "Waiting");
  co_await slots_.take(loop_);
  const std::string dir = layers_.new_ingest_dir();
  auto done = job.halt->halted() ? Result<>(fail(Code::kCancelled, "context canceled"))
                                 : co_await transfer(session, job, at, dir + "/blob");
  co_await layers_.drop_ingest(dir);
  slots_.give(loop_);
  co_return done;
}

static int64_t size_of(const std::string& file) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  return error ? 0 : static_cast<int64_t>(size);
}

// A connection that breaks is taken up where it broke; it is given up after so many attempts that brought
// nothing.
Task<Result<>> ImagePull::transfer(RegistrySession& session, Job& job, size_t at, std::string file) {
  const std::string digest = job.image.layer_digests[at], id = job.layer(at);
  const int64_t size = job.parts.layer_sizes[at];
  const int patience = std::max(1, client_.options().max_download_attempts);
  for (int idle = 0;;) {
    const int64_t before = size_of(file);
    HttpCall get{
        .url = session.url("/blobs/" + digest), .save_file = file, .resume = true, .limit_bytes = size};
    get.progress = [&job, id, size](int64_t now) { job.say(id, "Downloading", now, size); };
    const std::string text = call_text(get.method, get.url);
    auto answer = co_await client_.call(session, std::move(get), 1);
    if (answer && (answer->status == 200 || answer->status == 206)) {
      job.say(id, "Verifying Checksum");
      if (answer->digest == digest) co_return layers_.adopt_blob(file, digest);
      if (before == 0)
        co_return fail(Code::kInvalid, "filesystem layer verification failed for digest " + digest);
      ::unlink(file.c_str());  // what was taken up may have been of another file
    } else if (answer && answer->status == 416) {
      ::unlink(file.c_str());
    } else if (answer && answer->status < 500 && answer->status != 429) {
      co_return std::unexpected(registry_error(answer->status, answer->body, text));
    } else if (!answer && answer.error().code != Code::kTimeout &&
               answer.error().code != Code::kUnavailable) {
      co_return std::unexpected(answer.error());
    }
    idle = size_of(file) > before ? 0 : idle + 1;
    if (idle >= patience)
      co_return answer ? std::unexpected(registry_error(answer->status, answer->body, text))
                       : std::unexpected(answer.error());
    const int wait = std::max(1, idle);
    job.say(id, "Retrying in " + std::to_string(wait) + (wait == 1 ? " second" : " seconds"));
    co_await loop_.sleep(1s * wait);
    if (job.halt->halted()) co_return fail(Code::kCancelled, "context canceled");
  }
}

Task<Result<std::string>> ImagePull::pull(ImageRef ref, PullOptions options, Report report) {
  Job job{.ref = ref, .options = options, .report = std::move(report)};
  std::function<Task<Result<>>(RegistrySession&)> work = [this, &job](RegistrySession& session) {
    return fetch(session, job);
  };
  auto done = co_await client_.on_endpoints(ref, false, options.auth, options.halt, work);
  if (!done) co_return std::unexpected(done.error());
  job.say("", "Digest: " + job.top.digest);
  job.say("", (job.newer ? "Status: Downloaded newer image for " : "Status: Image is up to date for ") +
                  ref.familiar());
  events_.publish("image", "pull", ref.familiar(), {{"name", ref.familiar_name()}});
  log::info("msg=\"pulled\" image={} digest={} newer={}", ref.familiar(), job.top.digest, job.newer);
  co_return job.id;
}

Task<Result<>> ImagePull::pull_all(ImageRef ref, PullOptions options, Report report) {
  std::vector<std::string> tags;
  std::function<Task<Result<>>(RegistrySession&)> work = [this,
                                                          &tags](RegistrySession& session) -> Task<Result<>> {
    CO_TRY(tags, co_await client_.tags(session));
    co_return Result<>{};
  };
  auto listed = co_await client_.on_endpoints(ref, false, options.auth, options.halt, work);
  if (!listed) co_return std::unexpected(not_found(ref, listed.error(), options.auth));
  bool newer = false;
  const Report heard = [&](ProgressLine line) {
    newer |= line.status.starts_with("Status: Downloaded");
    if (!line.status.starts_with("Status: ")) report(std::move(line));
  };
  for (const auto& tag : tags) {
    ref.tag = tag, ref.digest.clear();
    auto done = co_await pull(ref, options, heard);
    if (!done) co_return std::unexpected(done.error());
  }
  report({.status = (newer ? "Status: Downloaded newer image for " : "Status: Image is up to date for ") +
                    ref.familiar_name()});
  co_return Result<>{};
}

Task<Result<std::string>> ImagePull::pull_for_task(std::string reference, std::string auth,
                                                   std::shared_ptr<Halt> halt) {
  CO_TRY(ImageRef ref, parse_tagged(reference));
  PullOptions options;
  options.halt = std::move(halt);
  CO_TRY(options.auth, parse_registry_auth(auth));
  CO_TRY(const std::string id, co_await pull(ref, std::move(options), {}));
  if (!ref.tag.empty() && !ref.digest.empty()) {  // pinned: found again under the name that people read
    ref.digest.clear();
    CO_TRYV(co_await images_.tag(id, ref.familiar()));
  }
  co_return id;
}

Task<Result<Described>> ImagePull::describe(ImageRef ref, RegistryAuth auth, std::shared_ptr<Halt> halt) {
  Job job{.ref = ref, .options = {.auth = auth, .halt = halt}};
  Described out;
  std::function<Task<Result<>>(RegistrySession&)> work = [this, &job,
                                                          &out](RegistrySession& session) -> Task<Result<>> {
    auto top = co_await client_.manifest(session, job.ref.digest.empty() ? job.ref.tag : job.ref.digest);
    if (!top) co_return std::unexpected(not_found(job.ref, top.error(), job.options.auth));
    out = {top->digest, top->media_type, top->text.size(), {}};
    CO_TRY(const auto entries, parse_index(top->text));
    if (entries) {
      for (const auto& e : *entries) out.platforms.push_back(e.platform);
      co_return Result<>{};
    }
    CO_TRY(const ManifestParts parts, parse_manifest(top->text));
    CO_TRY(const std::string config,
           co_await client_.config(session, parts.config_digest, parts.config_size));
    CO_TRY(const Image image, image_from_config(config, parts.config_digest, layers_));
    out.platforms.push_back(platform_of(image));
    co_return Result<>{};
  };
  auto done = co_await client_.on_endpoints(ref, false, auth, halt, work);
  if (!done) co_return std::unexpected(done.error());
  co_return out;
}

}  // namespace panal
