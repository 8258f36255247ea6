// RUN: a container of the image so far; what it changed becomes the next one.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "build/stage_run.h"

namespace panal {

struct StageRun::RunMounts {
  std::vector<Mount> mounts;
  std::string key;                  // what of them decides what the command does
  std::vector<std::string> caches;  // to give back
  std::vector<std::string> binds;   // to unmount
  std::vector<std::string> roots;   // to unmount after them
};

static Mount bind_mount(const std::string& source, const std::string& target, bool read_only) {
  Mount m;
  m.type = "bind", m.source = source, m.target = target, m.read_only = read_only;
  return m;
}

static std::string target_of(const std::string& target, const std::string& working_dir) {
  return target.starts_with('/') ? target : (working_dir.empty() ? "" : working_dir) + "/" + target;
}

Task<Result<>> StageRun::prepare_bind(const RunMount& wish, RunMounts& mounts) {
  std::string root = build_.context_.root;
  if (!wish.from.empty()) {
    CO_TRY(const std::string id, co_await source_of(wish.from));
    CO_TRY(const std::string dir, co_await build_.mount_image(id, Layers::Ids::kMapped));
    mounts.roots.push_back(dir);
    root = dir + "/merged";
    mounts.key += " bind:" + id + ":" + wish.source;
  } else {
    CopyWish what;
    what.trees.push_back({root, {}}),
        what.sources.push_back({0, wish.source.empty() ? "/" : wish.source, false}), what.destination = "/";
    CO_TRY(const CopyDigest digest, co_await parts_.files.digest(what));
    mounts.key += " bind:" + digest.digest;
    if (!wish.read_only) {  // what is written is dropped
      const std::string dir = build_.new_path("root");
      CO_TRYV(make_dirs(dir, 0700));
      CO_TRYV(co_await parts_.layers.mount_over(dir, root));
      mounts.roots.push_back(dir);
      root = dir + "/merged";
    } else {
      root = parts_.layers.mapped(root);
    }
  }
  const std::string at = build_.new_path("bind");
  CO_TRYV(parts_.layers.bind_in_root(root, wish.source.empty() ? "/" : wish.source, at));
  mounts.binds.push_back(at);
  mounts.mounts.push_back(bind_mount(at, target_of(wish.target, draft_.config.working_dir), wish.read_only));
  co_return Result<>{};
}

Task<Result<>> StageRun::prepare_cache(const RunMount& wish, RunMounts& mounts) {
  const std::string key = parts_.layers.sha256(wish.id.empty() ? wish.target : wish.id).substr(7, 32);
  CO_TRY(const CacheFolder folder, co_await build_.caches_.take(key, wish.sharing, build_.halt_));
  mounts.caches.push_back(folder.name);
  const auto owned = [&wish](const std::string& path) -> Result<> {
    if (::chown(path.c_str(), wish.uid, wish.gid) != 0 ||
        ::chmod(path.c_str(), wish.mode.value_or(0755)) != 0)
      return fail(sys_error(errno, "chown", path));
    return {};
  };
  const bool empty = list_dir(folder.path).empty();
  if (empty && wish.from.empty()) CO_TRYV(owned(folder.path));
  if (empty && !wish.from.empty()) {
    CO_TRY(const std::string id, co_await source_of(wish.from));
    CO_TRY(const std::string dir, co_await build_.mount_image(id));
    mounts.roots.push_back(dir);
    const std::string fresh = build_.new_path("cache");  // takes the folder's place when it is whole
    CO_TRYV(make_dirs(fresh, 0755));
    CO_TRYV(co_await parts_.layers.copy_up(dir + "/merged", wish.source.empty() ? "/" : wish.source, fresh));
    CO_TRYV(owned(fresh));
    if (::rename(fresh.c_str(), folder.path.c_str()) != 0 && errno != ENOTEMPTY)  // by another build
      co_return fail(sys_error(errno, "rename", folder.path));
  }
  std::string source = folder.path;
  if (parts_.layers.mapped(source) != source) {
    source = build_.new_path("bind");
    CO_TRYV(parts_.layers.bind_in_root(parts_.layers.mapped(folder.path), "/", source));
    mounts.binds.push_back(source);
  }
  mounts.mounts.push_back(
      bind_mount(source, target_of(wish.target, draft_.config.working_dir), wish.read_only));
  co_return Result<>{};
}

Task<Result<>> StageRun::prepare_mounts(const Instruction& in, RunMounts& mounts) {
  for (const auto& [flag, value] : in.flags) {
    if (flag != "mount") continue;
    CO_TRY(const std::string text, expand_word(value, build_.file_.escape, variables()));
    CO_TRY(const RunMount wish, parse_run_mount(text));
    switch (wish.type) {
      case RunMount::Type::kBind:
        CO_TRYV(co_await prepare_bind(wish, mounts));
        break;
      case RunMount::Type::kCache:
        CO_TRYV(co_await prepare_cache(wish, mounts));
        break;
      case RunMount::Type::kTmpfs: {
        Mount m;
        m.type = "tmpfs", m.target = target_of(wish.target, draft_.config.working_dir),
        m.tmpfs_size_bytes = wish.size_bytes, m.tmpfs_mode = static_cast<int>(wish.mode.value_or(0755));
        mounts.mounts.push_back(std::move(m));
        break;
      }
      // The classic API has no way to hand them over.
      case RunMount::Type::kSecret:
      case RunMount::Type::kSsh:
        if (wish.required)
          co_return fail(Code::kUnsupported,
                         wish.type == RunMount::Type::kSsh
                             ? "no SSH key \"" + (wish.id.empty() ? "default" : wish.id) +
                                   "\" forwarded from the client: the classic builder's API has no way to"
                             : "secret " + (wish.id.empty() ? wish.target : wish.id) +
                                   ": not found: the classic builder's API has no way to hand it over");
        break;
    }
  }
  co_return Result<>{};
}

Task<void> StageRun::end_mounts(RunMounts& mounts) {
  for (const auto& name : mounts.caches) build_.caches_.give(name);
  for (const auto& bind : mounts.binds) (void)parts_.layers.unmount(bind);
  for (const auto& root : mounts.roots) (void)co_await parts_.layers.remove_rootfs(root);
}

// What the shell form hands to the shell: with here-documents also their contents, for the shell to read.
static std::string script_of(const Instruction& in) {
  if (in.heredocs.empty()) return in.rest;
  if (in.heredocs.size() == 1 && trim(in.rest) == in.heredocs[0].word) return in.heredocs[0].content;
  std::string out = in.rest + "\n";
  for (const auto& doc : in.heredocs) out += doc.content + doc.name + "\n";
  return out;
}

Task<Result<>> StageRun::run_command(const Instruction& in) {
  if (image_id_.empty())
    co_return fail(Code::kInvalid, "RUN has nothing to run in: the stage begins with scratch and is empty");
  if (!in.flag("security").empty() && in.flag("security") != "sandbox")
    co_return fail(Code::kUnsupported, "RUN --security=" + in.flag("security") + " is not supported");
  ContainerConfig config;
  HostConfig host = build_.request_.host;
  host.network_mode = build_.request_.network;
  if (const std::string network = in.flag("network"); !network.empty()) {
    if (network != "default" && network != "none" && network != "host")
      co_return fail(Code::kInvalid, "unsupported network mode " + network);
    if (network != "default") host.network_mode = network;
  }
  std::vector<std::string> words =
      draft_.config.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : draft_.config.shell;
  if (in.exec_form)
    words = in.args;
  else
    words.push_back(script_of(in));
  std::vector<std::string> given;  // build arguments that count
  for (const auto& [name, value] : args_) {
    if (value && !env_value(draft_.config.env, name)) given.push_back(name + "=" + *value);
  }
  config.env = given;
  for (const auto& [name, value] : build_.request_.args)
    if (value && is_proxy_arg(name) && !args_.contains(name)) config.env.push_back(name + "=" + *value);
  const std::string shown = join(words, " ");
  const std::string created_by =
      (given.empty() ? "" : "|" + std::to_string(given.size()) + " " + join(given, " ") + " ") + shown;
  RunMounts mounts;
  const auto work = [&]() -> Task<Result<>> {
    CO_TRYV(co_await prepare_mounts(in, mounts));
    const bool script =
        in.heredocs.size() == 1 && words.back().starts_with("#!") && trim(in.rest) == in.heredocs[0].word;
    if (script) {
      const std::string file = build_.new_path("script"), target = "/dev/pipes/" + in.heredocs[0].name;
      CO_TRYV(write_file(file, words.back(), 0755));
      (void)::chmod(file.c_str(), 0755);
      mounts.mounts.push_back(bind_mount(file, target, true));
      words = {target};
    }
    const std::string key = parts_.layers.sha256(created_by + mounts.key + " " + host.network_mode);
    CO_TRY(const bool hit, co_await cached(created_by, key));
    if (hit) co_return Result<>{};
    config.image = image_id_, config.cmd = words, config.entrypoint = std::vector<std::string>{""},
    config.healthcheck = HealthConfig{.test = {"NONE"}};
    host.mounts = mounts.mounts, host.log_config.type = "none";
    CO_TRY(const int code, co_await run_container(created_by, key, std::move(config), std::move(host)));
    if (code == 0) co_return Result<>{};
    exit_code_ = code;
    co_return fail(Code::kInternal,
                   "The command '" + shown + "' returned a non-zero code: " + std::to_string(code));
  };
  auto done = co_await work();
  co_await end_mounts(mounts);
  co_return done;
}

Task<Result<int>> StageRun::run_container(const std::string& created_by, const std::string& key,
                                          ContainerConfig config, HostConfig host) {
  CO_TRY(const CreateResult made, co_await parts_.containers.create("", std::move(config), std::move(host),
                                                                    {}, Containers::MadeFor::kBuild));
  CO_TRY(const LivePtr live, parts_.containers.find(made.id));
  co_await say(" ---> Running in " + made.id.substr(0, 12) + "\n");
  Scope scope;
  const auto pump = [&]() -> Task<void> {
    auto attached = co_await parts_.containers.attach(live, false, [this] { return build_.halted(); });
    if (!attached || !*attached) co_return;
    for (;;) {
      auto piece = co_await (*attached)->read();
      if (!piece || piece->data.empty()) co_return;
      co_await say(piece->stream == 2 ? "\033[91m" + piece->data + "\033[0m" : std::move(piece->data));
    }
  };
  const auto kill = [&]() -> Task<void> { (void)co_await parts_.containers.kill(live, "KILL"); };
  const auto work = [&]() -> Task<Result<int>> {
    CO_TRYV(co_await parts_.containers.start(live));
    const int halting = 0;
    build_.halt_->on_halt(&halting, [&] { scope.spawn(kill()); });
    auto code = co_await parts_.containers.wait(live, "not-running", nullptr);
    build_.halt_->forget(&halting);
    if (build_.halted()) co_return fail(Code::kCancelled, "the build was cancelled");
    co_return code;
  };
  scope.spawn(pump());
  auto code = co_await work();
  co_await scope.join();
  const auto pack = [&](Sink sink) {
    return parts_.containers.changed_layer(live, Containers::StandStill::kNo, std::move(sink), build_.epoch_);
  };
  Result<> committed;
  if (code && *code == 0) committed = co_await commit(created_by, key, pack);
  if (build_.request_.keep_containers && code) {
    (void)co_await parts_.containers.leave_to_user(live);
  } else {
    if (auto gone = co_await parts_.containers.remove(live, true, true); !gone)
      log::warn("msg=\"remove a build's container\" container={} error=\"{}\"", made.id,
                gone.error().message);
    if (code && *code == 0) co_await say("Removing intermediate container " + made.id.substr(0, 12) + "\n");
  }
  CO_TRYV(committed);
  co_return code;
}

}  // namespace panal
