#include "sys/log/log_sink.h"

#include <netdb.h>
#include <sys/socket.h>

#include "base/text.h"
#include "sys/loop/async_fd.h"
#include "sys/tls/tls_stream.h"

namespace panal {

namespace {

constexpr Duration kPatience = 10s;

class SocketSink final : public LogSink {
 public:
  SocketSink(AsioLoop& loop, Fd fd, bool stream) : fd_(loop, std::move(fd)), stream_(stream) {}

  Task<Result<>> send(std::string_view entry) override {
    std::string data(entry);
    if (char next; stream_ && ::recv(fd_.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
      co_return fail(Code::kUnavailable, "send: the log daemon has hung up");  // what is sent now is lost
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

class TlsSink final : public LogSink {
 public:
  TlsSink(std::unique_ptr<TlsStream> stream, bool counted) : stream_(std::move(stream)), counted_(counted) {}
  Task<Result<>> send(std::string_view entry) override {
    if (stream_->has_ended()) co_return fail(Code::kUnavailable, "send: the log daemon has hung up");
    std::string data(entry);
    data += '\n';
    if (counted_) data.insert(0, std::to_string(data.size()) + " ");
    co_return co_await stream_->write(data);
  }

 private:
  std::unique_ptr<TlsStream> stream_;
  bool counted_;
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

Task<Result<Fd>> connect_by_name(AsioLoop& loop, std::string host, uint16_t port) {
  const auto work = [&host] { return addresses_of(host); };
  CO_TRY(const auto addresses, co_await blocking(loop, work, Lane::kRemote));
  Result<Fd> fd = fail(Code::kUnavailable, "lookup " + host + ": no address");
  for (const auto& address : addresses)
    if ((fd = co_await connect_tcp(loop, address, port, kPatience))) break;
  co_return fd;
}

}  // namespace

Task<Result<std::unique_ptr<LogSink>>> open_log_sink(AsioLoop& loop, LogAddress address) {
  const std::string &scheme = address.scheme, &target = address.target;
  if (scheme == "unix" || scheme == "unixgram") {
    bool stream = false;
    auto fd = connect_unix(target, SOCK_DGRAM | SOCK_NONBLOCK);
    if (!fd && scheme == "unix") fd = connect_unix(target, SOCK_STREAM | SOCK_NONBLOCK), stream = true;
    if (!fd) co_return std::unexpected(fd.error());
    co_return std::make_unique<SocketSink>(loop, std::move(*fd), stream);
  }
  const size_t colon = target.rfind(':');
  std::string host = target.substr(0, colon), port = target.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (scheme == "udp") {
    const auto work = [&host, &port] { return connect_udp(host, port); };
    CO_TRY(Fd fd, co_await blocking(loop, work, Lane::kRemote));
    co_return std::make_unique<SocketSink>(loop, std::move(fd), false);
  }
  TlsContext context;
  if (scheme == "tcp+tls") {
    CO_TRY(context, make_client_context(address.ca_file, address.certificate_file, address.key_file,
                                        address.skip_verify));
  }
  CO_TRY(Fd fd, co_await connect_by_name(loop, host, static_cast<uint16_t>(parse_int(port).value_or(514))));
  if (!context) co_return std::make_unique<SocketSink>(loop, std::move(fd), true);
  auto stream = std::make_unique<TlsStream>(loop, std::move(fd), context, TlsStream::Side::kClient);
  stream->expect(host);
  CO_TRYV(co_await stream->handshake(kPatience));
  co_return std::make_unique<TlsSink>(std::move(stream), address.counted);
}

}  // namespace panal
