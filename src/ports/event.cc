#include "ports/event.h"

#include "ports/loop.h"

namespace panal {

struct Event::Waiter {
  std::coroutine_handle<> handle;
  Event* event = nullptr;  // null once woken
  bool notified = false;
  TimerId timer = 0;
};

Event::~Event() { CHECK(waiters_.empty()); }

void Event::notify(Loop& loop) {
  for (Waiter* w : std::exchange(waiters_, {})) {
    w->event = nullptr;
    w->notified = true;
    if (w->timer) loop.cancel(w->timer);
    loop.post([h = w->handle] { h.resume(); });
  }
}

Task<bool> Event::wait(Loop& loop, std::optional<Duration> timeout) {
  struct Awaiter {
    Event* event;
    Loop* loop;
    std::optional<Duration> timeout;
    Waiter waiter{};
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> h) {
      waiter.handle = h;
      waiter.event = event;
      event->waiters_.push_back(&waiter);
      if (timeout)
        waiter.timer = loop->call_after(*timeout, [w = &waiter] {
          w->event->waiters_.remove(w);
          w->handle.resume();
        });
    }
    bool await_resume() const { return waiter.notified; }
  };
  Awaiter awaiter{this, &loop, timeout};
  co_return co_await awaiter;
}

}  // namespace panal
