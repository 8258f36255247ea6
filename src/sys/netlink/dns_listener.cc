// The DNS listener of a container: UDP and TCP at 127.0.0.11:53 in its namespace, answers by the engine.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

#include "base/log.h"
#include "sys/netlink/linux_network.h"
#include "sys/netlink/rtnl.h"

namespace panal {

struct LinuxNetwork::DnsServer {
  DnsServer(AsioLoop& loop, Fd u, Fd t, DnsAnswer a) : udp(loop, std::move(u)), tcp(loop, std::move(t)), answer(std::move(a)) {}
  AsyncFd udp, tcp;
  DnsAnswer answer;
  int in_flight = 0;
};

static constexpr int kMaxDnsInFlight = 256;

LinuxNetwork::~LinuxNetwork() = default;

static Result<Fd> bound_socket(int type) {
  Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(sys_error(errno, "socket"));
  const int one = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(53)};
  ::inet_pton(AF_INET, "127.0.0.11", &address.sin_addr);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return fail(sys_error(errno, "bind", "127.0.0.11:53"));
  if (type == SOCK_STREAM && ::listen(fd.get(), 64) != 0) return fail(sys_error(errno, "listen", "127.0.0.11:53"));
  return fd;
}

Task<Result<>> LinuxNetwork::serve_dns(std::string ns_path, DnsAnswer answer) {
  if (dns_.contains(ns_path)) co_return Result<>{};
  auto open = [ns_path]() -> Result<std::pair<Fd, Fd>> {
    TRY(auto inside, InNamespace::enter(ns_path));
    TRY(Fd udp, bound_socket(SOCK_DGRAM));
    TRY(Fd tcp, bound_socket(SOCK_STREAM));
    return std::pair{std::move(udp), std::move(tcp)};
  };
  CO_TRY(auto sockets, co_await blocking(loop_, open));
  auto server = std::make_shared<DnsServer>(loop_, std::move(sockets.first), std::move(sockets.second), std::move(answer));
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
}

Task<void> LinuxNetwork::dns_udp(std::shared_ptr<DnsServer> server) {
  std::array<char, 4096> packet;
  for (;;) {
    const auto ready = co_await server->udp.readable();
    if (ready == AsyncFd::Ready::kClosed) co_return;
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    const ssize_t n = ::recvfrom(server->udp.get(), packet.data(), packet.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&peer), &length);
    if (n < 12 || server->in_flight >= kMaxDnsInFlight) continue;
    scope_.spawn(dns_reply(server, std::string(packet.data(), static_cast<size_t>(n)), std::string(reinterpret_cast<char*>(&peer), sizeof peer)));
  }
}

Task<void> LinuxNetwork::dns_reply(std::shared_ptr<DnsServer> server, std::string query, std::string peer) {
  ++server->in_flight;
  std::string reply = co_await server->answer(std::move(query));
  --server->in_flight;
  if (reply.size() > 512) {  // without EDNS a client expects 512 bytes: it asks again over TCP
    reply.resize(512);
    reply[2] = static_cast<char>(reply[2] | 0x02);
  }
  if (!reply.empty() && !server->udp.closed())
    ::sendto(server->udp.get(), reply.data(), reply.size(), MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(peer.data()), static_cast<socklen_t>(peer.size()));
}

Task<void> LinuxNetwork::dns_tcp(std::shared_ptr<DnsServer> server) {
  for (;;) {
    auto fd = co_await accept_fd(server->tcp, nullptr);
    if (!fd) co_return;
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
    const size_t want = data.size() >= 2 ? 2 + (static_cast<uint8_t>(data[0]) << 8 | static_cast<uint8_t>(data[1])) : 2;
    if (data.size() >= want && want > 2) {
      std::string query = data.substr(2, want - 2);
      data.erase(0, want);
      const std::string reply = co_await server->answer(std::move(query));
      std::string framed = {static_cast<char>(reply.size() >> 8), static_cast<char>(reply.size())};
      framed += reply;
      auto sent = co_await stream.write(framed);
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

Task<Result<std::string>> LinuxNetwork::forward_dns(std::string query, std::vector<std::string> servers) {
  for (const auto& server : servers) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(53)};
    if (::inet_pton(AF_INET, server.c_str(), &address.sin_addr) != 1) continue;
    Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd || ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) continue;
    if (::send(fd.get(), query.data(), query.size(), 0) < 0) continue;
    AsyncFd socket(loop_, std::move(fd));
    const auto ready = co_await socket.readable(2s);
    if (ready != AsyncFd::Ready::kYes) continue;
    std::array<char, 4096> reply;
    const ssize_t n = ::recv(socket.get(), reply.data(), reply.size(), MSG_DONTWAIT);
    if (n >= 12 && reply[0] == query[0] && reply[1] == query[1]) co_return std::string(reply.data(), static_cast<size_t>(n));
  }
  co_return fail(Code::kUnavailable, "no name server answered");
}

}  // namespace panal
