// HTTP/1.1 server: accepts on any number of listeners, runs `handler` once per exchange, keeps connections alive.
// Owned by the composition root; stop() closes listeners and connections, join() waits for them.
#pragma once
#include <functional>
#include <list>
#include <memory>

#include "base/task.h"
#include "ports/stream.h"
#include "sys/loop/async_fd.h"

namespace panal {

/// Splits a target into path (version prefix removed), version and query.
bool parse_target(std::string_view target, HttpRequest& out);

/// Serves one connection until it closes. `stream` is closed by whoever owns it.
Task<void> serve_http(Stream& stream, std::string remote, const std::function<Task<void>(HttpExchange&)>& handler);

class HttpServer {
 public:
  static constexpr size_t kMaxConnections = 4096;
  HttpServer(AsioLoop& loop, std::function<Task<void>(HttpExchange&)> handler) : loop_(loop), handler_(std::move(handler)) {}

  void listen(Fd listener);
  void stop();
  auto join() { return scope_.join(); }

 private:
  Task<void> accept_loop(AsyncFd& listener);
  Task<void> connection(Fd fd, std::string peer);

  AsioLoop& loop_;
  std::function<Task<void>(HttpExchange&)> handler_;
  std::list<AsyncFd> listeners_;
  std::list<FdStream*> connections_;
  bool stopping_ = false;
  Scope scope_;
};

}  // namespace panal
