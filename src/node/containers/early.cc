#include "node/containers/early.h"

#include "base/fd.h"
#include "node/logs/log_files.h"

namespace panal {

MonitorKind kind_of(const Container& c, bool mapped) {
  MonitorKind out{.tty = c.config.tty,
                  .open_stdin = c.config.open_stdin,
                  .stdin_once = c.config.stdin_once,
                  .mapped_users = mapped};
  const LogPlan logging = log_plan(c.host.log_config).value_or(LogPlan{});
  if (logging.kept) out.kept = logging.limits;
  return out;
}

Result<std::unique_ptr<Monitor>> EarlyMonitors::begin(const std::string& id, const MonitorKind& kind) {
  MonitorStart start;
  start.id = id, start.bundle = dir(id), start.tty = kind.tty, start.open_stdin = kind.open_stdin,
  start.stdin_once = kind.stdin_once, start.mapped_users = kind.mapped_users;
  if (kind.kept) {
    start.log_path = dir(id) + "/container.log", start.log_max_bytes = kind.kept->max_size_bytes;
    TRYV(prepare_log(start.log_path, *kind.kept));
  }
  return runtime_.begin(std::move(start));
}

std::string EarlyMonitors::new_id(const MonitorKind& kind) {
  if (!spare_ || spare_->kind != kind) return entropy_.hex_id();
  const std::string id = std::exchange(spare_, std::nullopt)->id;
  loop_.cancel(waiting_.at(id).end);
  return id;
}

void EarlyMonitors::created(const std::string& id, const MonitorKind& kind) {
  if (stopping_) return;
  auto it = waiting_.find(id);
  if (it == waiting_.end()) {
    if (waiting_.size() >= kMost) return;
    auto monitor = begin(id, kind);
    if (!monitor) return;
    it = waiting_.emplace(id, Waiting{std::move(*monitor), {}}).first;
  }
  it->second.end = loop_.call_after(kEarlyFor, [this, id] { waiting_.erase(id); });
}

Result<std::unique_ptr<Monitor>> EarlyMonitors::take(const std::string& id, const MonitorKind& kind) {
  const auto it = waiting_.find(id);
  if (it == waiting_.end()) return begin(id, kind);
  auto monitor = std::move(it->second.monitor);
  (void)give_up(id);
  if (!monitor->waits()) return begin(id, kind);  // somebody has ended it
  return monitor;
}

bool EarlyMonitors::give_up(const std::string& id) {
  const auto it = waiting_.find(id);
  if (it == waiting_.end()) return false;
  loop_.cancel(it->second.end);
  waiting_.erase(it);
  return true;
}

void EarlyMonitors::started(const MonitorKind& kind) {
  if (stopping_) return;
  if (soon_) loop_.cancel(*soon_);
  soon_ = loop_.call_after(kSpareAfter, [this, kind] {
    soon_.reset();
    make_spare(kind);
  });
}

void EarlyMonitors::make_spare(const MonitorKind& kind) {
  drop_spare();
  if (waiting_.size() >= kMost) return;
  const std::string id = entropy_.hex_id();
  if (!make_dirs(dir(id), 0710)) return;
  auto monitor = begin(id, kind);
  if (!monitor) {
    (void)remove_tree(dir(id));
    return;
  }
  waiting_[id] = {std::move(*monitor), loop_.call_after(kSpareFor, [this] { drop_spare(); })};
  spare_ = {id, kind};
}

void EarlyMonitors::drop_spare() {
  if (!spare_) return;
  const std::string id = std::exchange(spare_, std::nullopt)->id;
  (void)give_up(id);
  scope_.spawn(clear_away(id));
}

Task<void> EarlyMonitors::clear_away(std::string id) {
  (void)co_await runtime_.remove(id, "");  // which waits for the monitor's end
  (void)remove_tree(dir(id));
}

void EarlyMonitors::shutdown() {
  stopping_ = true;
  if (soon_) loop_.cancel(*std::exchange(soon_, std::nullopt));
  drop_spare();
  while (!waiting_.empty()) (void)give_up(waiting_.begin()->first);
}

}  // namespace panal
