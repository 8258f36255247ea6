// At the daemon's start: what runs is taken back, what ended meanwhile is recorded, what must run is started.
#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "node/containers/containers.h"
#include "node/logs/log_files.h"

namespace panal {

Task<void> Containers::adopt() {
  co_await runtime_.settle_creations();
  co_await bring_apparmor_profile();
  std::vector<LivePtr> all;
  for (const auto& [id, live] : containers_) all.push_back(live);
  // Addresses and ports of what runs are taken first, before anything that starts again could be given them.
  for (const auto& live : all) {
    Container& c = live->c;
    if (!is_up(c.state.phase)) continue;
    for (auto& port : c.ports)  // a record of before this was kept
      if (port.to.empty())
        for (const auto& [name, e] : c.networks)
          if (port.to.empty()) port.to = e.ip_address;
    for (const auto& [name, e] : c.networks) networks_.readopt(c, name, e);
    networks_.readopt_ports(c.ports);
  }
  co_await unplug_unrecorded();
  for (const auto& live : all) {
    auto held = co_await live->mutex.lock(loop_);
    if (live->removed) continue;  // its end was told meanwhile
    Container& c = live->c;
    const bool was_running = is_up(c.state.phase);
    if (was_running) {
      const auto code = runtime_.recorded_exit(c.id);
      const bool alive = !code && c.state.pid > 0 &&
                         runtime_.process_start(c.state.pid) == c.state.pid_start && c.state.pid_start != 0;
      if (alive) {
        co_await adopt_running(live);
      } else {
        co_await handle_end(live, co_await runtime_.ended_with(c.id, dir(c)));
      }
    } else if (c.state.phase == Phase::kRestarting || c.state.phase == Phase::kCreated ||
               c.state.phase == Phase::kExited) {
      (void)co_await tear_down(
          live);  // a start that the daemon's death cut short; its monitor may be about to record the end
      (void)co_await runtime_.ended_with(c.id, dir(c));
      runtime_.clear_exit(c.id);
      if (c.state.phase == Phase::kRestarting) {
        if (c.restart_count > 0) --c.restart_count;  // the one that did not come about is counted again
        if (!live->restart_timer) schedule_restart(live);
        continue;
      }
      const bool again = c.state.phase == Phase::kExited && !c.managed_by_swarm &&
                         (c.host.restart_policy.name == "always" ||
                          (c.host.restart_policy.name == "unless-stopped" && !c.stopped_by_user));
      if (again)
        schedule_restart(live);
      else if (c.host.auto_remove && c.state.phase == Phase::kExited)
        (void)co_await remove_locked(live, true);
    } else if (c.state.phase == Phase::kRemoving) {
      (void)co_await remove_locked(live, c.volumes_go);
    }
  }
  for (const auto& live : all)
    if (live->c.of_build && !live->removed)
      if (auto gone = co_await remove(live, true, true); !gone)
        log::warn("msg=\"remove a build's container\" container={} error=\"{}\"", live->c.id,
                  gone.error().message);
  if (!damaged_) scope_.spawn(collect());
}

// A daemon that dies in the middle of a connect has not recorded it: it did not happen. One that dies in the
// middle of a disconnect has not recorded that either: adopt_running() plugs in again.
Task<void> Containers::unplug_unrecorded() {
  std::set<std::string> ids, ends;
  for (const auto& [id, live] : containers_) {
    ids.insert(id);
    if (is_up(live->c.state.phase))
      for (const auto& [name, e] : live->c.networks)
        if (e.index >= 0) ends.insert(Networks::host_end(live->c, e.index));
  }
  co_await networks_.unplug_others(ids, ends);
}

Task<void> Containers::adopt_running(LivePtr live) {
  Container& c = live->c;
  bool plugged = false;
  for (auto& [name, e] : c.networks) {
    const auto again = co_await networks_.restore(c, name, e);
    if (!again)
      log::warn("msg=\"plug in again\" container={} network={} error=\"{}\"", c.id, name,
                again.error().message);
    plugged |= again && *again;
  }
  if (plugged) {
    (void)co_await settle_network(live);
    (void)co_await store(c);
  }
  if (!c.ports.empty())  // rules may have been flushed meanwhile
    if (auto again = co_await networks_.kernel().publish(c.ports); !again)
      log::warn("msg=\"publish again\" container={} error=\"{}\"", c.id, again.error().message);
  // The daemon may have died between "running" on record and the start itself.
  if (c.state.phase == Phase::kRunning) (void)runtime_.start(c.id);
  runtime_.watch(c.id, dir(c), c.state.pid);
  for (const auto& m : c.mounts)
    if (m.type == "volume") volumes_.readopt(m.name);
  if (const auto logging = log_plan(c.host.log_config); logging && logging->kept)
    panal::log_turned(log_path(c), logging->limits, Hole::kKeepOlder);
  scope_.spawn(pack_logs(live));
  start_forwarding(live);
  if (knows_names(c)) (void)co_await networks_.serve_names(c);
  if (!c.state.health.empty()) scope_.spawn(health_loop(live, live->exits));
  co_await adopt_pause(live);
  log::info("msg=\"adopted\" container={} pid={}", c.id, c.state.pid);
}

// Folders of a creation that was cut short and of execs whose daemon has died; and of images what nobody has.
Task<void> Containers::collect() {
  std::vector<std::string> orphans;  // before the first wait: afterwards containers are made
  for (const auto& [name, v] : volumes_.all())
    if (!v.made_for.empty() && !containers_.contains(v.made_for) && users_of_volume(name).empty())
      orphans.push_back(name);
  co_await volumes_.collect();
  for (const auto& name : orphans) (void)co_await volumes_.remove(name, true);
  for (const auto& id : list_dir(paths_.execs))
    if (!early_.knows_exec(id) &&
        std::ranges::none_of(execs_, [&](const auto& e) { return e.first.starts_with(id); }))
      (void)remove_tree(paths_.execs + "/" + id);
  for (const auto& id : list_dir(paths_.mapped_roots)) {
    const auto it = containers_.find(id);
    Container none;
    none.id = id;
    if (it == containers_.end() || (!is_up(it->second->c.state.phase) && !it->second->mutex.locked()))
      take_down_users(none);
  }
  for (const auto& id : list_dir(paths_.data)) {
    const std::string folder = paths_.data + "/" + id;
    if (id.size() != 64 || containers_.contains(id) || scraps_.contains(id) || early_.knows(id)) continue;
    (void)co_await remove_files(folder);
  }
  co_await images_.collect();
}

}  // namespace panal
