// docker update: new limits and restart policy for a container, running or not.
#include "base/json.h"
#include "engine/resources_json.h"
#include "node/containers/containers.h"

namespace panal {

Task<Result<std::vector<std::string>>> Containers::update(LivePtr live, UpdateWish wish) {
  auto held = co_await live->mutex.lock(loop_);
  Container& c = live->c;
  const auto refused = [&c](Error error) {
    return std::unexpected(wrap("Cannot update container " + c.id, std::move(error)));
  };
  if (live->removed || c.state.phase == Phase::kRemoving || c.state.phase == Phase::kDead)
    co_return refused({Code::kConflict, "container is marked for removal and cannot be \"update\""});
  const RestartPolicy& policy = wish.restart_policy;
  if (auto good = check_restart_policy(policy); !good) co_return refused(good.error());
  if (c.host.auto_remove && !policy.name.empty() && policy.name != "no")
    co_return refused({Code::kConflict,
                       "Restart policy cannot be updated because AutoRemove is enabled for the container"});
  auto after = updated_limits(c.host, wish, paths_.machine);
  if (!after) co_return refused(after.error());
  auto warnings = fit_resources(*after, paths_.machine, paths_.cgroup_v2);
  const Json before = resources_json(c.host, paths_.cgroup_v2);
  Json wanted = resources_json(*after, paths_.cgroup_v2);
  Runtime::Update update{.id = c.id, .bundle = dir(c), .cgroup = cgroup(c)};
  update.no_pids_limit = wish.limits.pids_limit.value_or(1) <= 0;
  update.no_cpu_quota = wish.limits.cpu_quota < 0;
  if (update.no_pids_limit) after->pids_limit = 0;
  if (Json* cpu = wanted.get_object().if_contains("cpu"); cpu && update.no_cpu_quota)
    cpu->get_object().erase("quota");
  update.resources_json = dump(wanted);
  // The kernel first: what it refuses is not stored.
  if (is_up(c.state.phase) && (wanted != before || update.no_pids_limit || update.no_cpu_quota))
    if (auto done = co_await runtime_.update(std::move(update)); !done) co_return refused(done.error());
  c.host = std::move(*after);
  if (!policy.name.empty()) c.host.restart_policy = policy;
  CO_TRYV(co_await store(c));
  event(c, "update");
  co_return warnings;
}

}  // namespace panal
