#include "sim/timeline.h"

#include <algorithm>

namespace panal::sim {

static constexpr Duration kWallBase = std::chrono::seconds(1'795'000'000);  // November 2026

SimLoop::SimLoop(Timeline& timeline, int id, const Duration* wall_offset)
    : timeline_(timeline), id_(id), wall_offset_(wall_offset) {
  timeline_.loops_.push_back(this);
}
SimLoop::~SimLoop() { std::erase(timeline_.loops_, this); }

MonoTime SimLoop::now() const { return own_now_ ? *own_now_ : timeline_.now; }
WallTime SimLoop::wall_now() const { return WallTime(kWallBase + now().time_since_epoch() + *wall_offset_); }

void SimLoop::post(std::function<void()> fn) {
  queue_.emplace(Key{now(), timeline_.next_sequence()}, std::move(fn));
}

TimerId SimLoop::call_at(MonoTime when, std::function<void()> fn) {
  const Key key{std::max(when, now()), timeline_.next_sequence()};
  timers_.emplace(key.second, key.first);
  queue_.emplace(key, std::move(fn));
  return key.second;
}

void SimLoop::cancel(TimerId timer) {
  auto it = timers_.find(timer);
  if (it == timers_.end()) return;
  queue_.erase({it->second, timer});
  timers_.erase(it);
}

void SimLoop::offload(std::function<void()> work, std::function<void()> done, Lane) {
  call_after(work_takes(), [work = std::move(work), done = std::move(done)] {
    work();
    done();
  });
}

SimLoop::Key SimLoop::next_key() const {
  if (queue_.empty()) return {MonoTime::max(), 0};
  const Key& first = queue_.begin()->first;
  return {std::max(first.first, stalled_until_), first.second};
}

void SimLoop::run_next() {
  auto node = queue_.extract(queue_.begin());
  timers_.erase(node.key().second);
  node.mapped()();
}

bool SimLoop::drain_alone(const std::function<bool()>& done, Duration limit) {
  own_now_ = timeline_.now;
  std::erase(timeline_.loops_, this);
  const MonoTime end = timeline_.now + limit;
  while (!done()) {
    if (queue_.empty() || queue_.begin()->first.first > end) return false;
    own_now_ = std::max(*own_now_, queue_.begin()->first.first);
    run_next();
  }
  return true;
}

bool Timeline::step(MonoTime until) {
  SimLoop* first = nullptr;
  SimLoop::Key best{MonoTime::max(), 0};
  for (SimLoop* l : loops_)
    if (auto key = l->next_key(); key < best) best = key, first = l;
  if (!first || best.first > until) {
    now = std::max(now, until);
    return false;
  }
  now = std::max(now, best.first);
  ++events;
  current = first->id();
  first->run_next();
  if (on_event) on_event(current, best.second);
  return true;
}

}  // namespace panal::sim
