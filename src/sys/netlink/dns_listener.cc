// The DNS listener of a container: UDP and TCP at 127.0.0.11 in its namespace, at ports that rules there show
// as 53; answers by the engine.
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

#include "base/log.h"
#include "sys/netlink/rtnl.h"
#include "sys/netlink/rules_watch.h"
#include "sys/nft/dns_rules.h"

namespace panal {

struct LinuxNetwork::DnsServer {
  DnsServer(AsioLoop& loop, Fd u, Fd t, DnsAnswer a)
      : udp(loop, std::move(u)), tcp(loop, std::move(t)), answer(std::move(a)) {}
  AsyncFd udp, tcp;
  DnsAnswer answer;
  int in_flight = 0;
};

static constexpr int kMaxDnsInFlight = 256;

// Over TCP a message's length goes before it.
static std::string framed(const std::string& message) {
  std::string out = {static_cast<char>(message.size() >> 8), static_cast<char>(message.size())};
  return out + message;
}
static std::optional<std::string> unframed(std::string_view data) {
  if (data.size() < 2) return std::nullopt;
  const size_t size = static_cast<size_t>(static_cast<uint8_t>(data[0]) << 8 | static_cast<uint8_t>(data[1]));
  if (size == 0 || data.size() < 2 + size) return std::nullopt;
  return std::string(data.substr(2, size));
}

static Result<std::pair<Fd, uint16_t>> bound_socket(int type, uint16_t port) {
  Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(sys_error(errno, "socket"));
  const int one = 1;
  if (port != 0) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port)};
  socklen_t length = sizeof address;
  ::inet_pton(AF_INET, "127.0.0.11", &address.sin_addr);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0)
    return fail(sys_error(errno, "bind", "127.0.0.11"));
  if (type == SOCK_STREAM && ::listen(fd.get(), 64) != 0)
    return fail(sys_error(errno, "listen", "127.0.0.11"));
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length);
  return std::pair{std::move(fd), ntohs(address.sin_port)};
}

Task<Result<>> LinuxNetwork::serve_dns(std::string ns_path, DnsAnswer answer) {
  if (dns_.contains(ns_path)) co_return Result<>{};
  auto open = [ns_path]() -> Result<std::pair<Fd, Fd>> {
    TRY(auto inside, InNamespace::enter(ns_path));
    TRY(auto udp, bound_socket(SOCK_DGRAM, 0));
    TRY(auto tcp, bound_socket(SOCK_STREAM, 0));
    if (auto redirected = nft::redirect_dns(udp.second, tcp.second); !redirected) {
      log::warn(
          "msg=\"names are served at port 53 itself: programs of the container cannot have it\" error=\"{}\"",
          redirected.error().message);
      TRY(udp, bound_socket(SOCK_DGRAM, 53));
      TRY(tcp, bound_socket(SOCK_STREAM, 53));
    }
    return std::pair{std::move(udp.first), std::move(tcp.first)};
  };
  CO_TRY(auto sockets, co_await blocking(loop_, open));
  auto server = std::make_shared<DnsServer>(loop_, std::move(sockets.first), std::move(sockets.second),
                                            std::move(answer));
  dns_[ns_path] = server;
  scope_.spawn(dns_udp(server));
  scope_.spawn(dns_tcp(server));
  co_return Result<>{};
}

void LinuxNetwork::stop_dns(const std::string& ns_path) {
  auto it = dns_.find(ns_path);
  if (it == dns_.end()) return;
  it->second->udp.close();
  it->second->tcp.close();
  dns_.erase(it);
}

void LinuxNetwork::stop() {
  while (!dns_.empty()) stop_dns(std::string(dns_.begin()->first));
  held_.stop();
  for (const auto& watch : {node_watch_, mesh_watch_})
    if (watch) watch->fd.close();
}

Task<void> LinuxNetwork::dns_udp(std::shared_ptr<DnsServer> server) {
  std::array<char, 4096> packet;
  for (;;) {
    const auto ready = co_await server->udp.readable();
    if (ready == AsyncFd::Ready::kClosed) co_return;
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    const ssize_t n = ::recvfrom(server->udp.get(), packet.data(), packet.size(), MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&peer), &length);
    if (n < 12 || server->in_flight >= kMaxDnsInFlight) continue;
    scope_.spawn(dns_reply(server, std::string(packet.data(), static_cast<size_t>(n)),
                           std::string(reinterpret_cast<char*>(&peer), sizeof peer)));
  }
}

Task<void> LinuxNetwork::dns_reply(std::shared_ptr<DnsServer> server, std::string query, std::string peer) {
  ++server->in_flight;
  const std::string reply = co_await server->answer(std::move(query), DnsVia::kUdp);
  --server->in_flight;
  if (!reply.empty() && !server->udp.closed())
    ::sendto(server->udp.get(), reply.data(), reply.size(), MSG_DONTWAIT,
             reinterpret_cast<const sockaddr*>(peer.data()), static_cast<socklen_t>(peer.size()));
}

