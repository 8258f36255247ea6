// Virtual time. Every process has a SimLoop, the world has one of its own; the Timeline runs whichever event
// is due first (ties in order of creation). Nothing happens between events. A crashed process is drained
// alone: its clock runs ahead while every port refuses, so that its coroutines end by their own code and can
// be destroyed.
#pragma once
#include <map>
#include <unordered_map>
#include <vector>

#include "ports/loop.h"

namespace panal::sim {

class Timeline;

class SimLoop final : public Loop {
 public:
  /// `wall_offset`: how far this machine's wall clock is off; outlives the loop.
  SimLoop(Timeline& timeline, int id, const Duration* wall_offset);
  ~SimLoop() override;

  MonoTime now() const override;
  WallTime wall_now() const override;
  void post(std::function<void()> fn) override;
  TimerId call_at(MonoTime when, std::function<void()> fn) override;
  void cancel(TimerId timer) override;
  using Loop::offload;
  void offload(std::function<void()> work, std::function<void()> done, Lane lane) override;

  int id() const { return id_; }
  /// Nothing runs before `until`: a paused virtual machine, a hung kernel.
  void stall(MonoTime until) { stalled_until_ = until; }
  /// How long work on the pool takes.
  std::function<Duration()> work_takes = [] { return Duration(100us); };
  /// Cuts the loop off from the world and runs it by itself until `done`; false when it is not done within
  /// `limit`.
  bool drain_alone(const std::function<bool()>& done, Duration limit);

 private:
  friend class Timeline;
  using Key = std::pair<MonoTime, uint64_t>;
  Key next_key() const;
  void run_next();

  Timeline& timeline_;
  const int id_;
  const Duration* wall_offset_;
  std::map<Key, std::function<void()>> queue_;
  std::unordered_map<TimerId, MonoTime> timers_;
  MonoTime stalled_until_{};
  std::optional<MonoTime> own_now_;  // set once cut off
};

class Timeline {
 public:
  MonoTime now{};
  uint64_t events = 0;
  /// Loop whose event runs now, or ran last.
  int current = -1;
  std::function<void(int loop, uint64_t key)> on_event;

  /// Runs the next event if it is due by `until`; otherwise moves to `until`.
  bool step(MonoTime until);
  uint64_t next_sequence() { return ++sequence_; }

 private:
  friend class SimLoop;
  std::vector<SimLoop*> loops_;
  uint64_t sequence_ = 0;
};

}  // namespace panal::sim
