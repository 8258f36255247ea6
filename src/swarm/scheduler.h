// Which node runs a task: filters that can explain their refusal, then spread. Pure.
#pragma once
#include "swarm/draft.h"

namespace panal {

/// May `node` run tasks of this spec at all (constraints, platform)? Used for global services and to move
/// tasks that no longer fit.
bool constraints_hold(const TaskSpec& spec, const Node& node);
bool node_takes_tasks(const Node& node);

/// Gives every pending task a node, or the reason why there is none.
void schedule(Draft& draft);

}  // namespace panal
