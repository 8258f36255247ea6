#include "node/images/push.h"

#include <algorithm>

#include "image/config.h"
#include "image/reference.h"

namespace panal {

struct ImagePush::Job {
  ImageRef ref;
  std::shared_ptr<Halt> halt;
  Report report;
  Image image;
  std::vector<int64_t> sizes;
  Result<> outcome;

  void say(size_t at, const std::string& status, int64_t current = 0, int64_t total = 0) const {
    report({.id = short_digest(image.diff_ids[at]), .status = status, .current = current, .total = total});
  }
};

// A repository of the same registry that has this blob, as far as this node knows.
std::string ImagePush::mount_source(const ImageRef& ref, const std::string& digest) const {
  for (const auto& [id, image] : images_.all()) {
    if (std::ranges::find(image.layer_digests, digest) == image.layer_digests.end()) continue;
    for (const auto& known : image.repo_digests)
      if (const auto other = parse_reference(known);
          other && other->domain == ref.domain && other->path != ref.path)
        return other->path;
  }
  return "";
}

// Monolithic: the upload that was begun at `location` gets the whole blob and its digest in one request.
Task<Result<>> ImagePush::upload(RegistrySession& session, std::string digest, std::string location,
                                 std::function<void(int64_t)> progress) {
  HttpCall put{.method = "PUT",
               .url = add_query(std::move(location), "digest", digest),
               .headers = {{"Content-Type", "application/octet-stream"}},
               .send_file = layers_.blob_path(digest),
               .progress = std::move(progress)};
  const std::string text = call_text("PUT", put.url.substr(0, put.url.find('?')));
  CO_TRY(const auto answer, co_await client_.call(session, std::move(put), 1));
  if (answer.status == 201 || answer.status == 204) co_return Result<>{};
  co_return std::unexpected(registry_error(answer.status, answer.body, text));
}

Task<Result<>> ImagePush::send_layer(RegistrySession& session, Job& job, size_t at) {
  const std::string digest = job.image.layer_digests[at];
  const int64_t size = job.sizes[at];
  const auto progress = [&job, at, size](int64_t now) { job.say(at, "Pushing", now, size); };
  for (int attempt = 1;; ++attempt) {
    HttpCall head{.method = "HEAD", .url = session.url("/blobs/" + digest)};
    CO_TRY(const auto there, co_await client_.call(session, std::move(head)));
    if (there.status == 200) {
      job.say(at, attempt == 1 ? "Layer already exists" : "Pushed");
      co_return Result<>{};
    }
    HttpCall post{.method = "POST", .url = session.url("/blobs/uploads/")};
    const std::string from = attempt == 1 ? mount_source(job.ref, digest) : "";
    if (!from.empty()) post.url = add_query(add_query(post.url, "mount", digest), "from", from);
    const std::string text = call_text("POST", post.url.substr(0, post.url.find('?')));
    CO_TRY(auto begun, co_await client_.call(session, std::move(post)));
    if (begun.status == 201) {
      job.say(at, "Mounted from " + from);
      co_return Result<>{};
    }
    if (begun.status != 202 || begun.headers["location"].empty())
      co_return std::unexpected(registry_error(begun.status, begun.body, text));
    job.say(at, "Pushing", 1, size);
    auto sent = co_await upload(session, digest,
                                resolve_location(session.url("/blobs/uploads/"), begun.headers["location"]),
                                progress);
    if (sent) {
      job.say(at, "Pushed");
      co_return sent;
    }
    const bool again = sent.error().code == Code::kTimeout || sent.error().code == Code::kUnavailable;
    if (!again || attempt >= 5) co_return sent;
    job.say(at, "Retrying in " + std::to_string(attempt) + (attempt == 1 ? " second" : " seconds"));
    co_await loop_.sleep(1s * attempt);
    if (job.halt->halted()) co_return fail(Code::kCancelled, "context canceled");
  }
}

Task<void> ImagePush::push_layer(RegistrySession& session, Job& job, size_t at) {
  if (!slots_.free()) job.say(at, "Waiting");
  co_await slots_.take(loop_);
  auto done = job.halt->halted() ? Result<>() : co_await send_layer(session, job, at);
  slots_.give(loop_);
  if (done || !job.outcome) co_return;
  job.outcome = done;
  session.halt->halt();
}

Task<Result<>> ImagePush::send_config(RegistrySession& session, Job& job) {
  HttpCall head{.method = "HEAD", .url = session.url("/blobs/" + job.image.id)};
  CO_TRY(const auto there, co_await client_.call(session, std::move(head)));
  if (there.status == 200) co_return Result<>{};
  HttpCall post{.method = "POST", .url = session.url("/blobs/uploads/")};
  const std::string text = call_text("POST", post.url);
  CO_TRY(auto begun, co_await client_.call(session, std::move(post)));
  if (begun.status != 202 || begun.headers["location"].empty())
    co_return std::unexpected(registry_error(begun.status, begun.body, text));
  co_return co_await upload(session, job.image.id,
                            resolve_location(session.url("/blobs/uploads/"), begun.headers["location"]), {});
}

Task<Result<>> ImagePush::push_tag(RegistrySession& session, Job& job) {
  CO_TRY(const ManifestParts parts, parse_manifest(job.image.manifest));
  job.sizes = parts.layer_sizes, job.outcome = {};
  std::vector<std::string> blobs = job.image.layer_digests;
  blobs.push_back(job.image.id);
  const Images::Pin pin(images_, blobs);
  for (const auto& digest : blobs)
    if (!layers_.has_blob(digest))
      co_return fail(Code::kInternal, "blob " + digest + " of the image is gone");
  for (const auto& digest : job.image.layer_digests)
    if (const std::string from = mount_source(job.ref, digest); !from.empty())
      if (const std::string scope = repository_scope(from, false);
          std::ranges::find(session.scopes, scope) == session.scopes.end())
        session.scopes.push_back(scope);
  const auto inner = std::make_shared<Halt>();
  job.halt->on_halt(inner.get(), [inner] { inner->halt(); });
  session.halt = inner;
  // The first answer decides about the endpoint and brings the token: the layers do not ask for one each.
  HttpCall first{.method = "HEAD", .url = session.url("/blobs/" + job.image.id)};
  auto reached = co_await client_.call(session, std::move(first));
  if (reached && reached->status != 200 && reached->status != 404)
    reached = std::unexpected(registry_error(reached->status, reached->body,
                                             call_text("HEAD", session.url("/blobs/" + job.image.id))));
  if (reached) {
    Scope scope;
    for (size_t i = 0; i < job.sizes.size(); ++i) scope.spawn(push_layer(session, job, i));
    co_await scope.join();
  }
  job.halt->forget(inner.get());
  session.halt = job.halt;
  if (!reached) co_return std::unexpected(reached.error());
  CO_TRYV(job.outcome);
  if (job.halt->halted()) co_return fail(Code::kCancelled, "context canceled");
  CO_TRYV(co_await send_config(session, job));
  HttpCall put{.method = "PUT",
               .url = session.url("/manifests/" + job.ref.tag),
               .headers = {{"Content-Type", manifest_media_type(job.image.manifest)}},
               .body = job.image.manifest};
  const std::string text = call_text("PUT", put.url);
  CO_TRY(const auto answer, co_await client_.call(session, std::move(put)));
  if (answer.status != 201 && answer.status != 200)
    co_return std::unexpected(registry_error(answer.status, answer.body, text));
  co_return Result<>{};
}

Task<Result<>> ImagePush::push(ImageRef ref, RegistryAuth auth, std::shared_ptr<Halt> halt, Report report) {
  if (!ref.digest.empty()) co_return fail(Code::kInvalid, "cannot push a digest reference");
  report({.status = "The push refers to repository [" + ref.domain + "/" + ref.path + "]"});
  std::vector<ImageRef> wanted;
  bool known = false;
  for (const auto& [id, image] : images_.all())
    for (const auto& tag : image.tags)
      if (auto own = parse_reference(tag); own && own->domain == ref.domain && own->path == ref.path) {
        known = true;
        if (ref.tag.empty() || own->tag == ref.tag) wanted.push_back(*own);
      }
  if (wanted.empty())
    co_return fail(Code::kNotFound,
                   known ? "tag does not exist: " + ref.familiar()
                         : "An image does not exist locally with the tag: " + ref.familiar_name());
  std::ranges::sort(wanted, {}, &ImageRef::tag);
  for (const auto& own : wanted) {
    CO_TRY(const Image* image, images_.find(own.familiar()));
    Job job{.ref = own, .halt = halt, .report = report, .image = *image};
    for (size_t i = job.image.diff_ids.size(); i-- > 0;) job.say(i, "Preparing");
    std::function<Task<Result<>>(RegistrySession&)> work = [this, &job](RegistrySession& session) {
      return push_tag(session, job);
    };
    auto done = co_await client_.on_endpoints(own, true, auth, halt, work);
    if (!done) co_return done;
    CO_TRYV(co_await images_.add_repo_digest(job.image.id,
                                             own.familiar_name() + "@" + job.image.manifest_digest));
    const auto size = static_cast<int64_t>(job.image.manifest.size());
    report({.status = own.tag + ": digest: " + job.image.manifest_digest + " size: " + std::to_string(size)});
    report({.tag = own.tag, .digest = job.image.manifest_digest, .size_bytes = size});
    events_.publish("image", "push", own.familiar(), {{"name", own.familiar_name()}});
  }
  co_return Result<>{};
}

}  // namespace panal
