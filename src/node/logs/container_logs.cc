// What the daemon does for containers' logs while they run: conmon writes them (node/logs/log_files.h).
#include "base/log.h"
#include "node/containers/containers.h"
#include "node/logs/log_files.h"

namespace panal {

void Containers::log_turned(const std::string& id) {
  const auto it = containers_.find(id);
  if (it == containers_.end()) return;
  const LivePtr live = it->second;
  const auto plan = log_plan(live->c.host.log_config);
  if (!plan || !plan->kept) return;
  panal::log_turned(log_path(live->c), plan->limits, Hole::kDropOlder);
  live->changed.notify(loop_);  // readers go on in the next file
  scope_.spawn(pack_logs(live));
}

Task<void> Containers::pack_logs(LivePtr live) {
  const auto plan = log_plan(live->c.host.log_config);
  if (!plan || !plan->kept || std::exchange(live->packing, true)) co_return;
  const std::string path = log_path(live->c);
  while (live->c.state.phase != Phase::kRemoving && !stopping_) {
    const auto next = log_to_pack(path, plan->limits);
    if (!next) break;
    const auto work = [&next] { return pack_log(*next); };
    if (auto packed = co_await blocking(loop_, work, Lane::kLong); !packed) {
      log::warn("msg=\"a log file stays unpacked\" container={} error=\"{}\"", live->c.id,
                packed.error().message);
      break;
    }
  }
  live->packing = false;
  live->changed.notify(loop_);
}

}  // namespace panal
