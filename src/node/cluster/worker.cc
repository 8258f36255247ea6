#include "node/cluster/worker.h"

#include <algorithm>
#include <functional>

#include "base/log.h"

namespace panal {

// A leader says something every two seconds. Whoever has lost it is back well before the next one gives a
// node up (kLeaderGrace in manager.cc).
static constexpr Duration kLeaderSilence = 6s, kSilentManager = 10s;

void Worker::start() {
  latest_ = std::exchange(parts_.last, std::nullopt);
  if (latest_) latest_->index = 0;  // nothing to acknowledge: another leader may count anew
  parts_.executor.on_attachments = [this] {
    if (!stopping_) note_attachments();
  };
  scope_.spawn(run());
  scope_.spawn(programmer());
}

void Worker::shutdown() {
  stopping_ = true;
  parts_.executor.on_attachments = nullptr;
  if (stream_) stream_->cancel();
  news_.notify(parts_.loop);
  program_work_.notify(parts_.loop);
  for (auto& [id, t] : tasks_) t->changed.notify(parts_.loop);
  parts_.executor.interrupt();
}

Task<void> Worker::run() {
  Duration pause = 100ms;
  std::map<std::string, MonoTime> silent;  // asking a machine that is off takes seconds
  const auto was_silent = [&](const std::string& address) {
    const auto it = silent.find(address);
    return it != silent.end() && parts_.loop.now() - it->second < kSilentManager;
  };
  while (!stopping_) {
    auto addresses = parts_.managers();
    std::ranges::stable_partition(addresses, std::not_fn(was_silent));
    bool answered = false;
    if (!hint_.empty()) addresses.insert(addresses.begin(), std::exchange(hint_, {}));
    for (const auto& address : addresses) {
      if (stopping_) co_return;
      if (answered && was_silent(address)) continue;  // the others know who leads
      const MonoTime began = parts_.loop.now();
      auto ended = co_await session(address);
      connected_ = false;
      silent[address] = parts_.loop.now();
      if (!ended) {
        last_error_ = ended.error().message;
        if (last_error_.starts_with("not the leader: "))
          hint_ = last_error_.substr(16), answered = true, silent.erase(address);
      }
      if (parts_.loop.now() - began > 5s) pause = 100ms;
      if (!hint_.empty()) break;
    }
    (void)co_await news_.wait(parts_.loop, pause);
    pause = std::min<Duration>(pause * 2, 2s);
  }
}

Task<Result<>> Worker::session(std::string address) {
  CO_TRY(auto stream, co_await parts_.transport.open(address, "/panal.Dispatcher/Session"));
  AgentMessage hello;
  hello.hello = true, hello.description = parts_.executor.describe(), hello.address = parts_.address;
  std::tie(hello.manager_address, hello.raft_id) = parts_.manager_identity();
  // Everything known goes along once: the manager may be new.
  for (const auto& [id, t] : tasks_) hello.statuses.emplace_back(id, t->status);
  for (const auto& [id, status] : attachments_)
    if (status.state != TaskState::kAssigned) hello.statuses.emplace_back(id, status);
  auto greeting = hello;
  greeting.statuses.clear();
  CO_TRYV(co_await stream->write(encode(greeting)));
  for (const auto& [id, status] : hello.statuses) unsent_[id] = status;
  bool ended = false;
  acked_ = 0;
  stream_ = stream.get();
  Scope scope;
  std::optional<Error> why;
  MonoTime heard = parts_.loop.now();
  AssignmentView view(parts_.node_id);
  auto read_all = [&]() -> Task<void> {
    for (;;) {
      auto message = co_await stream->read();
      if (!message) {
        why = message.error();
        break;
      }
      if (!*message) break;
      heard = parts_.loop.now();
      if ((*message)->empty()) continue;
      if (auto taken = view.take(**message); !taken) {
        log::error("msg=\"assignments not understood\" error=\"{}\"", taken.error().message);
        break;
      }
      const Assignments& a = view.now();
      connected_ = true;
      last_error_.clear();
      parts_.on_assignments(a);
      assign(a);
      latest_ = a;
      program_work_.notify(parts_.loop);
    }
    ended = true;
    news_.notify(parts_.loop);
  };
  scope.spawn(read_all());
  while (!ended && !stopping_ && parts_.loop.now() - heard < kLeaderSilence) {
    AgentMessage message;
    if (connected_)
      for (auto& [id, status] : std::exchange(unsent_, {})) message.statuses.emplace_back(id, status);
    if (programmed_ > acked_) message.ack = acked_ = programmed_;
    auto sent = co_await stream->write(encode(message));  // without news it is a sign of life
    if (!sent) {
      for (auto& [id, status] : message.statuses) unsent_.try_emplace(id, status);
      break;
    }
    if (unsent_.empty() && programmed_ <= acked_)
      (void)co_await news_.wait(parts_.loop,
                                std::min<Duration>(3s, heard + kLeaderSilence - parts_.loop.now()));
    else if (!connected_)
      (void)co_await news_.wait(parts_.loop, 200ms);
  }
  stream_ = nullptr;
  stream->cancel();
  co_await scope.join();
  if (why) co_return std::unexpected(*why);
  co_return Result<>{};
}

// Tables are programmed one set after the other, always the newest; what was skipped needs no acknowledgement
// of its own.
Task<void> Worker::programmer() {
  while (!stopping_) {
    if (!latest_) {
      (void)co_await program_work_.wait(parts_.loop);
      continue;
    }
    const Assignments a = std::move(*std::exchange(latest_, std::nullopt));
    auto done = co_await parts_.executor.program(a);
    if (!done) {
      log::warn("msg=\"programming the network failed\" error=\"{}\"", done.error().message);
      if (!latest_) latest_ = a;
      (void)co_await program_work_.wait(parts_.loop, 1s);
      continue;
    }
    programmed_ = a.index;
    parts_.on_programmed(a);
    news_.notify(parts_.loop);
  }
}

void Worker::set_status(LocalTask& t, TaskState state, std::string message, std::string error) {
  t.status.state = state, t.status.message = std::move(message), t.status.error = std::move(error);
  t.status.container_id = t.container_id;
  unsent_[t.task.meta.id] = t.status;
  news_.notify(parts_.loop);
}

void Worker::assign(const Assignments& a) {
  std::set<std::string> named;
  const auto existing = parts_.executor.existing();
  assign_attachments(a);
  for (const auto& task : a.tasks) {
    if (is_attachment(task)) continue;
    named.insert(task.meta.id);
    auto it = tasks_.find(task.meta.id);
    if (it == tasks_.end()) {
      auto t = std::make_shared<LocalTask>();
      t->task = task, t->status = task.status;
      if (auto found = existing.find(task.meta.id); found != existing.end()) t->container_id = found->second;
      it = tasks_.emplace(task.meta.id, t).first;
      if (!terminal(t->status.state)) {
        t->driving = true;
        t->wanted = task.desired <= TaskState::kRunning;
        scope_.spawn(drive(t));
      } else if (!t->container_id.empty() &&
                 parts_.executor.stage(t->container_id) == Executor::Stage::kRunning) {
        scope_.spawn(end(t));
      }
    }
    auto& t = it->second;
    t->task = task;
    const bool wanted = task.desired <= TaskState::kRunning;
    if (wanted != t->wanted) t->wanted = wanted, t->changed.notify(parts_.loop);
    if (!wanted && t->driving) parts_.executor.give_up(task.meta.id);
  }
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    if (named.contains(it->first)) {
      ++it;
      continue;
    }
    auto t = it->second;
    t->wanted = false, t->forget = true;
    t->changed.notify(parts_.loop);
    if (t->driving) parts_.executor.give_up(it->first);
    it = tasks_.erase(it);
    if (!t->driving) scope_.spawn(clean(t));
  }
  // Containers of tasks nobody assigns any more, left by an earlier life of this node.
  if (!swept_) {
    swept_ = true;
    for (const auto& [id, container] : existing)
      if (!named.contains(id)) {
        auto t = std::make_shared<LocalTask>();
        t->task.meta.id = id, t->container_id = container, t->forget = true;
        scope_.spawn(clean(t));
      }
  }
}

