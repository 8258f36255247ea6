#include "node/images/peers.h"

#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "image/config.h"
#include "image/index.h"
#include "image/reference.h"
#include "model/image_json.h"
#include "ports/file_source.h"

#include <fcntl.h>

namespace panal {

struct FoundImage {
  std::string manifest, config, index;
  bool from_registry = false;
};
template <class A>
void fields(A& a, FoundImage& f) {
  a("Manifest", f.manifest), a("Config", f.config), a.opt("Index", f.index),
      a.opt("FromRegistry", f.from_registry);
}

void ImagePeers::serve() {
  transport_.serve("/panal.Images/Find", {"manager", "worker"},
                   [this](Peer p, std::string r) { return on_find(std::move(p), std::move(r)); });
  transport_.serve_stream("/panal.Images/Blob", {"manager", "worker"},
                          [this](Peer p, RpcStream& s) { return on_blob(std::move(p), s); });
}

Task<Result<std::string>> ImagePeers::on_find(Peer, std::string reference) {
  CO_TRY(const Image* image, images_.find(reference));
  for (const auto& digest : image->layer_digests)
    if (!layers_.has_blob(digest)) co_return fail(Code::kNotFound, "blob " + digest + " is gone");
  FoundImage found{image->manifest, image->config_json, image->index, !image->repo_digests.empty()};
  co_return to_text(found);
}

Task<Result<>> ImagePeers::on_blob(Peer, RpcStream& stream) {
  CO_TRY(auto digest, co_await stream.read());
  if (!digest || !valid_digest(*digest)) co_return fail(Code::kInvalid, "invalid digest");
  auto file = std::make_shared<Fd>(::open(layers_.blob_path(*digest).c_str(), O_RDONLY | O_CLOEXEC));
  if (!*file) co_return fail(Code::kNotFound, "no such blob: " + *digest);
  const Source source = file_source(loop_, file);
  for (;;) {
    CO_TRY(std::string chunk, co_await source());
    if (chunk.empty()) co_return Result<>{};
    CO_TRYV(co_await stream.write(std::move(chunk)));
  }
}

Task<Result<ImagePeers::Found>> ImagePeers::find(std::string reference) {
  if (auto here = images_.find(reference))
    co_return Found{(*here)->manifest, (*here)->config_json, (*here)->index, "",
                    !(*here)->repo_digests.empty()};
  // A pinned reference whose tag differs here may still be known under its digest.
  const auto peers = peers_;
  for (const auto& address : peers) {
    auto reply = co_await transport_.call(address, "/panal.Images/Find", reference, 3s);
    if (!reply) continue;
    auto found = from_text<FoundImage>(*reply);
    if (found) co_return Found{found->manifest, found->config, found->index, address, found->from_registry};
  }
  auto ref = parse_tagged(reference);
  co_return fail(Code::kNotFound,
                 "No such image: " + (ref ? ref->familiar() : reference) +
                     (peers.empty() ? "" : " (asked " + std::to_string(peers.size()) + " other nodes)"));
}

Task<Result<>> ImagePeers::fetch_blob(std::string address, std::string digest, std::shared_ptr<Halt> halt) {
  CO_TRY(auto stream, co_await transport_.open(address, "/panal.Images/Blob"));
  auto* raw = stream.get();
  halt->on_halt(raw, [raw] { raw->cancel(); });
  const std::string dir = layers_.new_ingest_dir();
  const Source source = [raw]() -> Task<Result<std::string>> {
    CO_TRY(auto chunk, co_await raw->read());
    co_return chunk ? std::move(*chunk) : std::string();
  };
  Result<> done = co_await raw->write(digest);
  if (done) {
    raw->finish();
    const auto saved = co_await layers_.save_blob(source, dir + "/blob");
    done = !saved ? fail(saved.error())
           : saved->digest != digest
               ? fail(Code::kInvalid, "blob from " + address + ": want " + digest + ", got " + saved->digest)
               : layers_.adopt_blob(saved->file, digest);
  }
  halt->forget(raw);
  co_await layers_.drop_ingest(dir);
  co_return done;
}

// One transfer serves all who want a blob at the same time; when it has ended, however, the others look
// again.
Task<Result<>> ImagePeers::fetch_from_any(std::vector<std::string> addresses, std::string digest,
                                          std::shared_ptr<Halt> halt) {
  while (fetching_.contains(digest) && !halt->halted()) {
    const auto event = fetching_[digest];
    (void)co_await event->wait(loop_, 1s);
  }
  if (layers_.has_blob(digest)) co_return Result<>{};
  Result<> done = fail(Code::kNotFound, "blob " + digest + ": no node has it");
  if (halt->halted()) co_return done;
  const auto event = fetching_[digest] = std::make_shared<Event>();
  for (const auto& address : addresses) {
    done = co_await fetch_blob(address, digest, halt);
    if (done || halt->halted()) break;
    log::warn("msg=\"blob from peer\" peer={} digest={} error=\"{}\"", address, digest, done.error().message);
  }
  fetching_.erase(digest);
  event->notify(loop_);
  co_return done;
}

// A digest is that of the manifest, or of an index that names it.
Result<> ImagePeers::check(const ImageRef& ref, const Found& found) const {
  const std::string own = layers_.sha256(found.manifest);
  if (ref.digest.empty() || own == ref.digest) return {};
  if (!found.index.empty() && layers_.sha256(found.index) == ref.digest) {
    TRY(const auto entries, parse_index(found.index));
    if (entries && std::ranges::any_of(*entries, [&](const IndexEntry& e) { return e.digest == own; }))
      return {};
  }
  return fail(Code::kInvalid, "image " + ref.familiar() + ": the manifest from " + found.address +
                                  " does not match its digest");
}

Task<Result<>> ImagePeers::fetch_blobs(ImageRef ref, Found found, std::vector<std::string> layers,
                                       std::shared_ptr<Halt> halt) {
  log::info("msg=\"fetching image from a peer\" image={} peer={} layers={}", ref.familiar(), found.address,
            layers.size());
  std::vector<std::string> addresses = {found.address};
  for (const auto& p : peers_)
    if (p != found.address) addresses.push_back(p);
  Scope scope;
  std::vector<Result<>> results(layers.size());
  auto one = [&](size_t i) -> Task<void> {
    results[i] = co_await fetch_from_any(addresses, layers[i], halt);
  };
  for (size_t i = 0; i < results.size(); ++i) scope.spawn(one(i));
  co_await scope.join();
  if (halt->halted())
    co_return fail(Code::kCancelled, "image " + ref.familiar() + ": nobody wants it any more");
  for (auto& r : results)
    if (!r) co_return std::unexpected(wrap("image " + ref.familiar(), r.error()));
  co_return Result<>{};
}

Task<Result<std::string>> ImagePeers::fetch(ImageRef ref, Found found, std::shared_ptr<Halt> halt) {
  CO_TRYV(check(ref, found));
  CO_TRY(const ManifestParts parts, parse_manifest(found.manifest));
  std::vector<std::string> digests = parts.layer_digests;
  digests.push_back(parts.config_digest);
  Result<> fetched;
  {
    const Images::Pin pin(images_, digests);
    fetched = co_await fetch_blobs(ref, found, parts.layer_digests, halt);
    if (fetched) {
      Images::Arrival arrival{found.manifest, found.config, found.index, {}, {}};
      if (!ref.digest.empty() && found.from_registry)
        arrival.repo_digests.push_back(ref.familiar_name() + "@" + ref.digest);
      ref.digest.clear();
      if (!ref.tag.empty()) arrival.tags.push_back(ref.familiar());
      co_return co_await images_.adopt(std::move(arrival));
    }
  }
  co_await images_.discard({}, digests);
  co_return std::unexpected(fetched.error());
}

Task<Result<std::string>> ImagePeers::ensure(std::string reference, std::string registry_auth,
                                             std::shared_ptr<Halt> halt) {
  if (auto here = images_.find(reference)) co_return (*here)->id;
  CO_TRY(const ImageRef ref, parse_tagged(reference));
  auto found = co_await find(reference);
  Error missing;
  if (found) {
    auto fetched = co_await fetch(ref, *found, halt);
    if (fetched || !pull || halt->halted()) co_return fetched;
    missing = fetched.error();
  } else {
    missing = found.error();
    if (!pull || missing.code != Code::kNotFound) co_return std::unexpected(missing);
  }
  auto pulled = co_await pull(reference, registry_auth, halt);
  if (pulled) co_return pulled;
  co_return fail(missing.code, missing.message + "; " + pulled.error().message);
}

}  // namespace panal
