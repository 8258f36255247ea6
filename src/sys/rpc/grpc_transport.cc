#include "sys/rpc/grpc_transport.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/text.h"

namespace panal {

static constexpr Duration kLinger = 30s, kDial = 10s;
static constexpr size_t kMostHandshakes = 1024, kMostConnections = 4096;
// Who has no certificate comes to get one, and may say no more than that takes.
static constexpr size_t kMostStrangers = 64;
static constexpr H2Limits kStrangersLimits = {.message_bytes = 64 << 10, .streams = 8};
static constexpr Duration kStrangersTime = 60s;

namespace {

class ClientStream final : public RpcStream {
 public:
  ClientStream(std::shared_ptr<H2Connection> c, std::shared_ptr<H2Stream> s)
      : connection_(std::move(c)), stream_(std::move(s)) {}
  ~ClientStream() override { connection_->cancel(*stream_); }
  Task<Result<std::optional<std::string>>> read() override { return connection_->read(stream_); }
  Task<Result<>> write(std::string message) override {
    return connection_->write(stream_, std::move(message));
  }
  void finish() override { connection_->finish(*stream_); }
  void cancel() override { connection_->cancel(*stream_); }

 private:
  std::shared_ptr<H2Connection> connection_;
  std::shared_ptr<H2Stream> stream_;
};

class ServerStream final : public RpcStream {
 public:
  ServerStream(std::shared_ptr<H2Connection> c, std::shared_ptr<H2Stream> s)
      : connection_(std::move(c)), stream_(std::move(s)) {}
  Task<Result<std::optional<std::string>>> read() override { return connection_->read(stream_); }
  Task<Result<>> write(std::string message) override {
    return connection_->write(stream_, std::move(message));
  }
  void finish() override {}
  void cancel() override { connection_->cancel(*stream_); }

 private:
  std::shared_ptr<H2Connection> connection_;
  std::shared_ptr<H2Stream> stream_;
};

// A peer that vanished is noticed by the kernel within ten seconds, also while nothing is said.
void tune(int fd) {
  const int one = 1, idle = 5, interval = 2, count = 3, timeout_ms = 10000;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

}  // namespace

Result<> GrpcTransport::set_identity(const std::string& certificate, const std::string& key,
                                     const std::string& ca) {
  TRY(context_, make_tls_context(certificate, key, ca));
  // New calls go under the new name; those that run may end under the old one.
  for (auto& [address, connection] : std::exchange(connections_, {}))
    loop_.call_after(kLinger, [weak = std::weak_ptr(connection)] {
      if (auto c = weak.lock()) c->close();
    });
  return {};
}

void GrpcTransport::clear_identity() {
  context_.reset();
  stop_listening();
  for (auto& [address, connection] : std::exchange(connections_, {})) connection->close();
  for (auto& weak : std::exchange(served_, {}))
    if (auto c = weak.lock()) c->close();
}

Result<> GrpcTransport::listen(const std::string& address, uint16_t port) {
  TRY(Fd fd, listen_tcp(address, port));
  listeners_.push_back(std::make_shared<AsyncFd>(loop_, std::move(fd)));
  scope_.spawn(accept_loop(listeners_.back()));
  return {};
}

void GrpcTransport::stop_listening() {
  for (auto& l : std::exchange(listeners_, {})) l->close();
}
void GrpcTransport::stop() { clear_identity(); }

Task<void> GrpcTransport::accept_loop(std::shared_ptr<AsyncFd> listener) {
  for (;;) {
    std::string address;
    auto fd = co_await accept_fd(*listener, &address);
    if (!fd) {
      if (fd.error().code == Code::kCancelled) co_return;
      co_await loop_.sleep(100ms);
      continue;
    }
    std::erase_if(served_, [](const auto& weak) { return weak.expired(); });
    if (served_.size() < kMostConnections && handshakes_ < kMostHandshakes && context_)
      scope_.spawn(serve_connection(std::move(*fd), std::move(address)));
  }
}

Task<void> GrpcTransport::serve_connection(Fd fd, std::string address) {
  tune(fd.get());
  auto stream = std::make_shared<TlsStream>(loop_, std::move(fd), context_, TlsStream::Side::kServer);
  ++handshakes_;
  auto shaken = co_await stream->handshake(10s);
  --handshakes_;
  if (!shaken) {
    log::debug("msg=\"handshake refused\" peer={} error=\"{}\"", address, shaken.error().message);
    co_return;
  }
  Peer peer = stream->peer();
  peer.address = address;
  const bool stranger = peer.role.empty();
  if (stranger && strangers_ >= kMostStrangers) co_return;
  auto connection = std::make_shared<H2Connection>(loop_, stream, H2Connection::Side::kServer,
                                                   stranger ? kStrangersLimits : H2Limits{});
  served_.push_back(connection);
  std::weak_ptr<H2Connection> weak = connection;
  connection->on_stream = [this, weak, peer](std::shared_ptr<H2Stream> s) {
    if (auto c = weak.lock()) scope_.spawn(serve_one(c, std::move(s), peer));
  };
  if (!stranger) co_return co_await connection->run();
  ++strangers_;
  const TimerId late = loop_.call_after(kStrangersTime, [weak] {
    if (auto c = weak.lock()) c->close();
  });
  co_await connection->run();
  loop_.cancel(late);
  --strangers_;
}

Task<void> GrpcTransport::serve_one(std::shared_ptr<H2Connection> connection,
                                    std::shared_ptr<H2Stream> stream, Peer peer) {
  co_await loop_.yield();  // not from inside nghttp2's callback
  connection->start_response(*stream);
  ServerStream rpc(connection, stream);
  const Result<> result = co_await methods_.run(loop_, stream->path, std::move(peer), rpc);
  connection->reply(*stream, result);
}

Task<Result<std::shared_ptr<H2Connection>>> GrpcTransport::connect(std::string address, TlsContext context,
                                                                   std::string pin, bool check_pin) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) co_return fail(Code::kInvalid, "invalid address " + address);
  const auto port = parse_int(std::string_view(address).substr(colon + 1));
  CO_TRY(Fd fd,
         co_await connect_tcp(loop_, address.substr(0, colon), static_cast<uint16_t>(port.value_or(0)), 5s));
  tune(fd.get());
  auto stream = std::make_shared<TlsStream>(loop_, std::move(fd), context, TlsStream::Side::kClient);
  CO_TRYV(co_await stream->handshake(5s));
  if (check_pin && !pin.empty() && stream->chain_root_fingerprint() != pin)
    co_return fail(Code::kForbidden, "remote CA does not match fingerprint. Expected: " + pin);
  auto connection = std::make_shared<H2Connection>(loop_, stream, H2Connection::Side::kClient);
  scope_.spawn(connection->run());
  co_return connection;
}