// Said to have ended, and it runs: the machine lost its power and the container with it, and a leader that
// did not know of the end yet had the task begin anew.
Task<void> Worker::end(TaskPtr t) {
  auto stopped = co_await parts_.executor.stop(t->container_id);
  if (!stopped && stopped.error().code != Code::kNotModified)
    log::warn("msg=\"stop task\" task={} error=\"{}\"", t->task.meta.id, stopped.error().message);
}

Task<void> Worker::clean(TaskPtr t) {
  if (t->container_id.empty()) co_return;
  if (parts_.executor.stage(t->container_id) == Executor::Stage::kRunning)
    (void)co_await parts_.executor.stop(t->container_id);
  auto removed = co_await parts_.executor.remove(t->container_id);
  if (!removed && removed.error().code != Code::kNotFound)
    log::warn("msg=\"remove task container\" task={} error=\"{}\"", t->task.meta.id, removed.error().message);
}

// One task from accepted to its end. Each wait looks again whether it is still wanted. Its container runs
// once: what ended while nobody was there is reported, not started again.
Task<void> Worker::drive(TaskPtr t) {
  const auto give_up = [&] { return !t->wanted || stopping_; };
  const auto begun = [&] {
    return !t->container_id.empty() && parts_.executor.stage(t->container_id) != Executor::Stage::kNotStarted;
  };
  if (!begun()) {
    set_status(*t, TaskState::kAccepted, "accepted");
    if (!give_up()) {
      set_status(*t, TaskState::kPreparing, "preparing");
      auto prepared = co_await parts_.executor.prepare(t->task);
      if (prepared)
        t->container_id = *prepared;
      else if (!give_up())
        set_status(*t, TaskState::kRejected, "preparing", prepared.error().message);
    }
    if (!terminal(t->status.state) && !give_up()) {
      set_status(*t, TaskState::kReady, "prepared");
      set_status(*t, TaskState::kStarting, "starting");
      auto started = co_await parts_.executor.start(t->container_id);
      if (!started && started.error().code != Code::kNotModified)
        set_status(*t, TaskState::kFailed, "starting",
                   "starting container failed: " + started.error().message);
    }
  }
  if (!terminal(t->status.state) && begun()) {
    Scope stopper;
    stopper.spawn(watch_stop(t));
    const auto on_health = [this, t](bool healthy, int pid) {
      if (terminal(t->status.state)) return;
      if (t->status.state == TaskState::kRunning && t->status.healthy == healthy) return;
      t->status.healthy = healthy, t->status.pid = pid,
      t->status.ports = parts_.executor.host_ports(t->container_id);
      // With a health check a task counts as running from its first pass, as in Swarm.
      if (healthy || t->status.state == TaskState::kRunning) set_status(*t, TaskState::kRunning, "started");
    };
    auto exit = co_await parts_.executor.wait(t->container_id, on_health);
    if (!stopping_) {
      t->status.exit_code = exit ? exit->code : -1;
      t->status.pid = 0, t->status.healthy = false, t->status.ports.clear();
      if (!t->wanted)
        set_status(*t, TaskState::kShutdown, "shutdown");
      else if (exit && exit->code == 0 && exit->error.empty())
        set_status(*t, TaskState::kComplete, "finished");
      else
        set_status(*t, TaskState::kFailed, "started",
                   exit ? (exit->error.empty() ? "task: non-zero exit (" + std::to_string(exit->code) + ")"
                                               : exit->error)
                        : exit.error().message);
    }
    t->changed.notify(parts_.loop);
    co_await stopper.join();
  }
  if (stopping_) co_return;
  if (!terminal(t->status.state)) set_status(*t, TaskState::kShutdown, "shutdown");
  t->driving = false;
  if (t->forget) co_await clean(t);
}

Task<void> Worker::watch_stop(TaskPtr t) {
  while (t->wanted && !terminal(t->status.state) && !stopping_) (void)co_await t->changed.wait(parts_.loop);
  if (!stopping_ && !terminal(t->status.state)) co_await end(t);
}

}  // namespace panal
