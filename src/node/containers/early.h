// Monitors that load before they are needed. conmon and the runtime take longer to be loaded than for all
// they do for a container, so the monitor of a created container begins at once, for the start that follows
// as a rule; and after a start a spare one begins for the next container, whose id is then known before it is
// created.
//
// Owned by Containers. A monitor that nobody takes ends after kEarlyFor or kSpareFor, with the daemon, and
// when the daemon dies; a spare's folder is removed, after a crash as garbage. At most kMost wait.
#pragma once
#include <map>
#include <memory>
#include <optional>

#include "engine/log_options.h"
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

  /// `folder`: the containers' folders are in it.
  EarlyMonitors(Loop& loop, Entropy& entropy, Runtime& runtime, std::string folder)
      : loop_(loop), entropy_(entropy), runtime_(runtime), folder_(std::move(folder)) {}

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
  void make_spare(const MonitorKind& kind);
  void drop_spare();
  Task<void> clear_away(std::string id);

  Loop& loop_;
  Entropy& entropy_;
  Runtime& runtime_;
  std::string folder_;
  std::map<std::string, Waiting> waiting_;  // by container
  std::optional<Spare> spare_;              // its monitor is among them
  std::optional<TimerId> soon_;             // makes one
  bool stopping_ = false;
  Scope scope_;
};

}  // namespace panal
