// Monitors that load before they are needed. conmon and the runtime take longer to be loaded than for all
// they do for a container, so the monitor of a created container begins at once, for the start that follows
// as a rule; and after a start a spare one begins for the next container, whose id is then known before it is
// created. A user's exec is followed by a spare one, too, for the next like it in the same container.
//
// Owned by Containers. A monitor that nobody takes ends after kEarlyFor or kSpareFor, with the daemon, and
// when the daemon dies; a spare's folder is removed, after a crash as garbage. At most kMost wait.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "node/logs/log_files.h"
#include "ports/entropy.h"
#include "ports/loop.h"
#include "ports/runtime.h"

namespace panal {

/// What a monitor depends on before its container is made.
struct MonitorKind {
  bool tty = false, open_stdin = false, stdin_once = false, mapped_users = false;
  std::optional<LogLimits> kept;  // nothing: output is not kept
  bool operator==(const MonitorKind&) const = default;
};

/// `mapped`: in a user namespace.
MonitorKind kind_of(const Container& c, bool mapped);

class EarlyMonitors {
 public:
  static constexpr size_t kMost = 16;
  static constexpr Duration kEarlyFor = 2s, kSpareFor = 60s, kSpareAfter = 20ms;

  /// `folder`: the containers' folders are in it; `execs`: those of execs.
  EarlyMonitors(Loop& loop, Entropy& entropy, Runtime& runtime, std::string folder, std::string execs)
      : loop_(loop),
        entropy_(entropy),
        runtime_(runtime),
        folder_(std::move(folder)),
        execs_(std::move(execs)) {}

  /// For a new container: the spare's, if that is of its kind, or any.
  std::string new_id(const MonitorKind& kind);
  /// A container is created, its folder there. What goes wrong the start will tell.
  void created(const std::string& id, const MonitorKind& kind);
  /// The one that waits for this container, or a new one.
  Result<std::unique_ptr<Monitor>> take(const std::string& id, const MonitorKind& kind);
  /// There is no start to wait for any more. False: nothing waited.
  bool give_up(const std::string& id);
  /// A monitor waits in this container's folder.
  bool knows(const std::string& id) const { return waiting_.contains(id); }
  /// A container of this kind was started: others like it may follow.
  void started(const MonitorKind& kind);

  /// For a new exec: the spare's id, if that may be of its kind, or any.
  std::string new_exec_id(const std::string& container, bool tty, bool open_stdin, bool attach);
  /// The one that waits for this exec, or a new one.
  Task<Result<std::unique_ptr<Monitor>>> take_exec(ExecStart start);
  /// By the beginning of its id.
  bool knows_exec(const std::string& id) const {
    return spare_exec_ && spare_exec_->start.exec_id.starts_with(id);
  }
  /// A user's exec was started: others like it may follow.
  void exec_started(const ExecStart& like);
  /// No exec is possible there any more.
  void container_ended(const std::string& container);
  std::string exec_dir(const std::string& id) const { return execs_ + "/" + id.substr(0, 24); }
  void shutdown();

 private:
  struct Waiting {
    std::unique_ptr<Monitor> monitor;
    TimerId end;
  };
  struct Spare {
    std::string id;
    MonitorKind kind;
  };
  std::string dir(const std::string& id) const { return folder_ + "/" + id; }
  Result<std::unique_ptr<Monitor>> begin(const std::string& id, const MonitorKind& kind);
  struct SpareExec {
    ExecStart start;
    std::unique_ptr<Monitor> monitor;
    TimerId end;
    bool has_session = false;
  };
  void make_spare(const MonitorKind& kind);
  void make_spare_exec(ExecStart like);
  void drop_spare_exec();
  Task<void> clear_exec_away(std::string id);
  void drop_spare();
  Task<void> clear_away(std::string id);

  Loop& loop_;
  Entropy& entropy_;
  Runtime& runtime_;
  std::string folder_, execs_;
  std::map<std::string, Waiting> waiting_;  // by container
  std::optional<Spare> spare_;              // its monitor is among them
  std::optional<SpareExec> spare_exec_;
  std::optional<TimerId> soon_, exec_soon_;  // make them
  std::string soon_in_;                      // the container of the exec to come
  std::set<std::string> clearing_;           // execs whose spare monitor ends
  Event cleared_;
  bool stopping_ = false;
  Scope scope_;
};

}  // namespace panal
