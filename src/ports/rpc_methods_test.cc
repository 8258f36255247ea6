#include "ports/rpc_methods.h"

#include <deque>

#undef CHECK
#include <doctest/doctest.h>

namespace panal {
namespace {

struct QueueLoop final : Loop {
  std::deque<std::function<void()>> queue;
  MonoTime now() const override { return {}; }
  WallTime wall_now() const override { return {}; }
  void post(std::function<void()> fn) override { queue.push_back(std::move(fn)); }
  TimerId call_at(MonoTime, std::function<void()>) override { return 0; }
  void cancel(TimerId) override {}
  void offload(std::function<void()>, std::function<void()>, Lane) override {}
  void run() {
    for (; !queue.empty(); queue.pop_front()) queue.front()();
  }
};

/// A call whose peer says nothing more.
struct SilentStream final : RpcStream {
  explicit SilentStream(Loop& l) : loop(l) {}
  Loop& loop;
  bool cancelled = false;
  Event event;
  Task<Result<std::optional<std::string>>> read() override {
    while (!cancelled) (void)co_await event.wait(loop);
    co_return fail(Code::kCancelled, "cancelled");
  }
  Task<Result<>> write(std::string) override { co_return Result<>{}; }
  void finish() override {}
  void cancel() override { cancelled = true, event.notify(loop); }
};

struct Call {
  Call(QueueLoop& l, RpcMethods& methods, std::string method, std::string role = "manager") : stream(l) {
    scope.spawn(run(l, methods, std::move(method), std::move(role)));
  }
  Task<void> run(QueueLoop& l, RpcMethods& methods, std::string method, std::string role) {
    result = co_await methods.run(l, std::move(method), Peer{"node", role, "", ""}, stream);
  }
  SilentStream stream;
  std::optional<Result<>> result;
  Scope scope;
};

}  // namespace

TEST_CASE("a method taken away has no handler running when its owner goes on, and is unknown afterwards") {
  QueueLoop loop;
  RpcMethods methods;
  int running = 0;
  auto handler = [&](Peer, RpcStream& stream) -> Task<Result<>> {
    ++running;
    auto said = co_await stream.read();
    co_await loop.yield();  // it still has something to do with its owner
    --running;
    co_return said ? Result<>{} : std::unexpected(said.error());
  };
  methods.serve_stream("/stream", {"manager"}, handler);
  methods.serve("/other", {"manager"},
                [](Peer, std::string) -> Task<Result<std::string>> { co_return std::string("reply"); });
  Call first(loop, methods, "/stream"), second(loop, methods, "/stream"), other(loop, methods, "/other");
  loop.run();
  CHECK(running == 2);
  bool gone = false;
  int running_then = -1;
  Scope scope;
  auto end = [&]() -> Task<void> {
    co_await methods.unserve(loop, "/stream");
    gone = true, running_then = running;
  };
  scope.spawn(end());
  CHECK(!gone);
  loop.run();
  CHECK(gone);
  CHECK(running_then == 0);
  CHECK(first.result.has_value());
  CHECK(second.result.has_value());
  CHECK(!other.result.has_value());  // calls of other methods go on
  Call late(loop, methods, "/stream");
  REQUIRE(late.result.has_value());
  CHECK(late.result->error().message == "unknown method /stream");
  other.stream.cancel();
  loop.run();
}

TEST_CASE("who may not call does not reach the handler") {
  QueueLoop loop;
  RpcMethods methods;
  methods.serve("/open", {""},
                [](Peer, std::string) -> Task<Result<std::string>> { co_return std::string(); });
  methods.serve("/closed", {"manager"},
                [](Peer, std::string) -> Task<Result<std::string>> { co_return std::string(); });
  Call worker(loop, methods, "/closed", "worker"), nobody(loop, methods, "/closed", ""),
      open(loop, methods, "/open", "");
  REQUIRE(worker.result.has_value());
  CHECK(worker.result->error().message == "a worker may not call /closed");
  REQUIRE(nobody.result.has_value());
  CHECK(nobody.result->error().message == "a node without a certificate may not call /closed");
  CHECK(!open.result.has_value());
  open.stream.cancel();
  loop.run();
}

}  // namespace panal
