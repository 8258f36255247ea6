// How the daemon learns that a container has ended: conmon renames a file with the exit code into the exits
// folder, also while no daemon runs. A killed conmon records nothing; then the container's pidfd tells of the
// end, and 137 is recorded in its stead.
#include <sys/inotify.h>

#include <array>

#include "base/log.h"
#include "base/text.h"
#include "sys/crun/cgroup_usage.h"
#include "sys/crun/crun_runtime.h"

namespace panal {

static constexpr const char* kLogName = "container.log";

Result<> CrunRuntime::watch_exits() {
  TRYV(make_dirs(paths_.exits, 0700));
  TRYV(make_dirs(paths_.state, 0700));
  Fd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return fail(sys_error(errno, "inotify_init1"));
  if ((exits_watch_ = ::inotify_add_watch(fd.get(), paths_.exits.c_str(), IN_MOVED_TO)) < 0)
    return fail(sys_error(errno, "inotify_add_watch", paths_.exits));
  inotify_ = std::make_unique<AsyncFd>(loop_, std::move(fd));
  scope_.spawn(exit_loop());
  slim_.prepare();
  return {};
}

Task<void> CrunRuntime::exit_loop() {
  alignas(inotify_event) std::array<char, 16384> buffer;
  for (;;) {
    const auto ready = co_await inotify_->readable();
    if (ready == AsyncFd::Ready::kClosed) co_return;
    const ssize_t n = ::read(inotify_->get(), buffer.data(), buffer.size());
    if (n > 0) read_events({buffer.data(), static_cast<size_t>(n)});
  }
}

void CrunRuntime::read_events(std::string_view events) {
  std::set<std::string> ended, turned;
  while (!events.empty()) {
    const auto* event = reinterpret_cast<const inotify_event*>(events.data());
    events.remove_prefix(sizeof(inotify_event) + event->len);
    const std::string name = event->len ? event->name : "";
    if (event->mask & IN_Q_OVERFLOW) {  // some are lost: look at all
      for (const auto& [id, life] : lives_) ended.insert(id);
      for (const auto& [watch, id] : bundle_watches_) turned.insert(id);
    } else if (event->mask & IN_IGNORED) {
      bundle_watches_.erase(event->wd), memory_watches_.erase(event->wd);
    } else if (event->wd == exits_watch_) {
      ended.insert(name);
    } else if (memory_watches_.contains(event->wd)) {
      tell_memory_kills(event->wd);
    } else if (const auto it = bundle_watches_.find(event->wd); it != bundle_watches_.end()) {
      if (name == kLogName)
        turned.insert(it->second);
      else if (name == "oom" && on_oom_)
        on_oom_(it->second);
    }
  }
  for (const auto& id : turned)
    if (on_log_turn_) on_log_turn_(id);
  for (const auto& id : ended)
    if (auto code = recorded_exit(id); code && on_exit_) on_exit_(id, *code);
}

void CrunRuntime::stop() {
  if (inotify_) inotify_->close();
}

void CrunRuntime::clear_exit(const std::string& id) {
  lives_.erase(id);
  ::unlink((paths_.exits + "/" + id).c_str());
}

std::optional<int> CrunRuntime::recorded_exit(const std::string& id) {
  auto text = read_file(paths_.exits + "/" + id, 64);
  if (!text) return std::nullopt;
  auto code = parse_int(trim(*text));
  return code ? std::optional<int>(static_cast<int>(*code)) : std::nullopt;
}

uint64_t CrunRuntime::process_start(int pid) {
  auto text = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!text) return 0;
  const size_t close = text->rfind(')');
  if (close == std::string::npos) return 0;
  const auto words = split(std::string_view(*text).substr(close + 2), ' ');
  if (words.size() < 20 || words[0] == "Z" || words[0] == "X") return 0;
  return std::strtoull(words[19].c_str(), nullptr, 10);
}

