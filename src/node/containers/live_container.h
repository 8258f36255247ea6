// A container with what only a running daemon knows of it, and its execs.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "engine/oci.h"
#include "node/images/images.h"
#include "ports/files.h"
#include "ports/mutex.h"
#include "ports/runtime.h"

namespace panal {

struct ExecSession {
  std::string id, container_id;
  ExecConfig config;
  bool attach_stdin = false, attach_stdout = true, attach_stderr = true, started = false, running = false;
  bool of_health = false;   // a health check's
  std::string detach_keys;  // as the client wrote them
  std::optional<int> exit_code;
  int pid = 0, rows = 0, columns = 0;
  std::shared_ptr<RunningExec> process;  // null once it has ended
  MonoTime idle_since;                   // its creation, start or end
  Event ended;
};

/// What there may be of a container that is down; kAll: somebody works in its root, which stays mounted for
/// so long, or something went wrong.
enum class Remains { kFiles, kAll };

struct LiveContainer {
  Container c;
  AsyncMutex mutex;
  Event changed;       // state, health
  uint64_t exits = 0;  // counts ends, for wait?condition=next-exit
  bool removed = false;
  bool restarting = false;  // stopped to be started again
  bool stopping = false;    // a stop is under way: the restart policy keeps still
  std::optional<TimerId> restart_timer;
  Duration restart_delay{0};
  /// Attachments asked for before the start: connected between create and start so that nothing is lost.
  struct Waiting {
    bool want_stdin;
    std::unique_ptr<Attachment> attachment;
    bool ready = false;
  };
  std::vector<std::shared_ptr<Waiting>> waiting;
  std::map<std::string, std::shared_ptr<ExecSession>> execs;
  bool packing = false;          // its old log files
  bool forwarding = false;       // its log, to another daemon
  std::set<TreeUse*> tree_uses;  // work on its files: the root stays mounted until the last one is gone
  std::unique_ptr<Images::Pin> layers;  // they stay as long as it does
};
using LivePtr = std::shared_ptr<LiveContainer>;

/// What a --link leads to.
struct LinkedTo {
  LivePtr live;
  std::string alias, address, address6;  // the first of either family, and IPv6's
};

/// What is left of a life's first moment, in which a program has neither said anything nor asked for signals
/// yet. Docker takes longer than that to answer a start: whoever stops a container or reads its log right
/// after does not expect to come too early.
constexpr Duration kFirstMoment = 100ms;
inline Duration first_moment_left(const Container& c, WallTime now) {
  const Duration age = now - c.state.started_at;
  return is_running(c.state.phase) && age >= Duration{0} && age < kFirstMoment ? kFirstMoment - age
                                                                               : Duration{0};
}

inline Error not_running(const Container& c) {
  return {Code::kConflict, "container " + c.id + " is not running"};
}

}  // namespace panal
