// Event: coroutines wait for the next notify(). Level state belongs to the owner: wake, look again.
#pragma once
#include <list>

#include "base/task.h"
#include "base/time.h"

namespace panal {

class Loop;

class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();

  /// Wakes everyone who waits now. They resume from the loop, not inside this call.
  void notify(Loop& loop);
  /// True when notified, false when `timeout` passed first.
  Task<bool> wait(Loop& loop, std::optional<Duration> timeout = std::nullopt);

 private:
  struct Waiter;
  std::list<Waiter*> waiters_;
};

}  // namespace panal
