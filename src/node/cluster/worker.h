// A worker's agent: a session with the leading manager, assignments in, statuses and acknowledgements out.
// While no manager answers, tasks keep running and the last tables keep serving. Decides nothing of its own.
#pragma once
#include <memory>

#include "node/cluster/executor.h"
#include "node/cluster/manager.h"
#include "ports/mutex.h"

namespace panal {

class Worker {
 public:
  struct Parts {
    Loop& loop;
    Transport& transport;
    Executor& executor;
    std::string node_id, address;
    std::function<std::vector<std::string>()> managers;      // addresses to try, the likely leader first
    std::function<void(const Assignments&)> on_assignments;  // role, managers
    std::function<std::pair<std::string, uint64_t>()>
        manager_identity;  // {manager address, raft id}, empty when this node is none
    std::function<void(const Assignments&)> on_programmed = [](const Assignments&) {};  // what now serves
    std::optional<Assignments> last =
        std::nullopt;  // what served before: until a manager answers, the tables are programmed from it
  };
  explicit Worker(Parts parts) : parts_(std::move(parts)) {}

  void start();
  void shutdown();
  Task<void> join() { co_await scope_.join(); }
  bool connected() const { return connected_; }
  const std::string& last_error() const { return last_error_; }

 private:
  struct LocalTask {
    ClusterTask task;
    TaskStatus status;
    std::string container_id;
    bool wanted = true;  // false: to be stopped
    bool driving = false;
    bool forget = false;  // no longer assigned: remove what is left
    Event changed;
  };
  using TaskPtr = std::shared_ptr<LocalTask>;

  Task<void> run();
  Task<Result<>> session(std::string address);
  Task<void> programmer();
  void assign(const Assignments& a);
  Task<void> drive(TaskPtr t);
  Task<void> clean(TaskPtr t);
  Task<void> end(TaskPtr t);
  Task<void> watch_stop(TaskPtr t);
  void assign_attachments(const Assignments& a);
  void note_attachments();
  void set_status(LocalTask& t, TaskState state, std::string message, std::string error = {});

  Parts parts_;
  std::map<std::string, TaskPtr> tasks_;
  std::map<std::string, TaskStatus> unsent_;
  std::map<std::string, TaskStatus> attachments_;  // as last told
  std::optional<Assignments> latest_;              // to be programmed
  uint64_t programmed_ = 0, acked_ = 0;
  Event news_, program_work_;
  bool stopping_ = false, connected_ = false, swept_ = false;
  RpcStream* stream_ = nullptr;
  std::string last_error_, hint_;
  Scope scope_;
};

}  // namespace panal
