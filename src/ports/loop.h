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

class Loop {
 public:
  virtual ~Loop() = default;
  virtual MonoTime now() const = 0;
  virtual WallTime wall_now() const = 0;
  /// Runs `fn` later on the loop's thread, in order of posting.
  virtual void post(std::function<void()> fn) = 0;
  virtual TimerId call_at(MonoTime when, std::function<void()> fn) = 0;
  virtual void cancel(TimerId timer) = 0;
  /// Runs `work` on the pool, then `done` on the loop's thread. At most 4096 queued: beyond that work waits
  /// in order.
  virtual void offload(std::function<void()> work, std::function<void()> done) = 0;

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
auto blocking(Loop& loop, F work) -> Task<std::invoke_result_t<F>> {
  using R = std::invoke_result_t<F>;
  struct Awaiter {
    Loop* loop;
    F* work;
    std::optional<R>* result;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> h) {
      loop->offload([w = work, r = result] { r->emplace((*w)()); }, [h] { h.resume(); });
    }
    void await_resume() {}
  };
  std::optional<R> result;
  co_await Awaiter{&loop, &work, &result};
  co_return std::move(*result);
}

}  // namespace panal
