#include "swarm/update.h"

#include <algorithm>

namespace panal {

bool rolling_back(const Service& s) { return s.update && s.update->state.starts_with("rollback"); }

UpdateConfig update_config(const Service& s) {
  const auto& chosen = rolling_back(s) ? s.spec.rollback : s.spec.update;
  UpdateConfig c = chosen.value_or(UpdateConfig{});
  if (c.monitor == 0) c.monitor = 5'000'000'000;
  return c;
}

bool running_well(const ClusterTask& t) { return t.status.state == TaskState::kRunning && t.status.healthy; }

bool same_tasks(const TaskSpec& a, const std::vector<PortConfig>& a_ports, const TaskSpec& b,
                const std::vector<PortConfig>& b_ports) {
  const auto host = [](const std::vector<PortConfig>& ports) {
    std::vector<PortConfig> out;
    std::ranges::copy_if(ports, std::back_inserter(out),
                         [](const PortConfig& p) { return p.mode == "host"; });
    return out;
  };
  const auto ingress = [](const std::vector<PortConfig>& ports) {
    return std::ranges::any_of(ports, [](const PortConfig& p) { return p.mode == "ingress"; });
  };
  return a == b && ingress(a_ports) == ingress(b_ports) && host(a_ports) == host(b_ports);
}

bool lived_longer(const ClusterTask& t, int64_t nanoseconds) {
  return t.came_up != WallTime{} && t.status.time - t.came_up > Duration(nanoseconds);
}

void note_status(ClusterTask& t, TaskStatus status, WallTime now) {
  t.status = std::move(status), t.status.time = now;
  if (t.came_up != WallTime{} || !(running_well(t) || terminal(t.status.state))) return;
  t.came_up = now;
  if (t.turn == WallTime{}) t.turn = now;
}

void change_spec(Service& s, ServiceSpec next, bool back, WallTime now) {
  const bool replace = !same_tasks(s.spec.task, s.spec.ports, next.task, next.ports);
  s.previous = std::exchange(s.spec, std::move(next));
  if (back)
    std::swap(s.registry_auth, s.previous_auth);
  else
    s.previous_auth = s.registry_auth;
  if (replace) {
    ++s.spec_version;
    s.update = UpdateStatus{back ? "rollback_started" : "updating",
                            back ? "manually requested rollback" : "update in progress",
                            now,
                            {}};
  } else if (s.update && s.update->completed ==
                             WallTime{}) {  // what is under way goes on, what was paused is taken up again
    if (rolling_back(s))
      s.update->state = "rollback_started";
    else
      s.update->state = "updating", s.update->message = "update in progress";
  } else {
    s.update = std::nullopt;
  }
}

}  // namespace panal
