#include "sys/loop/asio_loop.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "sys/loop/state.h"

namespace panal {

struct Pool {
  explicit Pool(size_t most) : most(most) {}
  const size_t most;  // threads; they come when there is work for them
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::function<void()>> jobs;
  bool stopping = false;
  size_t idle = 0;
  std::vector<std::thread> threads;

  void add(std::function<void()> job) {
    {
      std::lock_guard lock(mutex);
      jobs.push_back(std::move(job));
      if (threads.size() < most && jobs.size() > idle) threads.emplace_back([this] { work(); });
    }
    wake.notify_one();
  }
  void work() {
    for (;;) {
      std::unique_lock lock(mutex);
      ++idle;
      wake.wait(lock, [this] { return stopping || !jobs.empty(); });
      --idle;
      if (jobs.empty()) return;
      auto job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      job();
    }
  }
  ~Pool() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    for (auto& t : threads) t.join();
  }
};

struct AsioLoop::State {
  LoopContext context;
  std::unordered_map<TimerId, std::unique_ptr<asio::steady_timer>> timers;
  TimerId next_timer = 1;
  Pool quick{3}, slow{2}, remote{4}, log{1};
  Pool& of(Lane lane) {
    switch (lane) {
      case Lane::kQuick:
        return quick;
      case Lane::kLong:
        return slow;
      case Lane::kRemote:
        return remote;
      case Lane::kLog:
        return log;
    }
    CHECK(false);
  }
};

LoopContext& context_of(AsioLoop& loop) { return loop.state().context; }

AsioLoop::AsioLoop() : state_(std::make_unique<State>()) {}
AsioLoop::~AsioLoop() { state_->timers.clear(); }

void AsioLoop::run() {
  auto guard = asio::make_work_guard(state_->context.io);
  state_->context.io.run();
}
void AsioLoop::stop() { state_->context.io.stop(); }

MonoTime AsioLoop::now() const {
  return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
}
WallTime AsioLoop::wall_now() const {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}
void AsioLoop::post(std::function<void()> fn) { asio::post(state_->context.io, std::move(fn)); }

TimerId AsioLoop::call_at(MonoTime when, std::function<void()> fn) {
  const TimerId id = state_->next_timer++;
  auto timer = std::make_unique<asio::steady_timer>(state_->context.io, when);
  timer->async_wait([this, id, fn = std::move(fn)](const boost::system::error_code& error) {
    if (error || !state_->timers.contains(id)) return;
    state_->timers.erase(id);
    fn();
  });
  state_->timers.emplace(id, std::move(timer));
  return id;
}

void AsioLoop::cancel(TimerId timer) { state_->timers.erase(timer); }

void AsioLoop::offload(std::function<void()> work, std::function<void()> done, Lane lane) {
  state_->of(lane).add([this, work = std::move(work), done = std::move(done),
                        guard = asio::make_work_guard(state_->context.io)]() mutable {
    work();
    asio::post(state_->context.io, std::move(done));
  });
}

}  // namespace panal