// Pid of the container's conmon; 0 when it is gone. Its command line names the container, so a reused pid is
// found out.
static int monitor_of(const std::string& id, const std::string& bundle) {
  const auto pid = parse_int(trim(read_file(bundle + "/conmon.pid", 64).value_or("")));
  if (!pid || *pid <= 0) return 0;
  const auto words = read_file("/proc/" + std::to_string(*pid) + "/cmdline", 65536);
  return words && words->find("conmon") != std::string::npos && words->find(id) != std::string::npos
             ? static_cast<int>(*pid)
             : 0;
}

Task<int> CrunRuntime::ended_with(std::string id, std::string bundle) {
  if (const int monitor = monitor_of(id, bundle); monitor && !recorded_exit(id))
    (void)co_await wait_pid(loop_, monitor, 5s);
  co_return recorded_exit(id).value_or(137);
}

// With cgroup v2 conmon 2.1 stops looking at the first event that is not a kill, and a group that reaches its
// limit has such ones: it knows of a kill only when the container ends. The group tells at once.
int CrunRuntime::watch_memory(const std::string& id, int pid) {
  const std::string group = unified_group(read_file("/proc/" + std::to_string(pid) + "/cgroup").value_or(""));
  const std::string file = "/sys/fs/cgroup" + group + "/memory.events";
  const int watch = group.empty() ? -1 : ::inotify_add_watch(inotify_->get(), file.c_str(), IN_MODIFY);
  if (watch < 0) return watch;
  memory_watches_[watch] = {id, file};
  tell_memory_kills(watch);  // while no daemon ran
  return watch;
}

void CrunRuntime::tell_memory_kills(int watch) {
  const auto group = memory_watches_.find(watch);
  if (group != memory_watches_.end() && memory_kills(group->second.second) && on_oom_)
    on_oom_(group->second.first);
}

// A group that goes does not take its watch along, as folders do.
void CrunRuntime::unwatch_memory(int watch) {
  tell_memory_kills(watch);
  if (memory_watches_.erase(watch)) ::inotify_rm_watch(inotify_->get(), watch);
}

void CrunRuntime::watch(const std::string& id, const std::string& bundle, int pid) {
  int memory = -1;
  if (inotify_) {
    memory = watch_memory(id, pid);
    const int watch =
        ::inotify_add_watch(inotify_->get(), bundle.c_str(), IN_MOVED_TO | IN_CREATE | IN_ONLYDIR);
    if (watch >= 0)
      bundle_watches_[watch] = id;
    else
      log::warn("msg=\"turns of the log are not seen\" container={} error=\"{}\"", id,
                sys_error(errno, "inotify_add_watch", bundle).message);
  }
  lives_[id] = next_life_;
  scope_.spawn(watch_end(id, bundle, pid, memory, next_life_++));
}

Task<void> CrunRuntime::watch_end(std::string id, std::string bundle, int pid, int memory, uint64_t life) {
  const uint64_t start = process_start(pid);
  while (start != 0 && process_start(pid) == start)
    if (!co_await wait_pid(loop_, pid))
      co_await loop_.sleep(1s);  // no descriptor left to wait with: look now and then
  unwatch_memory(memory);
  // A monitor that lives reports, however long it drains the output; one that is gone without a record was
  // killed.
  const auto untold = [&] { return lives_.contains(id) && lives_[id] == life; };
  while (const int monitor = untold() ? monitor_of(id, bundle) : 0)
    if (!co_await wait_pid(loop_, monitor)) co_await loop_.sleep(1s);
  if (!untold()) co_return;
  lives_.erase(id);
  if (recorded_exit(id)) co_return;  // on its way
  log::warn("msg=\"the container's monitor was killed, its exit code is lost\" container={}", id);
  if (auto written = write_file_atomic(paths_.exits + "/" + id, "137"); !written)
    log::warn("msg=\"record exit\" container={} error=\"{}\"", id, written.error().message);
}

}  // namespace panal
