// The daemon's own end, where containers are to end with it.
#include <algorithm>

#include "node/containers/containers.h"

namespace panal {

Task<void> Containers::stop_all(int most_seconds) {
  ends_with_daemon_ = true;
  std::vector<LivePtr> running;
  for (const auto& [id, live] : containers_)
    if (is_running(live->c.state.phase)) running.push_back(live);
  Scope stops;
  const auto stop_one = [this, most_seconds](LivePtr live) -> Task<void> {
    const int own = live->c.config.stop_timeout.value_or(10);
    (void)co_await stop(live,
                        most_seconds < 0 ? own
                        : own < 0        ? most_seconds
                                         : std::min(own, most_seconds),
                        "");
  };
  for (const auto& live : running) stops.spawn(stop_one(live));
  co_await stops.join();
}

void Containers::shutdown() {
  stopping_ = true;
  early_.shutdown();
}

Task<void> Containers::end_builds() {
  std::vector<LivePtr> running;
  for (const auto& [id, live] : containers_)
    if (live->c.of_build && is_up(live->c.state.phase)) running.push_back(live);
  for (const auto& live : running) (void)co_await kill(live, "KILL");
}

}  // namespace panal