Task<void> LinuxNetwork::dns_tcp(std::shared_ptr<DnsServer> server) {
  for (;;) {
    auto fd = co_await accept_fd(server->tcp, nullptr);
    if (!fd && server->tcp.closed()) co_return;
    if (!fd) {  // no descriptor left, say
      co_await loop_.sleep(100ms);
      continue;
    }
    if (server->in_flight < kMaxDnsInFlight) scope_.spawn(dns_connection(server, std::move(*fd)));
  }
}

Task<void> LinuxNetwork::dns_connection(std::shared_ptr<DnsServer> server, Fd fd) {
  ++server->in_flight;
  FdStream stream(loop_, std::move(fd));
  const TimerId deadline = loop_.call_after(10s, [&stream] { stream.close(); });
  std::string data;
  std::array<char, 4096> chunk;
  for (;;) {
    if (auto query = unframed(data)) {
      data.erase(0, 2 + query->size());
      const std::string reply = co_await server->answer(std::move(*query), DnsVia::kTcp);
      auto sent = co_await stream.write(framed(reply));
      if (!sent) break;
      continue;
    }
    auto n = co_await stream.read(chunk);
    if (!n || *n == 0) break;
    data.append(chunk.data(), *n);
  }
  loop_.cancel(deadline);
  --server->in_flight;
}

// ---- to the host's own servers, from the host's namespace

static Result<sockaddr_storage> server_address(const std::string& server, socklen_t& length) {
  sockaddr_storage out{};
  const size_t zone = server.find('%');
  if (server.find(':') == std::string::npos) {
    auto* a = reinterpret_cast<sockaddr_in*>(&out);
    a->sin_family = AF_INET, a->sin_port = htons(53), length = sizeof *a;
    if (::inet_pton(AF_INET, server.c_str(), &a->sin_addr) == 1) return out;
  } else {
    auto* a = reinterpret_cast<sockaddr_in6*>(&out);
    a->sin6_family = AF_INET6, a->sin6_port = htons(53), length = sizeof *a;
    if (zone != std::string::npos) a->sin6_scope_id = ::if_nametoindex(server.c_str() + zone + 1);
    if (::inet_pton(AF_INET6, server.substr(0, zone).c_str(), &a->sin6_addr) == 1) return out;
  }
  return fail(Code::kInvalid, "not an address of a name server: " + server);
}

static bool answers(std::string_view reply, std::string_view query) {
  return reply.size() >= 12 && reply.substr(0, 2) == query.substr(0, 2) && (reply[2] & 0x80);
}

static Task<Result<std::string>> ask_udp(AsioLoop& loop, std::string query, std::string server,
                                         Duration patience) {
  socklen_t length = 0;
  CO_TRY(const auto address, server_address(server, length));
  Fd fd(::socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0)
    co_return fail(sys_error(errno, "connect", server));
  if (::send(fd.get(), query.data(), query.size(), 0) < 0) co_return fail(sys_error(errno, "send", server));
  AsyncFd socket(loop, std::move(fd));
  const MonoTime deadline = loop.now() + patience;
  std::string reply(65535, '\0');
  while (loop.now() < deadline) {
    if (co_await socket.readable(deadline - loop.now()) != AsyncFd::Ready::kYes) break;
    const ssize_t n = ::recv(socket.get(), reply.data(), reply.size(), MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) co_return fail(sys_error(errno, "recv", server));
    if (n > 0 && answers({reply.data(), static_cast<size_t>(n)}, query))
      co_return reply.substr(0, static_cast<size_t>(n));
  }
  co_return fail(Code::kTimeout, server + " does not answer");
}

static Task<Result<std::string>> ask_tcp(AsioLoop& loop, std::string query, std::string server,
                                         Duration patience) {
  CO_TRY(Fd fd, co_await connect_tcp(loop, server, 53, patience));
  FdStream stream(loop, std::move(fd));
  const TimerId deadline = loop.call_after(patience, [&stream] { stream.close(); });
  const auto talk = [&]() -> Task<Result<std::string>> {
    CO_TRYV(co_await stream.write(framed(query)));
    std::string data;
    std::array<char, 4096> chunk;
    for (;;) {
      if (const auto whole = unframed(data)) co_return *whole;
      CO_TRY(const size_t n, co_await stream.read(chunk));
      if (n == 0) co_return fail(Code::kUnavailable, server + " hung up");
      data.append(chunk.data(), n);
    }
  };
  auto reply = co_await talk();
  loop.cancel(deadline);
  if (reply && !answers(*reply, query)) co_return fail(Code::kUnavailable, server + " gave no answer");
  co_return reply;
}

Task<Result<std::string>> LinuxNetwork::forward_dns(std::string query, std::vector<std::string> servers,
                                                    DnsVia via) {
  std::optional<std::string> refusal;
  for (const auto& server : servers) {
    auto reply = via == DnsVia::kTcp ? co_await ask_tcp(loop_, query, server, 4s)
                                     : co_await ask_udp(loop_, query, server, 2s);
    if (!reply) continue;
    const int code = (*reply)[3] & 15;
    if (code != 2 && code != 5) co_return std::move(*reply);  // SERVFAIL and REFUSED: the next one may know
    if (!refusal) refusal = std::move(*reply);
  }
  if (refusal) co_return std::move(*refusal);
  co_return fail(Code::kUnavailable, "no name server answered");
}

}  // namespace panal
