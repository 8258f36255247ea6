// AsyncFd: readiness of one non-blocking descriptor on the loop. FdStream: a Stream over it (sockets, fifos,
// ptys).
#pragma once
#include <memory>
#include <optional>

#include "base/fd.h"
#include "ports/stream.h"
#include "sys/loop/asio_loop.h"

namespace panal {

class AsyncFd {
 public:
  /// Takes ownership of `fd` and makes it non-blocking.
  AsyncFd(AsioLoop& loop, Fd fd);
  ~AsyncFd();
  AsyncFd(const AsyncFd&) = delete;

  int get() const;
  enum class Ready { kYes, kTimeout, kClosed };
  /// One waiter per direction at a time.
  Task<Ready> readable(std::optional<Duration> timeout = std::nullopt);
  Task<Ready> writable(std::optional<Duration> timeout = std::nullopt);
  /// Returns when the other side is gone in both directions, broken, or this one closed.
  Task<void> hung_up();
  /// Cancels waits (they see kClosed) and refuses new ones; the descriptor is closed at once.
  void close();
  bool closed() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

class FdStream final : public Stream {
 public:
  FdStream(AsioLoop& loop, Fd fd) : fd_(loop, std::move(fd)) {}
  Task<Result<size_t>> read(std::span<char> into) override;
  Task<Result<>> write(std::string_view data) override;
  void close_write() override;
  Task<void> hung_up() override { return fd_.hung_up(); }
  void close() override { fd_.close(); }
  AsyncFd& fd() { return fd_; }

 private:
  AsyncFd fd_;
};

/// Listening sockets. Unix: removes a stale socket file, sets `mode`, group by name where it exists.
Result<Fd> listen_unix(const std::string& path, int mode, const std::string& group);
Result<Fd> listen_tcp(const std::string& host, uint16_t port);
Task<Result<Fd>> accept_fd(AsyncFd& listener, std::string* peer);
/// The numbers of a name or number; blocks.
Result<std::vector<std::string>> addresses_of(const std::string& host);
Task<Result<Fd>> connect_tcp(AsioLoop& loop, std::string host, uint16_t port, Duration timeout);
/// `type`: SOCK_STREAM and the like. With SOCK_NONBLOCK a listener whose queue is full is kUnavailable;
/// without it is waited for, without end.
Result<Fd> connect_unix(const std::string& path, int type);

/// Resolves when the process behind `pid` has ended (pidfd); the exit status is left to whoever waits for it.
Task<Result<>> wait_pid(AsioLoop& loop, int pid, std::optional<Duration> timeout = std::nullopt);

}  // namespace panal
