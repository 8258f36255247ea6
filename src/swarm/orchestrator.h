// Services -> tasks: replicas, global placement, restarts, rolling updates and rollback, draining nodes,
// history. Pure and level-triggered: reconcile(draft) may run at any time and, once its changes hold, finds
// nothing more to do.
//
// Every slot (a number, or a node for global services) wants one good task: right spec version, on a node
// that may run it, alive. What stands in a slot and is not good is replaced. A task leaves the endpoint
// tables (`serving`) before it is told to stop.
#pragma once
#include <functional>

#include "swarm/draft.h"

namespace panal {

struct Situation {
  /// Has every node that could still send to this task acknowledged tables without it (or is past waiting
  /// for)?
  std::function<bool(const ClusterTask&)> out_of_tables;
};

void orchestrate(Draft& draft, const Situation& situation);

/// orchestrate, allocate, schedule, and what gone services left.
Command reconcile(const Store& store, WallTime now, Entropy& entropy, const Situation& situation);

/// When time alone changes what reconcile would do (delays, monitors, windows): the next such moment.
std::optional<WallTime> next_deadline(const Store& store, WallTime now);

}  // namespace panal
