#include "node/containers/early.h"

#include "base/fd.h"

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
    start.log_path = log_in(dir(id)), start.log_max_bytes = kind.kept->max_size_bytes;
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
  if (monitor->waits()) return monitor;
  monitor.reset();  // somebody has ended it
  return begin(id, kind);
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
  co_await runtime_.gone(id);
  (void)remove_tree(dir(id));
}

std::string EarlyMonitors::new_exec_id(const std::string& container, bool tty, bool open_stdin, bool attach) {
  if (!spare_exec_ || spare_exec_->has_session) return entropy_.hex_id();
  const ExecStart& s = spare_exec_->start;
  if (s.container_id != container || s.tty != tty || s.open_stdin != open_stdin || s.attach != attach)
    return entropy_.hex_id();
  spare_exec_->has_session = true;
  return s.exec_id;
}

// Whose user is root decides about the streams that it gets.
static bool alike(const ExecStart& a, const ExecStart& b) {
  return a.exec_id == b.exec_id && a.tty == b.tty && a.open_stdin == b.open_stdin && a.attach == b.attach &&
         (a.uid == 0) == (b.uid == 0) && a.root_uid == b.root_uid && a.root_gid == b.root_gid;
}

Task<Result<std::unique_ptr<Monitor>>> EarlyMonitors::take_exec(ExecStart start) {
  if (spare_exec_ && spare_exec_->start.exec_id == start.exec_id) {
    if (alike(spare_exec_->start, start) && spare_exec_->monitor->waits()) {
      loop_.cancel(spare_exec_->end);
      co_return std::move(std::exchange(spare_exec_, std::nullopt)->monitor);
    }
    drop_spare_exec();
  }
  while (clearing_.contains(start.exec_id)) co_await cleared_.wait(loop_);
  co_return runtime_.begin_exec(start);
}

void EarlyMonitors::exec_started(const ExecStart& like) {
  if (stopping_) return;
  if (exec_soon_) loop_.cancel(*exec_soon_);
  soon_in_ = like.container_id;
  exec_soon_ = loop_.call_after(kSpareAfter, [this, like] {
    exec_soon_.reset();
    make_spare_exec(like);
  });
}

void EarlyMonitors::make_spare_exec(ExecStart like) {
  drop_spare_exec();
  like.exec_id = entropy_.hex_id(), like.dir = exec_dir(like.exec_id);
  auto monitor = runtime_.begin_exec(like);
  if (!monitor) {
    (void)remove_tree(like.dir);
    return;
  }
  const TimerId end = loop_.call_after(kSpareFor, [this] { drop_spare_exec(); });
  spare_exec_.emplace(SpareExec{std::move(like), std::move(*monitor), end});
}

void EarlyMonitors::drop_spare_exec() {
  if (!spare_exec_) return;
  loop_.cancel(spare_exec_->end);
  const std::string id = std::exchange(spare_exec_, std::nullopt)->start.exec_id;
  clearing_.insert(id);
  scope_.spawn(clear_exec_away(id));
}

Task<void> EarlyMonitors::clear_exec_away(std::string id) {
  co_await runtime_.gone(id);
  (void)remove_tree(exec_dir(id));
  clearing_.erase(id);
  cleared_.notify(loop_);
}

void EarlyMonitors::container_ended(const std::string& container) {
  if (spare_exec_ && spare_exec_->start.container_id == container) drop_spare_exec();
  if (exec_soon_ && soon_in_ == container) loop_.cancel(*std::exchange(exec_soon_, std::nullopt));
}

void EarlyMonitors::shutdown() {
  stopping_ = true;
  for (auto* timer : {&soon_, &exec_soon_})
    if (*timer) loop_.cancel(*std::exchange(*timer, std::nullopt));
  drop_spare();
  drop_spare_exec();
  while (!waiting_.empty()) (void)give_up(waiting_.begin()->first);
}

}  // namespace panal
