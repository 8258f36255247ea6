// Images made here of one new layer: docker import and docker commit.
#include <filesystem>

#include "base/text.h"
#include "dockerfile/config.h"
#include "image/config.h"
#include "image/reference.h"
#include "model/image_json.h"
#include "node/images/images.h"

namespace panal {

namespace {

// Hands pieces from one who pushes to one who pulls; at most one waits.
class Handover {
 public:
  explicit Handover(Loop& loop) : loop_(loop) {}
  Task<Result<>> put(std::string_view piece) {
    while (full_ && !abandoned_) (void)co_await changed_.wait(loop_);
    if (abandoned_) co_return fail(Code::kCancelled, "nobody takes it any more");
    piece_ = piece, full_ = true;
    changed_.notify(loop_);
    co_return Result<>{};
  }
  void end(Result<> how) {
    outcome_ = std::move(how), ended_ = true;
    changed_.notify(loop_);
  }
  void abandon() {
    abandoned_ = true;
    changed_.notify(loop_);
  }
  Task<Result<std::string>> take() {
    while (!full_ && !ended_) (void)co_await changed_.wait(loop_);
    if (full_) {
      full_ = false;
      changed_.notify(loop_);
      co_return std::move(piece_);
    }
    if (!outcome_) co_return std::unexpected(outcome_.error());
    co_return std::string();
  }
  /// Whether there is more to take than the end of nothing.
  Task<bool> anything() {
    while (!full_ && !ended_) (void)co_await changed_.wait(loop_);
    co_return full_ || !outcome_;
  }

