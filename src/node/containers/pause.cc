// Containers that stand still.
#include "base/log.h"
#include "node/containers/containers.h"

namespace panal {

Task<Result<>> Containers::pause(LivePtr live, Pause why) {
  auto held = co_await live->mutex.lock(loop_);
  if (live->c.state.phase == Phase::kPaused)
    co_return fail(Code::kConflict, "Container " + live->c.id + " is already paused");
  if (live->c.state.phase != Phase::kRunning) co_return std::unexpected(not_running(live->c));
  live->c.paused_to_copy = why == Pause::kToCopy;
  if (live->c.paused_to_copy) CO_TRYV(co_await store(live->c));  // a daemon's death must not leave it so
  CO_TRYV(co_await runtime_.pause(live->c.id));
  live->c.state.phase = Phase::kPaused;
  event(live->c, "pause");
  co_return co_await store(live->c);
}

Task<Result<>> Containers::unpause(LivePtr live) {
  auto held = co_await live->mutex.lock(loop_);
  if (live->c.state.phase != Phase::kPaused)
    co_return fail(Code::kConflict, "Container " + live->c.id + " is not paused");
  CO_TRYV(co_await runtime_.resume(live->c.id));
  live->c.state.phase = Phase::kRunning, live->c.paused_to_copy = false;
  event(live->c, "unpause");
  co_return co_await store(live->c);
}

// The kernel knows whether it stands still; the daemon may have died between that and its record.
Task<void> Containers::adopt_pause(LivePtr live) {
  Container& c = live->c;
  const bool frozen = runtime_.frozen(cgroup(c));
  if (frozen != (c.state.phase == Phase::kPaused)) {
    c.state.phase = frozen ? Phase::kPaused : Phase::kRunning;
    (void)co_await store(c);
  }
  if (frozen && c.paused_to_copy) scope_.spawn(thaw(live));
}

// Whoever copied from it has died with the daemon.
Task<void> Containers::thaw(LivePtr live) {
  if (auto goes_on = co_await unpause(live); !goes_on)
    log::warn("msg=\"unpause after a copy\" container={} error=\"{}\"", live->c.id, goes_on.error().message);
}

}  // namespace panal
