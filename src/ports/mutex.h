// AsyncMutex: serialises coroutines that work on one thing, in order of asking. `auto held = co_await
// mutex.lock(loop);`
#pragma once
#include <deque>

#include "ports/loop.h"

namespace panal {

class AsyncMutex {
 public:
  class Held {
   public:
    Held(AsyncMutex* mutex, Loop* loop) : mutex_(mutex), loop_(loop) {}
    Held(Held&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)), loop_(other.loop_) {}
    ~Held() { release(); }
    void release() {
      if (auto* m = std::exchange(mutex_, nullptr)) m->unlock(*loop_);
    }

   private:
    AsyncMutex* mutex_;
    Loop* loop_;
  };

  auto lock(Loop& loop) {
    struct Awaiter {
      AsyncMutex* mutex;
      Loop* loop;
      bool await_ready() {
        if (mutex->locked_) return false;
        mutex->locked_ = true;
        return true;
      }
      void await_suspend(std::coroutine_handle<> h) { mutex->waiters_.push_back(h); }
      Held await_resume() { return Held(mutex, loop); }
    };
    return Awaiter{this, &loop};
  }
  bool locked() const { return locked_; }

 private:
  void unlock(Loop& loop) {
    if (waiters_.empty()) {
      locked_ = false;
      return;
    }
    auto next = waiters_.front();  // stays locked: handed over
    waiters_.pop_front();
    loop.post([next] { next.resume(); });
  }

  bool locked_ = false;
  std::deque<std::coroutine_handle<>> waiters_;
};

}  // namespace panal
