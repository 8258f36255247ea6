#include "sys/log/log_sink.h"

#include <netdb.h>
#include <sys/socket.h>

#include "base/text.h"
#include "sys/loop/async_fd.h"

namespace panal {

namespace {

constexpr Duration kPatience = 10s;

class SocketSink final : public LogSink {
 public:
  SocketSink(AsioLoop& loop, Fd fd, bool stream) : fd_(loop, std::move(fd)), stream_(stream) {}

  Task<Result<>> send(std::string_view entry) override {
    std::string data(entry);
    if (stream_) data += '\n';
    for (std::string_view left = data; !left.empty();) {
      const ssize_t n = ::send(fd_.get(), left.data(), left.size(), MSG_NOSIGNAL);
      if (n >= 0) {
        left.remove_prefix(stream_ ? static_cast<size_t>(n) : left.size());
        continue;
      }
      if (errno == EINTR) continue;
      if (errno == EMSGSIZE)
        co_return Result<>{};  // no datagram carries it: it stays in the container's own log
      if (errno != EAGAIN && errno != ENOBUFS) co_return fail(sys_error(errno, "send"));
      if (co_await fd_.writable(kPatience) != AsyncFd::Ready::kYes)
        co_return fail(Code::kTimeout, "send: the log daemon takes nothing");
    }
    co_return Result<>{};
  }

 private:
  AsyncFd fd_;
  bool stream_;
};

Result<Fd> connect_udp(const std::string& host, const std::string& port) {
  addrinfo wish{}, *found = nullptr;
  wish.ai_socktype = SOCK_DGRAM;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &wish, &found); error != 0)
    return fail(Code::kUnavailable, "lookup " + host + ": " + ::gai_strerror(error));
  Fd fd(::socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const bool good = fd && ::connect(fd.get(), found->ai_addr, found->ai_addrlen) == 0;
  const int error = errno;
  ::freeaddrinfo(found);
  if (!good) return fail(sys_error(error, "connect", host + ":" + port));
  return fd;
}

}  // namespace

Task<Result<std::unique_ptr<LogSink>>> open_log_sink(AsioLoop& loop, std::string scheme, std::string target) {
  if (scheme == "unix" || scheme == "unixgram") {
    bool stream = false;
    auto fd = connect_unix(target, SOCK_DGRAM);
    if (!fd && scheme == "unix") fd = connect_unix(target, SOCK_STREAM), stream = true;
    if (!fd) co_return std::unexpected(fd.error());
    co_return std::make_unique<SocketSink>(loop, std::move(*fd), stream);
  }
  const size_t colon = target.rfind(':');
  std::string host = target.substr(0, colon), port = target.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (scheme == "tcp") {
    CO_TRY(Fd fd,
           co_await connect_tcp(loop, host, static_cast<uint16_t>(parse_int(port).value_or(514)), kPatience));
    co_return std::make_unique<SocketSink>(loop, std::move(fd), true);
  }
  const auto work = [&host, &port] { return connect_udp(host, port); };
  CO_TRY(Fd fd, co_await blocking(loop, work));
  co_return std::make_unique<SocketSink>(loop, std::move(fd), false);
}

}  // namespace panal
