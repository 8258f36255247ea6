// Loops for tests of what only reads, writes and waits for the pool.
#pragma once
#include <deque>

#include "ports/loop.h"

namespace panal::test {

/// No time passes; what is posted is done at once, work of the pool as well.
class NowLoop : public Loop {
 public:
  MonoTime now() const override { return {}; }
  WallTime wall_now() const override { return {}; }
  void post(std::function<void()> fn) override { fn(); }
  TimerId call_at(MonoTime, std::function<void()>) override { return 0; }
  void cancel(TimerId) override {}
  void offload(std::function<void()> work, std::function<void()> done, Lane) override { work(), done(); }
};

/// Work of the pool waits until it is run: a crash before that is a write that never happened.
class ManualLoop final : public NowLoop {
 public:
  std::deque<std::pair<std::function<void()>, std::function<void()>>> work;
  void offload(std::function<void()> w, std::function<void()> d, Lane) override {
    work.emplace_back(std::move(w), std::move(d));
  }
  void run_one() {
    auto [w, d] = std::move(work.front());
    work.pop_front();
    w(), d();
  }
  void run() {
    while (!work.empty()) run_one();
  }
};

}  // namespace panal::test
