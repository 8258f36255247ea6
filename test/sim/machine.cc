#include "sim/machine.h"

namespace panal::sim {

static std::unexpected<Error> gone() { return fail(Code::kCancelled, "the process is gone"); }

void Machine::changed() {
  if (executor_ && !executor_->dead_) executor_->changed_.notify(executor_->loop_);
}

void Machine::end(const std::string& id, uint64_t life, int code) {
  auto it = containers.find(id);
  if (it == containers.end() || it->second.life != life || !it->second.running) return;
  it->second.running = it->second.healthy = false, it->second.exit_code = code;
  changed();
}

void Machine::end_later(const Container& c, Duration after, int code) {
  world_.call_after(after, [this, id = c.id, life = c.life, code] { end(id, life, code); });
}

void Machine::start(Container& c) {
  if (c.life != 0) violate("the container of task " + c.task_id + " runs a second time");
  c.running = true, c.life = ++lives_, c.exit_code = 0;
  c.healthy = !c.image.starts_with("slow");
  if (!c.healthy)
    world_.call_after(random_.between(Duration(500ms), Duration(4s)), [this, id = c.id, life = c.life] {
      auto it = containers.find(id);
      if (it == containers.end() || it->second.life != life || !it->second.running) return;
      it->second.healthy = true;
      changed();
    });
  if (c.image.starts_with("flaky"))
    end_later(c, random_.between(Duration(100ms), Duration(20s)), 1);
  else if (c.image.starts_with("batch"))
    end_later(c, random_.between(Duration(100ms), Duration(10s)), 0);
  else if (random_.chance(trouble))
    end_later(c, random_.between(Duration(10ms), Duration(30s)), random_.chance(0.3) ? 0 : 139);
}

void Machine::lose_power() {
  tables.reset();
  for (auto it = containers.begin(); it != containers.end();) {
    auto& c = it->second;
    if (c.running) c.running = c.healthy = false, c.exit_code = 137;
    if (random_.chance(0.5))
      it = containers.erase(it);
    else
      ++it;
  }
}

// ---- executor

Task<Result<std::string>> FakeExecutor::prepare(ClusterTask t) {
  if (dead_) co_return gone();
  for (const auto& [id, c] : machine_.containers)
    if (c.task_id == t.meta.id) co_return id;
  auto& random = machine_.random_;
  const bool pulls = random.chance(0.1);
  co_await loop_.sleep(pulls ? random.between(Duration(200ms), Duration(4s))
                             : random.between(Duration(2ms), Duration(100ms)));
  if (dead_) co_return gone();
  if (t.spec.container.image.starts_with("missing"))
    co_return fail(Code::kNotFound, "No such image: " + t.spec.container.image);
  if (random.chance(machine_.trouble)) co_return fail(Code::kInternal, "no space left on device");
  Container c;
  c.id = "c-" + t.meta.id, c.task_id = t.meta.id, c.service_id = t.service_id,
  c.image = t.spec.container.image;
  c.slot = t.slot, c.spec_version = t.spec_version;
  machine_.containers[c.id] = c;
  co_return c.id;
}

Task<Result<>> FakeExecutor::start(std::string id) {
  if (dead_) co_return gone();
  auto& random = machine_.random_;
  co_await loop_.sleep(random.between(Duration(5ms), Duration(random.chance(0.05) ? 2s : 50ms)));
  if (dead_) co_return gone();
  auto it = machine_.containers.find(id);
  if (it == machine_.containers.end()) co_return fail(Code::kNotFound, "No such container: " + id);
  if (it->second.running) co_return fail(Code::kNotModified, "already started");
  if (it->second.image.starts_with("broken") || random.chance(machine_.trouble))
    co_return fail(Code::kInternal, "exec format error");
  machine_.start(it->second);
  co_return Result<>{};
}

Task<Result<Executor::Exit>> FakeExecutor::wait(std::string id, std::function<void(bool, int)> on_health) {
  for (;;) {
    if (dead_) co_return gone();
    auto it = machine_.containers.find(id);
    if (it == machine_.containers.end()) co_return fail(Code::kNotFound, "No such container: " + id);
    if (!it->second.running) co_return Exit{it->second.exit_code, ""};
    on_health(it->second.healthy, 4242);
    (void)co_await changed_.wait(loop_);
  }
}

Task<Result<>> FakeExecutor::stop(std::string id) {
  if (dead_) co_return gone();
  auto& random = machine_.random_;
  auto it = machine_.containers.find(id);
  if (it == machine_.containers.end()) co_return fail(Code::kNotFound, "No such container: " + id);
  if (!it->second.running) co_return fail(Code::kNotModified, "already stopped");
  machine_.end_later(it->second,
                     random.chance(0.1) ? Duration(10s) : random.between(Duration(1ms), Duration(1s)),
                     random.chance(0.5) ? 0 : 143);
  const uint64_t life = it->second.life;
  for (;;) {
    it = machine_.containers.find(id);
    if (it == machine_.containers.end() || !it->second.running || it->second.life != life)
      co_return Result<>{};
    (void)co_await changed_.wait(loop_);
    if (dead_) co_return gone();
  }
}

Task<Result<>> FakeExecutor::remove(std::string id) {
  if (dead_) co_return gone();
  co_await loop_.sleep(machine_.random_.between(Duration(2ms), Duration(50ms)));
  if (dead_) co_return gone();
  if (machine_.containers.erase(id) == 0) co_return fail(Code::kNotFound, "No such container: " + id);
  machine_.changed();
  co_return Result<>{};
}

std::map<std::string, std::string> FakeExecutor::existing() {
  std::map<std::string, std::string> out;
  if (!dead_)
    for (const auto& [id, c] : machine_.containers) out[c.task_id] = id;
  return out;
}

Executor::Stage FakeExecutor::stage(const std::string& id) {
  auto it = machine_.containers.find(id);
  if (dead_ || it == machine_.containers.end() || it->second.life == 0) return Stage::kNotStarted;
  return it->second.running ? Stage::kRunning : Stage::kEnded;
}

Task<Result<>> FakeExecutor::program(const Assignments& a) {
  if (dead_) co_return gone();
  auto& random = machine_.random_;
  const Assignments wanted = a;
  co_await loop_.sleep(random.chance(0.02) ? random.between(Duration(100ms), Duration(3s))
                                           : random.between(Duration(1ms), Duration(30ms)));
  if (dead_) co_return gone();
  if (random.chance(machine_.trouble)) co_return fail(Code::kInternal, "netlink: device or resource busy");
  machine_.tables = wanted;
  co_return Result<>{};
}

NodeDescription FakeExecutor::describe() {
  NodeDescription d;
  d.hostname = machine_.hostname_, d.architecture = "x86_64", d.engine_version = "sim";
  d.nano_cpus = 4'000'000'000, d.memory_bytes = int64_t{8} << 30;
  return d;
}

}  // namespace panal::sim
