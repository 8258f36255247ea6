// The node's containers: their life cycle from create to remove, over the ports Runtime, Layers and
// KernelNetwork.
//
// Owned by the composition root, lives on the loop's thread. Each container has a mutex: one operation at a
// time moves its state; readers look at any time. What must survive a crash is stored before the next step
// depends on it, and adopt() brings the table to the truth after a restart of the daemon: conmon kept the
// containers running meanwhile.
#pragma once
#include <functional>

#include "engine/apparmor.h"
#include "engine/defaults.h"
#include "engine/devices/device_requests.h"
#include "engine/log_options.h"
#include "engine/resources.h"
#include "engine/security.h"
#include "node/containers/create/checks.h"
#include "node/containers/early.h"
#include "node/containers/live_container.h"
#include "node/containers/settings.h"
#include "node/networks/networks.h"
#include "node/volumes/volumes.h"
#include "ports/file_watch.h"
#include "ports/files.h"
#include "ports/log_sink.h"

namespace panal {

struct CreateResult {
  std::string id;
  std::vector<std::string> warnings;
};

class Containers {
 public:
  Containers(Loop& loop, Entropy& entropy, Runtime& runtime, Layers& layers, Files& files, Database& db,
             Events& events, Images& images, Networks& networks, Volumes& volumes, ContainerPaths paths);
  ~Containers();
  Result<> load();
  /// After load(): adopts what runs, records what ended meanwhile, applies restart policies.
  Task<void> adopt();

  /// By id, name, or unique id prefix: "No such container: NAME".
  Result<LivePtr> find(const std::string& name) const;
  /// By a link: "web/db" is what the container web calls db. find() does so, too.
  Result<LivePtr> find_linked(const std::string& name) const;
  const std::map<std::string, LivePtr>& all() const { return containers_; }
  /// The names that links give containers, by the container's own: "db" -> "/web/alias".
  using LinkNames = std::multimap<std::string, std::string>;
  LinkNames link_names() const;

  enum class MadeFor { kUser, kSwarm, kBuild };
  Task<Result<CreateResult>> create(std::string name, ContainerConfig config, HostConfig host,
                                    std::map<std::string, Endpoint> endpoints,
                                    MadeFor made_for = MadeFor::kUser);
  Task<Result<>> start(LivePtr live);
  /// nullopt timeout: the container's own; negative: wait for ever.
  Task<Result<>> stop(LivePtr live, std::optional<int> timeout_seconds, std::string signal);
  Task<Result<>> kill(LivePtr live, std::string signal);
  Task<Result<>> restart(LivePtr live, std::optional<int> timeout_seconds, std::string signal);
  enum class Pause { kAsked, kToCopy };
  Task<Result<>> pause(LivePtr live, Pause why = Pause::kAsked);
  Task<Result<>> unpause(LivePtr live);
  Task<Result<>> rename(LivePtr live, std::string name);
  /// Limits and restart policy, in force at once. Warnings of what this kernel cannot do.
  Task<Result<std::vector<std::string>>> update(LivePtr live, UpdateWish wish);
  Task<Result<>> remove(LivePtr live, bool force, bool volumes);
  /// "web/db": the container web does not know db by that name any more.
  Task<Result<>> remove_link(std::string name);
  /// A build's container stays, as if a user had made it.
  Task<Result<>> leave_to_user(LivePtr live);
  /// "not-running", "next-exit", "removed" -> exit code. Null `gone`: never given up.
  Task<Result<int>> wait(LivePtr live, std::string condition, std::function<bool()> gone);
  Task<Result<std::unique_ptr<Attachment>>> attach(LivePtr live, bool want_stdin, std::function<bool()> gone);
  Result<> resize(LivePtr live, int rows, int columns);
  Task<Result<>> connect(LivePtr live, std::string network, Endpoint endpoint);
  Task<Result<>> disconnect(LivePtr live, std::string network, bool force);

  Task<Result<std::string>> exec_create(LivePtr live, ExecConfig config, bool in, bool out, bool err);
  Result<std::shared_ptr<ExecSession>> find_exec(const std::string& id) const;
  /// The running process: whoever reads its output holds it, also past its end.
  Task<Result<std::shared_ptr<RunningExec>>> exec_start(std::shared_ptr<ExecSession> exec, bool detach);
  /// Runs to its end, output gathered (limited); for health checks.
  Task<Result<std::pair<int, std::string>>> exec_run(LivePtr live, ExecConfig config, Duration timeout);

