// From a task's start to its end: when it counts as running, and how it ended.
#include "base/text.h"
#include "node/cluster/task_executor.h"
#include "node/networks/listening.h"

namespace panal {

// Swarm sends clients to a task without a health check as soon as its program runs, which may not listen yet:
// requests are refused in each update. Here it counts as running when it listens on the TCP ports that lead
// to it. A program that never does so is not waited for longer than this; neither is one that takes longer:
// that is what a health check is for.
static constexpr Duration kListenPatience = 5s, kFirstLook = 2ms, kLongestPause = 200ms;

std::set<uint16_t> TaskExecutor::awaited_ports(const Container& c) const {
  std::set<uint16_t> out;
  if (!c.state.health.empty()) return out;
  for (const auto& [port, bindings] : c.host.port_bindings)
    if (port.ends_with("/tcp"))
      out.insert(static_cast<uint16_t>(parse_int(port.substr(0, port.size() - 4)).value_or(0)));
  const auto label = c.config.labels.find(kServiceLabel);
  if (label == c.config.labels.end()) return out;
  for (const auto& service : now_.mesh_services)
    if (service.meta.id == label->second)
      for (const auto& p : service.ports)
        if (p.mode == "ingress" && p.protocol == "tcp") out.insert(static_cast<uint16_t>(p.target));
  return out;
}

Task<Result<Executor::Exit>> TaskExecutor::wait(std::string id, std::function<void(bool, int)> on_health) {
  CO_TRY(const LivePtr live, parts_.containers.find(id));
  const uint64_t life = live->exits;
  const MonoTime patient_until = parts_.loop.now() + kListenPatience;
  std::optional<Duration> pause = kFirstLook;  // until it listens
  while (live->exits == life && live->c.state.phase != Phase::kExited && !live->removed) {
    if (interrupted_) co_return fail(Code::kCancelled, "the worker ends");
    const std::string& health = live->c.state.health;
    if (health == "unhealthy") {  // Swarm replaces a task that fails its check
      (void)co_await parts_.containers.stop(live, std::nullopt, "");
      co_return Exit{live->c.state.exit_code, "task: unhealthy container"};
    }
    if (live->c.state.phase == Phase::kRunning) {
      if (pause &&
          (parts_.loop.now() >= patient_until || listens_on(live->c.state.pid, awaited_ports(live->c))))
        pause.reset();
      if (!pause) on_health(health.empty() || health == "healthy", live->c.state.pid);
    }
    (void)co_await live->changed.wait(parts_.loop, pause);
    if (pause) pause = std::min<Duration>(*pause * 2, kLongestPause);
  }
  std::string error =
      live->c.state.oom_killed && live->c.state.exit_code != 0
          ? "task: non-zero exit (" + std::to_string(live->c.state.exit_code) + "): out of memory"
          : "";
  co_return Exit{live->c.state.exit_code, error};
}

}  // namespace panal
