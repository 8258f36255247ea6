// What a service's update is about: its settings, what a new spec replaces, and what is known of how a task
// came up.
#pragma once
#include "model/cluster.h"

namespace panal {

bool rolling_back(const Service& service);
/// The update settings in force, defaults filled in.
UpdateConfig update_config(const Service& service);
/// Are the tasks of the one spec also those of the other?
bool same_tasks(const TaskSpec& a, const std::vector<PortConfig>& a_ports, const TaskSpec& b,
                const std::vector<PortConfig>& b_ports);
/// A user's new spec: decides whether tasks must be replaced and what becomes of an update under way. `back`:
/// asked for as a rollback.
void change_spec(Service& service, ServiceSpec next, bool back, WallTime now);

/// What a worker says of its task, heard by the leader at `now`.
void note_status(ClusterTask& task, TaskStatus status, WallTime now);
bool running_well(const ClusterTask& task);
/// Since it came up; false for a task that never did.
bool lived_longer(const ClusterTask& task, int64_t nanoseconds);

}  // namespace panal