  /// Docker's path stat (JSON) of a file as the container sees it; kNotFound when there is none.
  Task<Result<std::string>> stat_path(LivePtr live, std::string path);
  /// `begin` gets the path stat, then the sink a tar.
  Task<Result<>> read_path(LivePtr live, std::string path,
                           std::function<Task<Result<>>(std::string stat)> begin, Sink sink);
  enum class Owner { kOfArchive, kOfUser };
  Task<Result<>> write_path(LivePtr live, std::string path, bool keep_kinds, Owner owner, Source source);
  Task<Result<>> export_root(LivePtr live, Sink sink);
  /// What it has changed, as a layer tar; nothing when it never started. It stands still meanwhile when
  /// `pause` says so.
  enum class StandStill { kNo, kYes };
  Task<Result<>> changed_layer(LivePtr live, StandStill still, Sink sink,
                               std::optional<int64_t> epoch = std::nullopt);
  Task<Result<>> changes(LivePtr live, Sink sink);  // Docker's list, JSON

  std::string dir(const Container& c) const { return paths_.data + "/" + c.id; }
  std::string cgroup(const Container& c) const;
  /// As inspect tells it; "": none.
  std::string apparmor_of(const Container& c) const { return apparmor_profile_of(c.host, paths_.machine); }
  std::string log_path(const Container& c) const { return log_in(dir(c)); }
  std::string rootfs(const Container& c) const { return dir(c) + "/rootfs"; }
  std::string shm(const Container& c) const { return dir(c) + "/shm"; }
  /// Which container stands against removal of an image or volume; empty: none.
  std::string user_of_image(const std::string& image_id, bool& running) const;
  std::vector<std::string> users_of_volume(const std::string& name) const;
  Runtime& runtime() { return runtime_; }
  void event(const Container& c, std::string action, std::map<std::string, std::string> extra = {});
  std::function<void(const Container&)> on_change;  // after each change of a container's state
  void shutdown();
  /// Stops what runs, each within its own grace and `most_seconds` (negative: its own only).
  Task<void> stop_all(int most_seconds);
  /// Kills what builds run: nobody takes their result any more.
  Task<void> end_builds();
  auto join() { return scope_.join(); }

