// The seam to time and scheduling: one thread, a queue of callbacks, timers, and a small pool for work that
// blocks. The daemon implements it on Asio (sys/loop), the simulator on virtual time.
#pragma once
#include <functional>
#include <memory>

#include "base/task.h"
#include "base/time.h"
#include "ports/event.h"

namespace panal {

using TimerId = uint64_t;

/// Work that blocks has threads of its own kind, so that what may hang keeps nothing waiting that must go on.
enum class Lane {
  kQuick,   // milliseconds: mounts, rules, small files
  kLong,    // as long as the disk takes for much: big trees, whole file systems
  kRemote,  // as long as another machine takes: names, network file systems
  kLog,     // the Raft log, in order of coming
};

class Loop {
 public:
  virtual ~Loop() = default;
  virtual MonoTime now() const = 0;
  virtual WallTime wall_now() const = 0;
  /// Runs `fn` later on the loop's thread, in order of posting.
  virtual void post(std::function<void()> fn) = 0;
  virtual TimerId call_at(MonoTime when, std::function<void()> fn) = 0;
  virtual void cancel(TimerId timer) = 0;
  /// Runs `work` on a thread of the lane, then `done` on the loop's thread. Begun in order of coming; the
  /// queue is bounded by who waits: a task has one piece of work at a time.
  virtual void offload(std::function<void()> work, std::function<void()> done, Lane lane) = 0;
  void offload(std::function<void()> work, std::function<void()> done) {
    offload(std::move(work), std::move(done), Lane::kQuick);
  }

  TimerId call_after(Duration d, std::function<void()> fn) { return call_at(now() + d, std::move(fn)); }

  auto sleep(Duration d) {
    struct Awaiter {
      Loop* loop;
      Duration d;
      bool await_ready() const { return false; }
      void await_suspend(std::coroutine_handle<> h) {
        loop->call_after(d, [h] { h.resume(); });
      }
      void await_resume() {}
    };
    return Awaiter{this, d};
  }
  /// Continues from the loop's queue.
  auto yield() {
    struct Awaiter {
      Loop* loop;
      bool await_ready() const { return false; }
      void await_suspend(std::coroutine_handle<> h) {
        loop->post([h] { h.resume(); });
      }
      void await_resume() {}
    };
    return Awaiter{this};
  }
};

/// Runs a blocking function on the pool: `auto r = co_await blocking(loop, [..] { return f(); });`
template <class F>
auto blocking(Loop& loop, F work, Lane lane = Lane::kQuick) -> Task<std::invoke_result_t<F>> {
  using R = std::invoke_result_t<F>;
  struct Awaiter {
    Loop* loop;
    F* work;
    std::optional<R>* result;
    Lane lane;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> h) {
      loop->offload([w = work, r = result] { r->emplace((*w)()); }, [h] { h.resume(); }, lane);
    }
    void await_resume() {}
  };
  std::optional<R> result;
  co_await Awaiter{&loop, &work, &result, lane};
  co_return std::move(*result);
}

}  // namespace panal
