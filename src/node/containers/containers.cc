#include "node/containers/containers.h"

#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "model/container_json.h"

namespace panal {

Containers::Containers(Loop& loop, Entropy& entropy, Runtime& runtime, Layers& layers, Files& files,
                       Database& db, Events& events, Images& images, Networks& networks, Volumes& volumes,
                       ContainerPaths paths)
    : loop_(loop),
      entropy_(entropy),
      runtime_(runtime),
      layers_(layers),
      files_(files),
      db_(db),
      events_(events),
      images_(images),
      networks_(networks),
      volumes_(volumes),
      paths_(std::move(paths)),
      early_(loop, entropy, runtime, paths_.data, paths_.execs) {
  runtime_.on_exit([this](std::string id, int code) { scope_.spawn(ended(std::move(id), code)); });
  runtime_.on_oom([this](std::string id) { scope_.spawn(out_of_memory(std::move(id))); });
  runtime_.on_log_turn([this](std::string id) { log_turned(id); });
  networks_.linked_addresses = [this](auto& id, auto& name) { return linked_addresses(id, name); };
}
Containers::~Containers() = default;

Result<> Containers::load() {
  TRYV(make_dirs(paths_.data, 0710));
  TRYV(make_dirs(paths_.execs, 0700));
  TRY(const auto rows, db_.all("container"));
  for (const auto& [id, json] : rows) {
    auto live = std::make_shared<LiveContainer>();
    auto parsed = from_text<Container>(json);
    if (!parsed) {  // one damaged row must not take the others along
      log::error("msg=\"container not understood, left alone\" container={} error=\"{}\"", id,
                 parsed.error().message);
      damaged_ = true;
      continue;
    }
    live->c = std::move(*parsed);
    live->layers = std::make_unique<Images::Pin>(images_, all_layers(live->c));
    names_[live->c.name] = id;
    containers_[id] = std::move(live);
  }
  return {};
}

std::string Containers::cgroup(const Container& c) const {
  const std::string& parent = c.host.cgroup_parent;
  return (parent.empty() ? "/panal" : parent.starts_with('/') ? parent : "/" + parent) + "/" + c.id;
}

Task<Result<>> Containers::store(const Container& c) { return db_.put("container", c.id, to_text(c)); }

void Containers::changed(LivePtr live) {
  live->changed.notify(loop_);
  if (on_change) on_change(live->c);
}

void Containers::event(const Container& c, std::string action, std::map<std::string, std::string> extra) {
  extra.insert({{"name", c.name}, {"image", c.image_ref}});
  for (const auto& [key, value] : c.config.labels) extra.try_emplace(key, value);
  if (action.size() > 4096)
    action.resize(4096);  // a command may be long, and the memory of events holds many
  events_.publish("container", std::move(action), c.id, std::move(extra));
}

Result<LivePtr> Containers::find(const std::string& wanted) const {
  const std::string name = wanted.starts_with('/') ? wanted.substr(1) : wanted;
  if (auto it = containers_.find(name); it != containers_.end()) return it->second;
  if (auto it = names_.find(name); it != names_.end())
    if (auto found = containers_.find(it->second); found != containers_.end()) return found->second;
  if (!name.empty()) {
    auto it = containers_.lower_bound(name);
    if (it != containers_.end() && it->first.starts_with(name)) {
      auto next = std::next(it);
      if (next != containers_.end() && next->first.starts_with(name))
        return fail(Code::kInvalid, "multiple IDs found with provided prefix: " + name);
      return it->second;
    }
  }
  if (name.contains('/')) return find_linked(name);
  return fail(Code::kNotFound, "No such container: " + wanted);
}

// The pid may be another process by now: its start time tells.
Result<> Containers::send_signal(const Container& c, int signal) {
  if (c.state.pid <= 0 || runtime_.process_start(c.state.pid) != c.state.pid_start)
    return {};  // it has ended, news are on their way
  return runtime_.signal(c.state.pid, signal);
}

// With the mutex held at entry; it is given up while the container ends and stays so.
Task<Result<>> Containers::stop_locked(LivePtr live, std::optional<int> timeout_seconds,
                                       std::string signal_name, AsyncMutex::Held& held) {
  Container& c = live->c;
  if (live->restart_timer) loop_.cancel(*std::exchange(live->restart_timer, std::nullopt));
  if (c.state.phase == Phase::kRestarting) {
    c.state.phase = Phase::kExited;
    c.stopped_by_user |= !ends_with_daemon_;
    auto stored = co_await store(c);
    changed(live);
    co_return stored;
  }
  if (!is_up(c.state.phase)) co_return fail(Code::kNotModified, "container already stopped");
  if (signal_name.empty()) signal_name = c.config.stop_signal.empty() ? "SIGTERM" : c.config.stop_signal;
  CO_TRY(const int signal, parse_signal(signal_name));
  const int grace = timeout_seconds.value_or(c.config.stop_timeout.value_or(10));
  live->stopping = true;
  c.stopped_by_user |= !ends_with_daemon_;
  (void)co_await store(c);
  if (c.state.phase == Phase::kPaused) {
    (void)co_await runtime_.resume(c.id);
    c.state.phase = Phase::kRunning;
  }
  const uint64_t life = live->exits;
  co_await loop_.sleep(first_moment_left(c, loop_.wall_now()));
  (void)send_signal(c, signal);
  event(c, "kill", {{"signal", std::to_string(signal)}});
  held.release();
  const MonoTime deadline = loop_.now() + std::chrono::seconds(std::max(grace, 0));
  bool killed = false;
  while (live->exits == life && !live->removed) {
    std::optional<Duration> left;
    if (killed)
      left = 10s;
    else if (grace >= 0)
      left = std::max<Duration>(deadline - loop_.now(), Duration{0});
    const bool woken = left && *left == Duration{0} ? false : co_await live->changed.wait(loop_, left);
    if (woken || live->exits != life) continue;
    if (killed) {
      live->stopping = false;
      co_return fail(Code::kTimeout, "cannot stop container: " + c.id +
                                         ": tried to kill container, but did not receive an exit event");
    }
    killed = true;
    (void)send_signal(c, 9);
    if (c.state.phase == Phase::kPaused) (void)co_await runtime_.resume(c.id);  // paused since
    event(c, "kill", {{"signal", "9"}});
  }
  event(c, "stop");
  co_return Result<>{};
}

Task<Result<>> Containers::stop(LivePtr live, std::optional<int> timeout_seconds, std::string signal) {
  auto held = co_await live->mutex.lock(loop_);
  co_return co_await stop_locked(live, timeout_seconds, std::move(signal), held);
}

Task<Result<>> Containers::kill(LivePtr live, std::string signal_name) {
  CO_TRY(const int signal, parse_signal(signal_name.empty() ? "KILL" : signal_name));
  Container& c = live->c;
  const int stop_signal =
      parse_signal(c.config.stop_signal.empty() ? "SIGTERM" : c.config.stop_signal).value_or(15);
  const bool ends = signal == 9 || signal == stop_signal;
  if (c.state.phase == Phase::kRestarting) {  // no process now: only what ends the container counts
    if (ends) co_return co_await stop(live, std::nullopt, "");
    co_return Result<>{};
  }
  if (!is_up(c.state.phase))
    co_return fail(Code::kConflict, "cannot kill container: " + c.name + ": " + not_running(c).message);
  if (ends) {
    c.stopped_by_user = true;
    (void)co_await store(c);
  }
  const uint64_t life = live->exits;
  if (auto sent = send_signal(c, signal); !sent)
    co_return fail(wrap("cannot kill container: " + c.id, sent.error()));
  if (c.state.phase == Phase::kPaused && ends) {
    (void)co_await runtime_.resume(c.id);
    if (c.state.phase == Phase::kPaused) c.state.phase = Phase::kRunning;
    (void)co_await store(c);
  }
  event(c, "kill", {{"signal", std::to_string(signal)}});
  if (signal == 9)
    while (live->exits == life && !live->removed) {
      const bool woken = co_await live->changed.wait(loop_, 10s);
      if (!woken)
        co_return fail(Code::kTimeout, "cannot kill container: " + c.id +
                                           ": tried to kill container, but did not receive an exit event");
    }
  co_return Result<>{};
}

Task<Result<>> Containers::restart(LivePtr live, std::optional<int> timeout_seconds, std::string signal) {
  live->restarting = true;  // a container that removes itself stays for this
  auto stopped = co_await stop(live, timeout_seconds, std::move(signal));
  auto held = co_await live->mutex.lock(loop_);
  live->restarting = false;
  if (!stopped && stopped.error().code != Code::kNotModified) co_return stopped;
  auto started = co_await start_anew(live);
  if (!started && started.error().code != Code::kNotModified) co_return started;
  event(live->c, "restart");
  co_return Result<>{};
}

Task<Result<>> Containers::rename(LivePtr live, std::string name) {
  if (name.starts_with('/')) name = name.substr(1);
  if (name.empty()) co_return fail(Code::kInvalid, "Neither old nor new names may be empty");
  if (!valid_name(name))
    co_return fail(Code::kInvalid,
                   "Invalid container name (" + name + "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
  auto held = co_await live->mutex.lock(loop_);
  if (live->c.name == name)
    co_return fail(Code::kInvalid, "Renaming a container with the same name as its current name");
  if (auto it = names_.find(name); it != names_.end())
    co_return fail(Code::kConflict,
                   "Conflict. The container name \"/" + name + "\" is already in use by container \"" +
                       it->second +
                       "\". You have to remove (or rename) that container to be able to reuse that name.");
  const std::string old = std::exchange(live->c.name, name);
  names_.erase(old), names_[name] = live->c.id;
  networks_.renamed(live->c, old);
  std::vector<LivePtr> linking;
  for (const auto& [id, other] : containers_)
    if (rename_links(other->c, live->c, old)) linking.push_back(other);
  for (const auto& other : linking) (void)co_await store(other->c);
  event(live->c, "rename", {{"oldName", "/" + old}});
  co_return co_await store(live->c);
}

Task<Result<>> Containers::remove(LivePtr live, bool force, bool volumes) {
  if (live->c.state.phase == Phase::kRemoving)
    co_return fail(Code::kConflict, "removal of container " + live->c.id + " is already in progress");
  const auto busy = [&] { return is_up(live->c.state.phase); };
  if (busy() && !force)
    co_return fail(Code::kConflict,
                   live->c.state.phase == Phase::kPaused
                       ? "cannot remove container \"/" + live->c.name +
                             "\": container is paused and must be unpaused first"
                       : "cannot remove container \"/" + live->c.name +
                             "\": container is running: stop the container before removing or force remove");
  if (live->c.state.phase == Phase::kRestarting && !force)
    co_return fail(Code::kConflict,
                   "cannot remove container \"/" + live->c.name +
                       "\": container is restarting: stop the container before removing or force remove");
  if (live->restart_timer) loop_.cancel(*std::exchange(live->restart_timer, std::nullopt));
  for (int tries = 0;; ++tries) {
    if (busy()) {
      live->stopping = true;
      auto killed = co_await kill(live, "KILL");
      if (!killed && killed.error().code == Code::kTimeout) co_return killed;
    }
    auto held = co_await live->mutex.lock(loop_);
    if (live->removed) co_return Result<>{};
    if (!busy()) co_return co_await remove_locked(live, volumes);
    if (!force || tries == 5)
      co_return fail(Code::kConflict,
                     "cannot remove container \"/" + live->c.name + "\": it was started again");
  }
}

Task<Result<>> Containers::remove_files(std::string folder) {
  if (auto gone = co_await layers_.remove_rootfs(folder + "/rootfs"); !gone)
    log::warn("msg=\"remove root file system\" folder={} error=\"{}\"", folder, gone.error().message);
  auto work = [folder] { return remove_tree(folder); };
  co_return co_await blocking(loop_, work, Lane::kLong);
}

// Of a container that is not known any more. What a crash leaves, collect() finds.
Task<void> Containers::scrap(std::string id) {
  scraps_.insert(id);
  if (auto removed = co_await remove_files(paths_.data + "/" + id); !removed)
    log::warn("msg=\"files of a removed container stay until the next start\" error=\"{}\"",
              removed.error().message);
  scraps_.erase(id);
}

static constexpr size_t kMostScraps = 8;

Task<Result<>> Containers::remove_locked(LivePtr live, bool volumes, Remains remains) {
  Container& c = live->c;
  if (live->restart_timer) loop_.cancel(*std::exchange(live->restart_timer, std::nullopt));
  c.state.phase = Phase::kRemoving, c.volumes_go = volumes;
  // A full disk must not keep anybody from making room: only a crash in between could tell the difference.
  if (auto marked = co_await store(c); !marked)
    log::warn("msg=\"removed without a mark\" container={} error=\"{}\"", c.id, marked.error().message);
  const auto dead = [&](const Error& why) -> Task<Result<>> {
    c.state.phase = Phase::kDead;  // may be removed again
    (void)co_await store(c);
    co_return fail(wrap("container " + c.id, why));
  };
  if (remains == Remains::kAll) {
    co_await end_tree_uses(live);
    (void)co_await tear_down(live);
  }
  while (live->packing) (void)co_await live->changed.wait(loop_);
  const bool beside = remains == Remains::kFiles &&
                      scraps_.size() < kMostScraps;  // with --rm nobody is told of a failure anyway
  if (auto removed = beside ? Result<>{} : co_await remove_files(dir(c)); !removed)
    co_return co_await dead(removed.error());
  runtime_.clear_exit(c.id);
  if (!volumes)
    for (const auto& m : c.mounts)
      if (m.type == "volume") co_await volumes_.keep(m.name);
  if (auto erased = co_await db_.erase("container", c.id); !erased) co_return co_await dead(erased.error());
  if (auto it = names_.find(c.name); it != names_.end() && it->second == c.id) names_.erase(it);
  containers_.erase(c.id);
  live->removed = true;
  if (beside) scope_.spawn(scrap(c.id));
  for (const auto& [id, exec] : live->execs) {
    execs_.erase(id);
    (void)remove_tree(early_.exec_dir(id));
  }
  if (volumes)
    for (const auto& m : c.mounts) {
      auto v = m.type == "volume" ? volumes_.find(m.name) : fail(Code::kNotFound, "");
      if (v && (*v)->anonymous && users_of_volume(m.name).empty())
        (void)co_await volumes_.remove(m.name, true);
    }
  event(c, "destroy");
  changed(live);
  co_return Result<>{};
}

Task<Result<>> Containers::leave_to_user(LivePtr live) {
  auto held = co_await live->mutex.lock(loop_);
  live->c.of_build = false;
  co_return co_await store(live->c);
}

Task<Result<int>> Containers::wait(LivePtr live, std::string condition, std::function<bool()> gone) {
  const uint64_t life = live->exits;
  for (;;) {
    const Phase phase = live->c.state.phase;
    const bool at_rest = phase == Phase::kCreated || phase == Phase::kExited || phase == Phase::kDead;
    if (live->removed) break;
    if (condition == "next-exit" && live->exits != life) break;
    if ((condition.empty() || condition == "not-running") && at_rest && !live->mutex.locked()) break;
    if ((condition.empty() || condition == "not-running") && live->exits != life) break;
    if (gone && gone()) co_return fail(Code::kCancelled, "client is gone");
    (void)co_await live->changed.wait(loop_, gone ? std::optional<Duration>(30s) : std::nullopt);
  }
  co_return live->c.state.exit_code;
}

Task<Result<std::unique_ptr<Attachment>>> Containers::attach(LivePtr live, bool want_stdin,
                                                             std::function<bool()> gone) {
  if (live->c.state.phase == Phase::kRunning && !live->mutex.locked())
    co_return co_await runtime_.attach(dir(live->c), want_stdin);
  if (live->c.state.phase == Phase::kPaused)
    co_return fail(Code::kConflict,
                   "container " + live->c.id + " is paused, unpause the container before attach");
  auto waiting = std::make_shared<LiveContainer::Waiting>();
  waiting->want_stdin = want_stdin;
  live->waiting.push_back(waiting);
  while (!waiting->ready && !live->removed) {
    if (live->c.state.phase == Phase::kRunning && !live->mutex.locked()) {
      std::erase(live->waiting, waiting);
      co_return co_await runtime_.attach(dir(live->c), want_stdin);
    }
    (void)co_await live->changed.wait(loop_, 1s);
    if (gone && gone()) break;
  }
  std::erase(live->waiting, waiting);
  co_return std::move(waiting->attachment);  // null: it never started
}

Result<> Containers::resize(LivePtr live, int rows, int columns) {
  if (live->c.state.phase != Phase::kRunning) return std::unexpected(not_running(live->c));
  runtime_.resize(dir(live->c), rows, columns);
  event(live->c, "resize", {{"height", std::to_string(rows)}, {"width", std::to_string(columns)}});
  return {};
}

std::string Containers::user_of_image(const std::string& image_id, bool& running) const {
  std::string stopped;
  running = false;
  for (const auto& [id, live] : containers_) {
    const bool mounts_it =
        std::ranges::any_of(live->c.mounts, [&](const MountPoint& m) { return m.image_id == image_id; });
    if (live->c.image_id != image_id && !mounts_it) continue;
    if (is_up(live->c.state.phase)) {
      running = true;
      return id.substr(0, 12);
    }
    stopped = id.substr(0, 12);
  }
  return stopped;
}

std::vector<std::string> Containers::users_of_volume(const std::string& name) const {
  std::vector<std::string> out;
  for (const auto& [id, live] : containers_)
    for (const auto& m : live->c.mounts)
      if (m.type == "volume" && m.name == name) {
        out.push_back(id);
        break;
      }
  return out;
}

}  // namespace panal