 private:
  struct RootUse;
  Result<std::vector<int64_t>> layer_numbers(const std::vector<std::string>& chain_ids) const;
  Task<Result<>> fill_volumes(Container& c);
  enum class Mounts { kLeftOut, kInPlace };
  Task<Result<Tree>> open_tree(LivePtr live, Mounts mounts);
  Task<void> unmount_unused(LivePtr live);
  Task<void> end_tree_uses(LivePtr live);
  Result<> send_signal(const Container& c, int signal);
  Task<void> bring_apparmor_profile();
  Task<Result<std::string>> apparmor_profile(const Container& c);
  Task<Result<>> start_anew(LivePtr live);
  Task<Result<>> start_locked(LivePtr live);
  Task<Result<>> start_steps(LivePtr live);
  Task<void> attach_waiting(LivePtr live);
  Task<Result<>> set_up_network(LivePtr live);
  Task<Result<>> settle_network(LivePtr live);
  Task<Result<>> publish(Container& c, std::vector<PortWish> wishes);
  Task<void> tear_down_network(LivePtr live);
  Task<Remains> tear_down(LivePtr live);
  Task<Result<>> stop_locked(LivePtr live, std::optional<int> timeout_seconds, std::string signal,
                             AsyncMutex::Held& held);
  Task<Result<>> remove_files(std::string folder);
  Task<void> scrap(std::string id);
  Task<Result<>> remove_locked(LivePtr live, bool volumes, Remains remains = Remains::kAll);
  Task<void> ended(std::string id, int exit_code);
  Task<void> handle_end(LivePtr live, int exit_code);
  void schedule_restart(LivePtr live);
  Task<void> restart_later(LivePtr live);
  Result<> choose_networks(Container& c, std::map<std::string, Endpoint> endpoints, MadeFor made_for) const;
  Task<void> unmake(const Container& c);
  Task<Result<>> resolve_mounts(Container& c);
  Result<> resolve_bind(const Mount& m, bool strict, MountPoint& p) const;
  Task<Result<>> resolve_volume(const Container& c, Mount m, bool strict, MountPoint& p);
  Result<> resolve_image(const Container& c, const Mount& m, MountPoint& p) const;
  Result<> take_mounts_from_others(Container& c, const std::set<std::string>& own,
                                   std::set<std::string>& targets) const;
  Result<> write_files(const Container& c);
  std::string hosts_text(const Container& c) const;
  static bool knows_names(const Container& c);  // the default bridge alone has none
  Task<Result<>> store(const Container& c);
  void changed(LivePtr live);
  Result<std::string> namespace_for(const Container& c, const std::string& mode, const char* kind) const;
  std::string network_namespace(const Container& c) const;
  Task<Result<>> add_requested_devices(const Container& c, OciInputs& in);
  Result<> set_up_ipc(const Container& c, OciInputs& in);
  Task<Result<>> set_up_mounts(const Container& c);
  Task<void> take_down_mounts(LivePtr live);
  Task<Result<>> prepare_mount_points(const Container& c, OciInputs& in);
  std::string subpath_mount(const Container& c, const MountPoint& m) const;
  static std::vector<std::string> all_layers(const Container& c);
  Task<Result<>> mount_image(const Container& c, const MountPoint& m);
  Result<std::vector<MountPoint>> mounts_from(const std::string& spec) const;
  Result<> name_links(Container& c) const;
  Result<> check_links(const Container& c) const;
  bool rename_links(Container& c, const Container& renamed, const std::string& old) const;
  std::vector<LinkedTo> linked(const Container& c) const;
  std::set<std::string> linked_addresses(const std::string& id, const std::string& name) const;
  std::vector<std::string> link_env(const Container& c) const;
  void refresh_linking(const Container& changed);
  Result<std::string> shm_of(const Container& c) const;
  Task<void> collect();
  Task<void> unplug_unrecorded();
  Task<void> adopt_running(LivePtr live);
  Task<void> adopt_pause(LivePtr live);
  Task<void> thaw(LivePtr live);
  Task<void> out_of_memory(std::string id);
  void log_turned(const std::string& id);
  Task<void> pack_logs(LivePtr live);
  Task<Result<>> check_log_sink(const Container& c);
  void start_forwarding(LivePtr live);
  Task<void> forward_log(LivePtr live, std::string driver);
  bool joins_network(const Container& c) const;
  /// Runs, or would run, in a user namespace of its own.
  bool has_mapped_users(const Container& c) const;
  Layers::Ids ids_of(const Container& c) const;
  std::string mapped_root(const Container& c) const { return paths_.mapped_roots + "/" + c.id; }
  Result<std::string> joined_user_namespace(const Container& c) const;
  Result<std::optional<NamespaceOwner>> namespace_owner(const Container& c) const;
  Result<> set_up_users(const Container& c, OciInputs& in);
  void take_down_users(const Container& c);
  void put_into_user_namespace(const Container& c, Tree& tree) const;
  Task<Result<std::shared_ptr<RunningExec>>> exec_process(LivePtr live, std::shared_ptr<ExecSession> exec,
                                                          bool detach);
  Task<void> watch_exec(LivePtr live, std::shared_ptr<ExecSession> exec);
  Task<void> health_loop(LivePtr live, uint64_t life);

  Loop& loop_;
  Entropy& entropy_;
  Runtime& runtime_;
  Layers& layers_;
  Files& files_;
  Database& db_;
  Events& events_;
  Images& images_;
  Networks& networks_;
  Volumes& volumes_;
  ContainerPaths paths_;
  std::map<std::string, LivePtr> containers_;
  std::set<std::string> told_mounts_;         // container and destination of volumes whose "mount" was told
  std::map<std::string, std::string> names_;  // name -> id
  std::map<std::string, std::weak_ptr<LiveContainer>> execs_;
  std::set<std::string> scraps_;  // removed ones whose files still go
  EarlyMonitors early_;
  bool stopping_ = false,
       ends_with_daemon_ = false,  // nobody asks for their end: restart policies hold at the next start
      damaged_ = false;            // damaged: a row was not understood, so nothing may be called garbage
  Scope scope_;
};

}  // namespace panal
