// A machine's fake containers, and the Executor that a process on it uses. Containers live on when the
// process dies; a machine that loses power stops them all. What a container does stands in its image's name:
// "app" runs, "flaky" fails now and then, "slow" passes its health check late, "broken" does not start,
// "missing" cannot be pulled, "batch" ends with success.
#pragma once
#include "node/cluster/executor.h"
#include "sim/random.h"
#include "sim/timeline.h"

namespace panal::sim {

struct Container {
  std::string id, task_id, service_id, image;
  uint64_t slot = 0, spec_version = 0, life = 0;
  bool running = false, healthy = false;
  int exit_code = 0;
};

class FakeExecutor;

class Machine {
 public:
  Machine(SimLoop& world, Random random, std::string hostname)
      : world_(world), random_(random), hostname_(std::move(hostname)) {}

  std::map<std::string, Container> containers;
  /// What the kernel was last told; stands while no process runs.
  std::optional<Assignments> tables;
  /// Failures that are nobody's wish: of preparing, starting, programming, and of running containers.
  double trouble = 0;
  std::function<void(const std::string& what)> violate;
  void lose_power();

 private:
  friend class FakeExecutor;
  void start(Container& c);
  void end(const std::string& id, uint64_t life, int code);
  void end_later(const Container& c, Duration after, int code);
  void changed();

  SimLoop& world_;
  Random random_;
  std::string hostname_;
  uint64_t lives_ = 0;
  FakeExecutor* executor_ = nullptr;
};

class FakeExecutor final : public Executor {
 public:
  FakeExecutor(Machine& machine, SimLoop& loop) : machine_(machine), loop_(loop) {
    machine_.executor_ = this;
  }
  ~FakeExecutor() override {
    if (machine_.executor_ == this) machine_.executor_ = nullptr;
  }
  Task<Result<std::string>> prepare(ClusterTask task) override;
  Task<Result<>> start(std::string container_id) override;
  Task<Result<Exit>> wait(std::string container_id,
                          std::function<void(bool healthy, int pid)> on_health) override;
  Task<Result<>> stop(std::string container_id) override;
  Task<Result<>> remove(std::string container_id) override;
  std::map<std::string, std::string> existing() override;
  Stage stage(const std::string& container_id) override;
  Task<Result<>> program(const Assignments& assignments) override;
  NodeDescription describe() override;

  /// The process is gone: nothing it asks for happens any more.
  void die() {
    dead_ = true;
    changed_.notify(loop_);
  }

 private:
  friend class Machine;
  Machine& machine_;
  SimLoop& loop_;
  Event changed_;
  bool dead_ = false;
};

}  // namespace panal::sim
