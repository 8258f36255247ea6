#include "sys/disk/inotify_watch.h"

#include <sys/inotify.h>

#include <array>

#include "sys/loop/async_fd.h"

namespace panal {

namespace {

class InotifyWatch final : public FileWatch {
 public:
  InotifyWatch(AsioLoop& loop, Fd fd) : loop_(loop), state_(std::make_shared<State>(loop, std::move(fd))) {
    run(state_);
  }
  ~InotifyWatch() override { state_->fd.close(); }

  Task<void> changed(Event& other) override {
    // Whoever notifies first; a change seen while nobody waited counts.
    if (std::exchange(state_->dirty, false)) co_return;
    state_->other = &other;
    (void)co_await other.wait(
        loop_, state_->fd.closed() ? 500ms : 5s);  // a lost wake-up costs a delay, not the reader
    state_->other = nullptr;
    state_->dirty = false;
  }

 private:
  struct State {
    State(AsioLoop& l, Fd f) : loop(l), fd(l, std::move(f)) {}
    AsioLoop& loop;
    AsyncFd fd;
    bool dirty = false;
    Event* other = nullptr;
    Scope scope;
  };
  static void run(std::shared_ptr<State> state) { state->scope.spawn(loop_on(state)); }
  static Task<void> loop_on(std::shared_ptr<State> state) {
    alignas(inotify_event) std::array<char, 4096> buffer;
    for (;;) {
      const auto ready = co_await state->fd.readable();
      if (ready == AsyncFd::Ready::kClosed) co_return;
      while (::read(state->fd.get(), buffer.data(), buffer.size()) > 0) {
      }
      state->dirty = true;
      if (state->other) state->other->notify(state->loop);
    }
  }

  AsioLoop& loop_;
  std::shared_ptr<State> state_;
};

}  // namespace

std::unique_ptr<FileWatch> watch_file(AsioLoop& loop, const std::string& path) {
  Fd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ::inotify_add_watch(fd.get(), path.c_str(), IN_MODIFY | IN_MOVE_SELF);
  return std::make_unique<InotifyWatch>(loop, std::move(fd));
}

}  // namespace panal
