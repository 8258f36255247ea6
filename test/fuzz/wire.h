// A connection whose peer says what the fuzzer wrote, in pieces, and then hangs up. What we answer is thrown
// away.
#pragma once
#include "fuzz.h"
#include "ports/stream.h"
#include "sys/loop/asio_loop.h"

namespace panal {

class FuzzStream final : public Stream {
 public:
  FuzzStream(Loop& loop, std::string input, size_t piece)
      : loop_(loop), input_(std::move(input)), piece_(piece) {}
  Task<Result<size_t>> read(std::span<char> into) override {
    co_await loop_.yield();
    if (closed_) co_return fail(Code::kCancelled, "closed");
    const size_t n = std::min({into.size(), piece_, input_.size() - at_});
    std::copy_n(input_.data() + at_, n, into.data());
    at_ += n;
    co_return n;
  }
  Task<Result<>> write(std::string_view data) override {
    co_await loop_.yield();
    if (closed_) co_return fail(Code::kCancelled, "closed");
    written_ += data.size();
    co_return Result<>{};
  }
  void close_write() override {}
  Task<void> hung_up() override {
    while (!closed_) (void)co_await gone_.wait(loop_);
  }
  void close() override {
    closed_ = true;
    gone_.notify(loop_);
  }
  size_t written() const { return written_; }

 private:
  Loop& loop_;
  std::string input_;
  size_t piece_, at_ = 0, written_ = 0;
  bool closed_ = false;
  Event gone_;
};

/// Runs `body(loop)` on a loop of its own until it has ended.
template <class F>
void on_loop(F body) {
  AsioLoop loop;
  Scope scope;
  loop.post([&] {
    scope.spawn([](AsioLoop& l, F& b) -> Task<void> {
      co_await b(l);
      l.stop();
    }(loop, body));
  });
  loop.run();
}

}  // namespace panal
