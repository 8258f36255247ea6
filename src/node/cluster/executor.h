// What a worker needs of its node to run tasks: the real engine, or the simulator's fake containers.
#pragma once
#include <functional>

#include "base/result.h"
#include "base/task.h"
#include "swarm/assignments.h"

namespace panal {

class Executor {
 public:
  virtual ~Executor() = default;
  /// Makes image, networks and container of a task ready; idempotent. The id of its container.
  virtual Task<Result<std::string>> prepare(ClusterTask task) = 0;
  /// A task whose prepare() may be under way is not wanted any more: what it fetches is given up.
  virtual void give_up(const std::string&) {}
  virtual Task<Result<>> start(std::string container_id) = 0;
  struct Exit {
    int code = 0;
    std::string error;
  };
  /// Returns when the container has ended; `on_health` is told whether it passes its check.
  virtual Task<Result<Exit>> wait(std::string container_id,
                                  std::function<void(bool healthy, int pid)> on_health) = 0;
  /// Makes every wait() return: the worker ends, its containers go on.
  virtual void interrupt() {}
  virtual Task<Result<>> stop(std::string container_id) = 0;
  virtual Task<Result<>> remove(std::string container_id) = 0;
  /// Containers of tasks that exist on this node: task id -> container id, running or not.
  virtual std::map<std::string, std::string> existing() = 0;
  enum class Stage { kNotStarted, kRunning, kEnded };
  /// Of one that is not there: kNotStarted.
  virtual Stage stage(const std::string& container_id) = 0;
  /// Ports of this node that lead to the container.
  virtual std::vector<PortConfig> host_ports(const std::string&) { return {}; }
  /// A place of a plain container on a network of the cluster, by its task: is it still wanted here?
  enum class Attachment { kNone, kComing, kRunning };
  virtual Attachment attachment(const std::string&) { return Attachment::kNone; }
  std::function<void()> on_attachments;  // called when one came up or went
  /// Programs networks, endpoint tables and the mesh as the assignments say.
  virtual Task<Result<>> program(const Assignments& assignments) = 0;
  virtual NodeDescription describe() = 0;
};

}  // namespace panal
