// Task<T>: a lazy coroutine for sequential protocols. It starts when awaited, resumes its awaiter when done
// (symmetric transfer), and is owned by exactly one awaiter. Scope owns coroutines that run beside their
// creator; whoever owns a Scope must not end before join() has returned. Single-threaded: everything here
// runs on the event loop's thread. Exceptions do not cross a Task: one that escapes ends the process.
#pragma once
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "base/check.h"

namespace panal {

template <class T>
class Task;

namespace detail {

struct PromiseBase {
  std::coroutine_handle<> awaiter = std::noop_coroutine();
  std::suspend_always initial_suspend() noexcept { return {}; }
  struct Final {
    bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) noexcept {
      return self.promise().awaiter;
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }
  [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
  T take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() {}
  void take() {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  auto operator co_await() && {
    struct Awaiter {
      Handle handle;
      bool await_ready() const { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) {
        handle.promise().awaiter = awaiter;
        return handle;
      }
      T await_resume() { return handle.promise().take(); }
    };
    CHECK(handle_);
    return Awaiter{handle_};
  }

 private:
  Handle handle_;
};

namespace detail {
template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}
}  // namespace detail

/// Runs coroutines beside their creator and can wait for all of them.
class Scope {
 public:
  Scope() = default;
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() { CHECK(count_ == 0); }

  /// Starts `task` now; it runs until its first wait.
  void spawn(Task<void> task) {
    ++count_;
    run(this, std::move(task));
  }
  size_t size() const { return count_; }

  /// Waits until every spawned task has ended.
  auto join() {
    struct Awaiter {
      Scope* scope;
      bool await_ready() const { return scope->count_ == 0; }
      void await_suspend(std::coroutine_handle<> handle) { scope->joiner_ = handle; }
      void await_resume() {}
    };
    return Awaiter{this};
  }

 private:
  struct Detached {
    struct promise_type {
      Detached get_return_object() { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() {}
      [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
    };
  };
  static Detached run(Scope* scope, Task<void> task) {
    co_await std::move(task);
    if (--scope->count_ == 0 && scope->joiner_) std::exchange(scope->joiner_, nullptr).resume();
  }

  size_t count_ = 0;
  std::coroutine_handle<> joiner_;
};

}  // namespace panal
