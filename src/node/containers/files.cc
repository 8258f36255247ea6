// A container's files: read, written and compared by a helper process, whether it runs or not. A container
// that does not run has its root mounted for as long as somebody works there; the container itself is not
// locked meanwhile, so that a slow client stops nobody.
#include "base/fd.h"
#include "base/log.h"
#include "node/containers/containers.h"

namespace panal {

static constexpr Duration kPatience = 10s;  // a removal lets work on the files go on for so long

struct Containers::RootUse final : TreeUse {
  Containers& owner;
  LivePtr live;
  RootUse(Containers& o, LivePtr l) : owner(o), live(std::move(l)) { live->tree_uses.insert(this); }
  ~RootUse() override {
    live->tree_uses.erase(this);
    live->changed.notify(owner.loop_);
    if (live->tree_uses.empty() && !owner.stopping_) owner.scope_.spawn(owner.unmount_unused(live));
  }
};

Task<void> Containers::unmount_unused(LivePtr live) {
  if (is_up(live->c.state.phase) && !live->mutex.locked()) co_return;
  {
    auto held = co_await live->mutex.lock(loop_);
    if (is_up(live->c.state.phase) || live->removed || !live->tree_uses.empty()) co_return;
    co_await take_down_mounts(live);
    if (auto gone = co_await layers_.unmount_rootfs(rootfs(live->c)); !gone)
      log::warn("msg=\"unmount\" container={} error=\"{}\"", live->c.id, gone.error().message);
  }
  live->changed.notify(loop_);  // who waits for the container at rest looks at the mutex, too
}

/// With the mutex held, before a removal.
Task<void> Containers::end_tree_uses(LivePtr live) {
  const MonoTime deadline = loop_.now() + kPatience;
  while (!live->tree_uses.empty() && loop_.now() < deadline)
    (void)co_await live->changed.wait(loop_, deadline - loop_.now());
  for (TreeUse* use : live->tree_uses)
    if (use->stop) use->stop();
  const MonoTime end = loop_.now() + kPatience;
  while (!live->tree_uses.empty() && loop_.now() < end)
    (void)co_await live->changed.wait(loop_, end - loop_.now());
}

Result<std::vector<int64_t>> Containers::layer_numbers(const std::vector<std::string>& chain_ids) const {
  std::vector<int64_t> out;
  for (const auto& chain : chain_ids) {
    const Layer* layer = images_.layer(chain);
    if (!layer) return fail(Code::kInternal, "layer " + chain + " of the container's image is missing");
    out.push_back(layer->number);
  }
  return out;
}

Task<Result<>> Containers::fill_volumes(Container& c) {
  bool filled = false;
  for (auto& m : c.mounts) {
    if (!m.copy_up) continue;
    CO_TRYV(co_await layers_.copy_up(rootfs(c) + "/merged", m.destination,
                                     m.subpath.empty() ? m.source : subpath_mount(c, m)));
    m.copy_up = false, filled = true;
  }
  co_return filled ? co_await store(c) : Result<>{};
}

Task<Result<Tree>> Containers::open_tree(LivePtr live, Mounts mounts) {
  Container& c = live->c;
  Tree tree;
  if (is_up(c.state.phase) && !live->mutex.locked()) {
    tree.use = std::make_shared<RootUse>(*this, live);
  } else {
    auto held = co_await live->mutex.lock(loop_);
    if (live->removed) co_return fail(Code::kConflict, "container " + c.id + " is gone");
    if (c.state.phase == Phase::kRemoving || c.state.phase == Phase::kDead)
      co_return fail(Code::kConflict,
                     "container " + c.id + " is marked for removal and its files cannot be used");
    tree.use = std::make_shared<RootUse>(*this, live);
    CO_TRY(auto layers, layer_numbers(c.layers));
    CO_TRYV(
        co_await layers_.mount_rootfs(rootfs(c), std::move(layers), Layers::Lasts::kBeyondCrash, ids_of(c)));
    CO_TRYV(co_await set_up_mounts(c));
    CO_TRYV(co_await fill_volumes(c));
    held.release();
    live->changed.notify(loop_);
  }
  tree.root = rootfs(c) + "/merged";
  if (has_mapped_users(c)) put_into_user_namespace(c, tree);
  if (mounts == Mounts::kLeftOut) co_return tree;
  tree.read_only = c.host.readonly_rootfs;
  std::set<std::string> taken;
  for (const auto& m : c.mounts) {
    taken.insert(m.destination);
    if (m.type != "tmpfs")
      tree.mounts.push_back({!m.subpath.empty() ? subpath_mount(c, m) : m.source, m.destination, !m.rw});
  }
  for (const char* name : {"hosts", "hostname", "resolv.conf"}) {
    const std::string target = std::string("/etc/") + name, file = dir(c) + "/" + name;
    if (!taken.contains(target) && exists(file))
      tree.mounts.push_back({file, target, c.host.readonly_rootfs});
  }
  co_return tree;
}

Task<Result<std::string>> Containers::stat_path(LivePtr live, std::string path) {
  CO_TRY(Tree tree, co_await open_tree(live, Mounts::kInPlace));
  tree.read_only = true;
  co_return co_await files_.stat(std::move(tree), std::move(path));
}

Task<Result<>> Containers::read_path(LivePtr live, std::string path,
                                     std::function<Task<Result<>>(std::string stat)> begin, Sink sink) {
  CO_TRY(Tree tree, co_await open_tree(live, Mounts::kInPlace));
  tree.read_only = true;
  const auto noted = [this, live, &begin](std::string stat) {
    event(live->c, "archive-path");
    return begin(std::move(stat));
  };
  co_return co_await files_.read(std::move(tree), std::move(path), noted, std::move(sink));
}

Task<Result<>> Containers::write_path(LivePtr live, std::string path, bool keep_kinds, Owner owner,
                                      Source source) {
  CO_TRY(Tree tree, co_await open_tree(live, Mounts::kInPlace));
  Placing placing;
  placing.keep_kinds = keep_kinds;
  const std::string& user = live->c.config.user;
  if (owner == Owner::kOfUser && !user.empty()) {
    auto passwd = layers_.read_in_root(tree.root, "/etc/passwd"),
         group = layers_.read_in_root(tree.root, "/etc/group");
    CO_TRY(const ResolvedUser who, resolve_user(user, {}, passwd.value_or(""), group.value_or("")));
    placing.owner = {who.uid, who.gid};
  }
  CO_TRYV(co_await files_.write(std::move(tree), std::move(path), placing, std::move(source)));
  event(live->c, "extract-to-dir");
  co_return Result<>{};
}

Task<Result<>> Containers::export_root(LivePtr live, Sink sink) {
  const Phase phase = live->c.state.phase;
  if (phase == Phase::kDead)
    co_return fail(Code::kConflict, "You cannot export container " + live->c.id + " which is Dead");
  if (phase == Phase::kRemoving)
    co_return fail(Code::kConflict, "You cannot export container " + live->c.id + " which is being removed");
  CO_TRY(Tree tree, co_await open_tree(live, Mounts::kLeftOut));
  tree.read_only = true;
  CO_TRYV(co_await files_.export_root(std::move(tree), std::move(sink)));
  event(live->c, "export");
  co_return Result<>{};
}

Task<Result<>> Containers::changed_layer(LivePtr live, StandStill still, Sink sink,
                                         std::optional<int64_t> epoch) {
  const std::string upper = rootfs(live->c) + "/diff";
  if (live->c.state.phase == Phase::kDead || live->c.state.phase == Phase::kRemoving)
    co_return fail(Code::kConflict, "You cannot commit container " + live->c.id + " which is being removed");
  if (!exists(upper)) co_return Result<>{};
  bool paused = still == StandStill::kYes && live->c.state.phase == Phase::kRunning;
  if (paused)
    if (auto stands = co_await pause(live, Pause::kToCopy); !stands) {
      if (runtime_.process_start(live->c.state.pid) == live->c.state.pid_start) co_return stands;
      paused = false;  // it has ended on its own
    }
  auto done = co_await files_.layer(upper, epoch, std::move(sink));
  if (paused) (void)co_await unpause(live);
  co_return done;
}

Task<Result<>> Containers::changes(LivePtr live, Sink sink) {
  const std::string upper = rootfs(live->c) + "/diff";
  if (!exists(upper)) co_return co_await sink("null\n");  // never started
  CO_TRY(const auto numbers, layer_numbers(live->c.layers));
  std::vector<std::string> layers;
  for (const int64_t n : numbers) layers.push_back(layers_.layer_dir(n));
  co_return co_await files_.changes(upper, std::move(layers), std::move(sink));
}

}  // namespace panal
