// HTTP/1.1 server: accepts on any number of listeners, runs `handler` once per exchange, keeps connections
// alive. Owned by the composition root; stop() closes listeners and connections, join() waits for them.
#pragma once
#include <functional>
#include <list>
#include <memory>

#include "base/task.h"
#include "ports/stream.h"
#include "sys/loop/async_fd.h"
#include "sys/tls/tls_stream.h"

namespace panal {

/// Splits a target into path (version prefix removed), version and query.
bool parse_target(std::string_view target, HttpRequest& out);

/// Serves one connection until it closes. `stream` is closed by whoever owns it. `waiting(true)` when a
/// request may come, `waiting(false)` when its head is there. `loop`: for time limits; null: none are kept.
Task<void> serve_http(
    Stream& stream, std::string remote, const std::function<Task<void>(HttpExchange&)>& handler,
    Loop* loop = nullptr, const std::function<void(bool)>& waiting = [](bool) {});

class HttpServer {
 public:
  static constexpr size_t kMaxConnections = 4096, kMaxRemoteConnections = 1024;  // of one listener
  static constexpr size_t kMaxHandshakes = 64;
  static constexpr Duration kHandshakeTime = 10s, kHeadTime = 300s;  // both of remote connections
  HttpServer(AsioLoop& loop, std::function<Task<void>(HttpExchange&)> handler)
      : loop_(loop), handler_(std::move(handler)) {}

  enum class From { kHere, kAnywhere };
  /// With a context its connections speak TLS. When more than kMaxHandshakes are under way the oldest is
  /// given up, so that strangers who connect and say nothing hold nobody up.
  void listen(Fd listener, From from, TlsContext tls = nullptr);
  void stop();
  auto join() { return scope_.join(); }

 private:
  struct Listener {
    Listener(AsioLoop& loop, Fd socket, From where, TlsContext context)
        : fd(loop, std::move(socket)), from(where), tls(std::move(context)) {}
    AsyncFd fd;
    From from;
    TlsContext tls;
    size_t open = 0;
  };
  Task<void> accept_loop(Listener& listener);
  Task<void> connection(Listener& listener, Fd fd, std::string peer);
  Task<void> secure_connection(Listener& listener, Fd fd, std::string peer);
  Task<void> serve(Stream& stream, From from, std::string peer);

  AsioLoop& loop_;
  std::function<Task<void>(HttpExchange&)> handler_;
  std::list<Listener> listeners_;
  std::list<Stream*> connections_, handshakes_;
  bool stopping_ = false;
  Scope scope_;
};

}  // namespace panal
