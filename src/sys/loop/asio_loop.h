// The daemon's Loop on Asio: one io_context on one thread, and a few more for work that blocks.
// Built and run by the composition root; stop() may be called from the loop's thread only.
#pragma once
#include <memory>

#include "ports/loop.h"

namespace panal {

class AsioLoop final : public Loop {
 public:
  AsioLoop();
  ~AsioLoop() override;

  void run();
  void stop();

  MonoTime now() const override;
  WallTime wall_now() const override;
  void post(std::function<void()> fn) override;
  TimerId call_at(MonoTime when, std::function<void()> fn) override;
  void cancel(TimerId timer) override;
  using Loop::offload;
  void offload(std::function<void()> work, std::function<void()> done, Lane lane) override;

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

}  // namespace panal
