// A daemon's life once everything is built: start, signals, reload, end. It tells systemd what happens.
#pragma once
#include "api/api.h"
#include "daemon/listeners.h"
#include "node/cluster/swarm_node.h"

namespace panal {

struct LifeParts {
  AsioLoop& loop;
  DaemonOptions& options;
  Supervisor& supervisor;
  Events& events;
  Networks& networks;
  Containers& containers;
  Builder& builder;
  SwarmNode& swarm;
  Api& api;
  HttpServer& server;
  std::function<void(const DaemonOptions&)> reloaded;
};

/// Signals wait until a Life takes them. Before any thread begins: one that has not held them would be ended
/// by them, and the process with it.
void hold_signals();

class Life {
 public:
  explicit Life(LifeParts parts);
  /// Runs the loop to its end. Coroutines may still wait for containers then: the process ends without
  /// unwinding them.
  Result<> run();

 private:
  Task<Result<>> begin();
  Task<void> start_up();
  void reload();
  Task<void> shut_down(uint32_t signal);
  Task<void> until_signal();
  Task<void> watchdog();

  LifeParts p_;
  AsyncFd signals_;
  Scope scope_;
  OpenHosts open_;
  std::optional<Error> failure_;
};

}  // namespace panal
