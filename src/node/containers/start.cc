// Starting and ending: root file system, network, runtime; and the way back.
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "model/container_json.h"
#include "node/containers/containers.h"
#include "node/containers/host_devices.h"
#include "node/logs/log_files.h"

namespace panal {

bool Containers::joins_network(const Container& c) const { return network_mode(c).starts_with("container:"); }

Result<std::string> Containers::namespace_for(const Container& c, const std::string& mode,
                                              const char* kind) const {
  if (mode == "host") return std::string("host");
  if (!mode.starts_with("container:")) return std::string();
  TRY(const LivePtr other, find(mode.substr(10)));
  if (other->c.id == c.id)
    return fail(Code::kInvalid, std::string("cannot join own ") +
                                    (kind == std::string_view("net") ? "network" : kind) + " namespace");
  if (other->c.state.phase != Phase::kRunning && kind == std::string_view("pid"))
    return fail(Code::kInternal,
                "failed to join PID namespace: container " + other->c.id + " is not running");
  if (other->c.state.phase != Phase::kRunning)
    return fail(Code::kConflict, "cannot join namespace of a non running container: container " +
                                     other->c.name + " is " + std::string(name_of(other->c.state.phase)));
  return "/proc/" + std::to_string(other->c.state.pid) + "/ns/" + kind;
}

std::string Containers::network_namespace(const Container& c) const {
  if (network_mode(c) == "host") return "host";
  if (joins_network(c)) {
    auto path = namespace_for(c, c.host.network_mode, "net");
    return path ? *path : "";
  }
  return networks_.namespace_path(c.id);
}

Result<std::string> Containers::shm_of(const Container& c) const {
  const std::string& mode = c.host.ipc_mode;
  if (mode == "host") return std::string("/dev/shm");
  if (mode == "shareable") return shm(c);
  if (!mode.starts_with("container:"))
    return fail(
        Code::kInvalid,
        "container " + c.id + ": non-shareable IPC (hint: use IpcMode:shareable for the donor container)");
  TRY(const LivePtr other, find(mode.substr(10)));
  return shm_of(other->c);
}

// Whoever shares the namespace shares /dev/shm, too.
Result<> Containers::set_up_ipc(const Container& c, OciInputs& in) {
  TRY(in.ipc_ns, namespace_for(c, c.host.ipc_mode, "ipc"));
  if (c.host.ipc_mode == "shareable") TRYV(layers_.mount_shm(shm(c), c.host.shm_size, ids_of(c)));
  if (c.host.ipc_mode == "shareable" || !in.ipc_ns.empty()) {
    TRY(in.shm_source, shm_of(c));
  }
  return {};
}

Task<Remains> Containers::tear_down(LivePtr live) {
  Container& c = live->c;
  (void)early_.give_up(c.id);
  early_.container_ended(c.id);
  const auto runtime_gone = co_await runtime_.remove(c.id, cgroup(c));
  if (!runtime_gone)
    log::warn("msg=\"remove from runtime\" container={} error=\"{}\"", c.id, runtime_gone.error().message);
  co_await tear_down_network(live);
  if (c.host.ipc_mode == "shareable") layers_.unmount_shm(shm(c));
  if (!live->tree_uses.empty()) co_return Remains::kAll;  // the last of them unmounts
  co_await take_down_mounts(live);
  const auto unmounted = co_await layers_.unmount_rootfs(rootfs(c));
  if (!unmounted) log::warn("msg=\"unmount\" container={} error=\"{}\"", c.id, unmounted.error().message);
  co_return runtime_gone&& unmounted ? Remains::kFiles : Remains::kAll;
}

Task<void> Containers::attach_waiting(LivePtr live) {
  for (auto& w : std::exchange(live->waiting, {})) {
    if (auto a = co_await runtime_.attach(dir(live->c), w->want_stdin)) w->attachment = std::move(*a);
    w->ready = true;
  }
}

static void give_name_files(const std::string& dir, OciInputs& in) {
  in.hosts_file = dir + "/hosts", in.hostname_file = dir + "/hostname", in.resolv_file = dir + "/resolv.conf";
}

Task<Result<>> Containers::start_steps(LivePtr live) {
  Container& c = live->c;
  const bool mapped = has_mapped_users(c);
  if (mapped) CO_TRYV(check_mapped_users(c.host, paths_.ids));
  if (c.state.root_uid && !mapped)  // no more: files that belong to that root are made anew
    for (const char* file : {"/hosts", "/hostname", "/resolv.conf"}) ::unlink((dir(c) + file).c_str());
  c.state.root_uid = mapped ? paths_.ids.root_uid() : 0,
  c.state.root_gid = mapped ? paths_.ids.root_gid() : 0;
  CO_TRYV(check_links(c));
  CO_TRY(auto layers, layer_numbers(c.layers));
  CO_TRYV(co_await check_log_sink(c));
  CO_TRY(auto monitor, early_.take(c.id, kind_of(c, mapped)));
  CO_TRYV(co_await layers_.mount_rootfs(
      rootfs(c), std::move(layers),
      c.host.auto_remove ? Layers::Lasts::kUntilCrash : Layers::Lasts::kBeyondCrash, ids_of(c)));
  CO_TRYV(co_await set_up_network(live));
  CO_TRYV(write_files(c));
  const std::string root = rootfs(c) + "/merged";
  OciInputs in;
  auto passwd = layers_.read_in_root(root, "/etc/passwd"), group = layers_.read_in_root(root, "/etc/group");
  CO_TRY(in.user, resolve_user(c.config.user, c.host.group_add, passwd.value_or(""), group.value_or("")));
  CO_TRYV(co_await set_up_mounts(c));
  CO_TRYV(co_await fill_volumes(c));
  if (!c.config.working_dir.empty()) CO_TRYV(layers_.make_dir_in_root(root, c.config.working_dir, ids_of(c)));
  in.rootfs = root;
  if (joins_network(c)) {
    CO_TRY(in.ns_path, namespace_for(c, c.host.network_mode, "net"));
    CO_TRY(const LivePtr other, find(c.host.network_mode.substr(10)));
    for (const char* file : {"/hosts", "/resolv.conf", "/hostname"})  // it shares the other's names, too
      if (auto text = read_file(dir(other->c) + file)) CO_TRYV(write_file(dir(c) + file, *text));
  } else {
    in.ns_path = network_namespace(c);
  }
  if (!c.config.network_disabled) give_name_files(dir(c), in);
  in.held_capabilities = runtime_.capabilities(), in.cgroup_v2 = paths_.cgroup_v2,
  in.init_path = paths_.init_path, in.cgroup = cgroup(c);
  CO_TRY(in.devices, gather_devices(c.host));
  CO_TRYV(co_await add_requested_devices(c, in));
  CO_TRY(in.block_devices, numbers_of(c.host.blkio));
  in.link_env = link_env(c);
  for (const auto& m : c.mounts)
    if (!m.subpath.empty()) in.sources[m.destination] = subpath_mount(c, m);
  CO_TRYV(co_await prepare_mount_points(c, in));
  CO_TRY(const SecurityOptions security, parse_security_options(c.host.security_opt));
  CO_TRY(in.apparmor, co_await apparmor_profile(c));
  CO_TRY(in.seccomp,
         paths_.seccomp.config(security, c.host.privileged, capability_set(c.host, in.held_capabilities)));
  CO_TRY(in.pid_ns, namespace_for(c, c.host.pid_mode, "pid"));
  CO_TRYV(set_up_ipc(c, in));
  CO_TRY(in.uts_ns, namespace_for(c, c.host.uts_mode, "uts"));
  if (network_mode(c) == "host" && c.host.uts_mode.empty() && c.hostname.empty()) in.uts_ns = "host";
  if (mapped) CO_TRYV(set_up_users(c, in));

  RuntimeCreate create;
  create.config_json = oci_config(c, in), create.program = c.path, create.seccomp = std::move(in.seccomp),
  create.annotations = c.host.annotations;
  CO_TRY(c.state.pid, co_await runtime_.create(std::move(monitor), std::move(create)));
  c.state.pid_start = runtime_.process_start(c.state.pid);
  if (mapped && c.host.oom_score_adj < 0)  // nothing that a user namespace lets the runtime do
    CO_TRYV(write_file("/proc/" + std::to_string(c.state.pid) + "/oom_score_adj",
                       std::to_string(c.host.oom_score_adj)));
  co_await attach_waiting(live);
  // From here on the container counts as running: a daemon that dies between these lines finds it and adopts
  // it.
  c.state.phase = Phase::kRunning, c.state.started_at = loop_.wall_now(), c.state.exit_code = 0;
  c.state.error.clear(), c.state.oom_killed = false;
  CO_TRYV(co_await store(c));
  co_return runtime_.start(c.id);
}

// At the daemon's start, so that the first container does not wait for it. What is wrong now is told by each.
Task<void> Containers::bring_apparmor_profile() {
  if (!paths_.machine.apparmor_default) co_return;
  if (auto ready = co_await paths_.ready_apparmor(kDefaultAppArmorProfile); !ready)
    log::error("msg=\"{}\"", ready.error().message);
}

Task<Result<std::string>> Containers::apparmor_profile(const Container& c) {
  const std::string profile = apparmor_of(c);
  if (!profile.empty()) CO_TRYV(co_await paths_.ready_apparmor(profile));
  co_return profile;
}

Task<Result<>> Containers::start_locked(LivePtr live) {
  Container& c = live->c;
  if (live->removed) co_return fail(Code::kNotFound, "No such container: " + c.id);
  if (c.state.phase == Phase::kPaused)
    co_return fail(Code::kConflict, "cannot start a paused container, try unpause instead");
  if (c.state.phase == Phase::kRunning) co_return fail(Code::kNotModified, "container already started");
  if (live->restart_timer) loop_.cancel(*std::exchange(live->restart_timer, std::nullopt));
  live->stopping = false;
  const Phase before = c.state.phase;
  auto started = co_await start_steps(live);
  if (!started) {
    c.state.phase = before == Phase::kCreated ? Phase::kCreated : Phase::kExited;
    c.state.pid = 0, c.state.error = started.error().message;
    c.state.exit_code = started.error().message.find("not found") != std::string::npos ||
                                started.error().message.find("no such file") != std::string::npos
                            ? 127
                        : started.error().message.find("ermission denied") != std::string::npos ||
                                started.error().message.find("is a directory") != std::string::npos
                            ? 126
                            : 128;
    for (auto& w : std::exchange(live->waiting, {})) w->ready = true;
    const Remains remains = co_await tear_down(live);
    (void)co_await store(c);
    event(c, "die", {{"exitCode", std::to_string(c.state.exit_code)}});
    changed(live);
    if (c.host.auto_remove) {
      ++live->exits;
      (void)co_await remove_locked(live, true, remains);
    }
    co_return started;
  }
  c.stopped_by_user = false;
  const bool checked =
      c.config.healthcheck && !c.config.healthcheck->test.empty() && c.config.healthcheck->test[0] != "NONE";
  c.state.health = checked ? "starting" : "", c.state.health_failures = 0, c.state.health_log.clear();
  event(c, "start");
  changed(live);
  early_.started(kind_of(c, has_mapped_users(c)));
  refresh_linking(c);
  start_forwarding(live);
  if (checked) scope_.spawn(health_loop(live, live->exits));
  co_return Result<>{};
}

Task<Result<>> Containers::start(LivePtr live) {
  auto held = co_await live->mutex.lock(loop_);
  co_return co_await start_anew(live);
}

// Because somebody wants it: its restart policy begins from the beginning, too.
Task<Result<>> Containers::start_anew(LivePtr live) {
  live->restart_delay = Duration{0};
  live->c.restart_count = 0;
  co_return co_await start_locked(live);
}

Task<void> Containers::ended(std::string id, int exit_code) {
  auto it = containers_.find(id);
  if (it == containers_.end()) co_return;
  const LivePtr live = it->second;
  auto held = co_await live->mutex.lock(loop_);
  if (!is_up(live->c.state.phase)) co_return;
  co_await handle_end(live, exit_code);
}

// A process of the container was killed for want of memory; the container may live on.
Task<void> Containers::out_of_memory(std::string id) {
  const auto it = containers_.find(id);
  if (it == containers_.end() || it->second->c.state.phase != Phase::kRunning ||
      it->second->c.state.oom_killed)
    co_return;
  const LivePtr live = it->second;
  live->c.state.oom_killed = true;
  event(live->c, "oom");
  (void)co_await store(live->c);
}

// With the mutex held: the container's program has ended.
Task<void> Containers::handle_end(LivePtr live, int exit_code) {
  Container& c = live->c;
  const bool again =
      !live->stopping && !c.stopped_by_user && !c.managed_by_swarm &&
      (c.host.restart_policy.name == "always" || c.host.restart_policy.name == "unless-stopped" ||
       (c.host.restart_policy.name == "on-failure" && exit_code != 0 &&
        (c.host.restart_policy.maximum_retry_count == 0 ||
         c.restart_count < c.host.restart_policy.maximum_retry_count)));
  c.state.phase = again ? Phase::kRestarting : Phase::kExited, c.state.exit_code = exit_code,
  c.state.finished_at = loop_.wall_now();
  const bool oom_told = c.state.oom_killed;
  c.state.oom_killed = oom_told || runtime_.oom_seen(dir(c));
  c.state.pid = 0, c.state.pid_start = 0;
  if (!c.state.health.empty()) c.state.health = "unhealthy";
  if (!c.host.auto_remove) (void)co_await store(c);
  if (c.state.oom_killed && !oom_told) event(c, "oom");
  event(c, "die",
        {{"exitCode", std::to_string(exit_code)},
         {"execDuration", std::to_string((c.state.finished_at - c.state.started_at) / 1s)}});
  // Ports, addresses and mounts are free before anybody hears of the end.
  const Remains remains = co_await tear_down(live);
  ++live->exits;
  changed(live);
  if (stopping_) co_return;
  if (again) {
    schedule_restart(live);
  } else if (c.host.auto_remove && !live->restarting) {
    (void)co_await remove_locked(live, true, remains);
  }
  if (!live->removed) (void)co_await store(c);
  changed(live);
}

// 100 ms, doubled for each quick end up to a minute; a life of ten seconds starts over (Docker's
// restartmanager).
void Containers::schedule_restart(LivePtr live) {
  Container& c = live->c;
  if (c.state.finished_at - c.state.started_at > 10s || live->restart_delay == Duration{0})
    live->restart_delay = 100ms;
  else
    live->restart_delay = std::min<Duration>(live->restart_delay * 2, 60s);
  c.state.phase = Phase::kRestarting;  // also when the daemon finds it so at its start
  ++c.restart_count;
  live->restart_timer = loop_.call_after(live->restart_delay, [this, live] {
    live->restart_timer.reset();
    scope_.spawn(restart_later(live));
  });
}

Task<void> Containers::restart_later(LivePtr live) {
  auto held = co_await live->mutex.lock(loop_);
  if (live->removed || live->c.state.phase != Phase::kRestarting || stopping_) co_return;
  auto started = co_await start_locked(live);
  if (!started && !live->removed)
    log::warn("msg=\"restart failed\" container={} error=\"{}\"", live->c.id, started.error().message);
}

}  // namespace panal