 private:
  Loop& loop_;
  std::string piece_;
  bool full_ = false, ended_ = false, abandoned_ = false;
  Result<> outcome_;
  Event changed_;
};

}  // namespace

struct Images::FreshLayer {
  ArchiveFile blob;
  std::string diff_id, chain_id;
  std::unique_ptr<Pin> pin;
};

Task<Result<Images::FreshLayer>> Images::fresh_layer(Source source, std::string dir, std::string below) {
  FreshLayer out;
  CO_TRY(out.blob, co_await layers_.save_blob(std::move(source), dir + "/layer"));
  const int64_t number = next_layer_++;
  auto unpacked = co_await layers_.unpack(out.blob.file, out.blob.digest, number, {});
  if (!unpacked) {
    (void)co_await layers_.remove_layer(number);
    co_return std::unexpected(unpacked.error());
  }
  out.diff_id = unpacked->diff_id;
  out.chain_id = below.empty() ? out.diff_id : layers_.sha256(below + " " + out.diff_id);
  out.pin = std::make_unique<Pin>(*this, std::vector<std::string>{out.chain_id});
  if (layer_rows_.contains(out.chain_id) || unpacking_.contains(out.chain_id)) {
    (void)co_await layers_.remove_layer(number);
    co_return out;
  }
  const Layer row{out.chain_id, out.diff_id, out.blob.digest, number, unpacked->size_bytes, boot_};
  if (auto stored = co_await store(row); !stored) {
    (void)co_await layers_.remove_layer(number);
    co_return std::unexpected(stored.error());
  }
  layer_rows_[row.chain_id] = row;
  written(unsynced_layers_, row.chain_id);
  co_return out;
}

Task<Result<std::string>> Images::import(Source source, Import wish) {
  std::vector<std::string> tags;
  if (!wish.reference.empty()) {
    CO_TRY(const ImageRef ref, parse_tagged(wish.reference));
    tags.push_back(ref.familiar());
  }
  ImageDraft draft;
  CO_TRYV(apply_changes(draft, wish.changes));
  const std::string dir = layers_.new_ingest_dir();
  std::vector<std::string> chain;
  auto work = [&]() -> Task<Result<std::string>> {
    CO_TRY(const FreshLayer layer, co_await fresh_layer(std::move(source), dir, ""));
    chain = {layer.chain_id};
    const std::string config =
        import_config(layer.diff_id, draft.config, wish.message, rfc3339(loop_.wall_now()), wish.platform);
    CO_TRY(Image image, image_from_config(config, layers_.sha256(config), layers_));
    image.layer_digests = {layer.blob.digest};
    image.manifest = make_manifest(image.id, config.size(),
                                   {packed_layer(layer.blob.file, layer.blob.digest, layer.blob.size_bytes)});
    image.manifest_digest = layers_.sha256(image.manifest);
    std::vector<ArchiveFile> layers = {layer.blob};
    co_return co_await store_and_add(std::move(image), config, std::move(layers), tags);
  };
  auto id = co_await work();
  co_await layers_.drop_ingest(dir);
  if (!id)
    co_await drop_unused(chain, {});
  else
    told("import", *id, *id);
  co_return id;
}

Task<Result<std::string>> Images::commit(Commit wish, std::function<Task<Result<>>(Sink)> pack) {
  std::vector<std::string> tags;
  if (!wish.reference.empty()) {
    CO_TRY(const ImageRef ref, parse_tagged(wish.reference));
    tags.push_back(ref.familiar());
  }
  ImageDraft draft{.config = wish.config, .author = wish.author};
  CO_TRYV(apply_changes(draft, wish.changes));
  const std::string dir = layers_.new_ingest_dir();
  std::vector<std::string> chain = wish.chain_ids;
  const Pin below(*this, chain);
  Handover handover(loop_);
  Scope scope;
  auto produce = [&]() -> Task<void> {
    const Sink sink = [&handover](std::string_view piece) { return handover.put(piece); };
    handover.end(co_await pack(sink));
  };
  auto work = [&]() -> Task<Result<std::string>> {
    CommitParts parts{.config = draft.config, .platform = wish.platform.value_or(host_platform())};
    std::vector<PackedLayer> packed;
    for (const auto& id : wish.chain_ids) {
      const Layer* row = layer(id);
      if (!row || !layers_.has_blob(row->blob_digest))
        co_return fail(Code::kInternal, "a layer of the container's image is gone");
      std::error_code error;
      const std::string file = layers_.blob_path(row->blob_digest);
      parts.diff_ids.push_back(row->diff_id),
          packed.push_back(packed_layer(file, row->blob_digest,
                                        static_cast<int64_t>(std::filesystem::file_size(file, error))));
    }
    if (auto parent = images_.find(wish.parent); parent != images_.end()) {
      parts.history = parent->second.history;
      parts.platform = platform_of(parent->second);
    }
    std::vector<ArchiveFile> layers;
    std::optional<FreshLayer> top;
    if (co_await handover.anything()) {
      const Source source = [&handover] { return handover.take(); };
      CO_TRY(top, co_await fresh_layer(source, dir, chain.empty() ? "" : chain.back()));
      chain.push_back(top->chain_id);
      parts.diff_ids.push_back(top->diff_id),
          packed.push_back(packed_layer(top->blob.file, top->blob.digest, top->blob.size_bytes)),
          layers.push_back(top->blob);
    }
    parts.entry = {rfc3339(wish.created.value_or(loop_.wall_now())), wish.created_by, draft.author,
                   wish.comment, !top && !wish.layer_given};
    const std::string config = commit_config(std::move(parts));
    CO_TRY(Image image, image_from_config(config, layers_.sha256(config), layers_));
    for (const auto& l : packed) image.layer_digests.push_back(l.digest);
    image.manifest = make_manifest(image.id, config.size(), packed);
    image.manifest_digest = layers_.sha256(image.manifest);
    image.parent = wish.parent, image.build_key = wish.build_key, image.build_step = !wish.build_key.empty(),
    image.used_at = loop_.wall_now();
    co_return co_await store_and_add(std::move(image), config, std::move(layers), tags);
  };
  scope.spawn(produce());
  auto id = co_await work();
  handover.abandon();
  co_await scope.join();
  co_await layers_.drop_ingest(dir);
  if (!id) co_await drop_unused(chain, {});
  if (id && !wish.build_key.empty()) told("create", *id, *id);
  co_return id;
}

}  // namespace panal
