// The engine's events (GET /events): a bounded memory of the latest and whoever listens now.
// A listener that falls more than the memory behind is told so and cut.
#pragma once
#include <deque>
#include <map>
#include <string>

#include "base/time.h"
#include "ports/event.h"
#include "ports/loop.h"

namespace panal {

struct EngineEvent {
  uint64_t number = 0;
  std::string type, action, id, scope = "local";
  std::map<std::string, std::string> attributes;
  WallTime time;
};

class Events {
 public:
  static constexpr size_t kMemory = 1024;
  explicit Events(Loop& loop) : loop_(loop) {}

  void publish(std::string type, std::string action, std::string id,
               std::map<std::string, std::string> attributes, std::string scope = "local");
  /// Oldest number still remembered; equals next() when there is none.
  uint64_t oldest() const { return memory_.empty() ? next_ : memory_.front().number; }
  uint64_t next() const { return next_; }
  const EngineEvent& at(uint64_t number) const { return memory_[number - memory_.front().number]; }
  Event& changed() { return changed_; }
  /// Stands while a client listens.
  struct Listening {
    explicit Listening(Events& e) : events(e) { ++events.listeners_; }
    ~Listening() { --events.listeners_; }
    Listening(const Listening&) = delete;
    Events& events;
  };
  int listeners() const { return listeners_; }

 private:
  Loop& loop_;
  std::deque<EngineEvent> memory_;
  uint64_t next_ = 1;
  int listeners_ = 0;
  Event changed_;
};

}  // namespace panal