Task<void> GrpcTransport::attempt(std::string address, std::shared_ptr<Attempt> result) {
  const TlsContext context = context_;
  auto made = co_await connect(address, context, "", false);
  if (made && context != context_) {
    (*made)->close();
    made = fail(Code::kUnavailable, "this node has become another");
  }
  if (made) connections_[address] = *made;
  connecting_.erase(address);
  result->result = std::move(made);
  result->ended.notify(loop_);
}

// Callers of one address share one attempt, and its failure: a machine that is off costs each of them one,
// not one after the other.
Task<Result<std::shared_ptr<H2Connection>>> GrpcTransport::connection_to(std::string address,
                                                                         Duration timeout) {
  if (auto it = connections_.find(address); it != connections_.end() && !it->second->closed())
    co_return it->second;
  if (!context_) co_return fail(Code::kUnavailable, "this node has no identity yet");
  auto& slot = connecting_[address];
  const bool first = !slot;
  if (first) slot = std::make_shared<Attempt>();
  const auto mine = slot;
  if (first) scope_.spawn(attempt(address, mine));
  const MonoTime deadline = loop_.now() + timeout;
  while (!mine->result) {
    if (loop_.now() >= deadline) co_return fail(Code::kTimeout, "dial tcp " + address + ": i/o timeout");
    (void)co_await mine->ended.wait(loop_, deadline - loop_.now());
  }
  co_return *mine->result;
}

Task<Result<std::string>> GrpcTransport::unary(std::shared_ptr<H2Connection> connection, std::string address,
                                               std::string method, std::string request, Duration timeout) {
  CO_TRY(auto stream, connection->open(address, method));
  bool late = false;
  const TimerId timer = loop_.call_after(timeout, [&late, connection, stream] {
    late = true;
    connection->cancel(*stream);
  });
  auto sent = co_await connection->write(stream, std::move(request));
  connection->finish(*stream);
  Result<std::optional<std::string>> reply = std::optional<std::string>();
  if (sent) reply = co_await connection->read(stream);
  if (sent && reply && *reply) {  // trailers tell whether the reply counts
    auto end = co_await connection->read(stream);
    if (!end) reply = std::unexpected(end.error());
  }
  if (!late) loop_.cancel(timer);
  if (late) co_return fail(Code::kTimeout, method + " at " + address + ": deadline exceeded");
  if (!sent) co_return std::unexpected(sent.error());
  if (!reply) co_return std::unexpected(reply.error());
  if (!*reply) co_return fail(Code::kInternal, method + ": an empty reply");
  co_return std::move(**reply);
}

Task<Result<std::string>> GrpcTransport::call(std::string address, std::string method, std::string request,
                                              Duration timeout) {
  const MonoTime deadline = loop_.now() + timeout;
  CO_TRY(auto connection, co_await connection_to(address, timeout));
  co_return co_await unary(connection, address, std::move(method), std::move(request),
                           deadline - loop_.now());
}

Task<Result<std::string>> GrpcTransport::call_pinned(std::string address, std::string method,
                                                     std::string request, std::string pin, Duration timeout) {
  CO_TRY(auto context, make_anonymous_context());
  CO_TRY(auto connection, co_await connect(address, context, pin, true));
  auto reply = co_await unary(connection, address, std::move(method), std::move(request), timeout);
  connection->close();
  co_return reply;
}

Task<Result<std::unique_ptr<RpcStream>>> GrpcTransport::open(std::string address, std::string method) {
  CO_TRY(auto connection, co_await connection_to(address, kDial));
  CO_TRY(auto stream, connection->open(address, method));
  co_return std::unique_ptr<RpcStream>(new ClientStream(connection, stream));
}

}  // namespace panal
