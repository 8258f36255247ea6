#include "sys/netlink/host_ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <set>

#include "base/text.h"

namespace panal {

static constexpr int kMaxCarried = 4096;

/// What a published port relays: ended with it, so that nothing waits for a container that is gone.
struct HostPorts::Connections {
  std::string to;
  uint16_t port = 0;
  bool ended = false;
  std::set<FdStream*> streams;
};

struct HostPorts::Relay {
  Relay(AsioLoop& loop, Fd fd) : listener(loop, std::move(fd)) {}
  AsyncFd listener;
  std::shared_ptr<Connections> connections;
  void lead_to(const PublishedPort& p) { connections = std::make_shared<Connections>(p.to, p.port); }
  void end() {
    connections->ended = true;
    for (FdStream* stream : connections->streams) stream->close();
  }
};

static bool is_six(const std::string& address) { return address.find(':') != std::string::npos; }

static Result<Fd> bind_port(const PublishedPort& port, bool listening) {
  sockaddr_storage address{};
  socklen_t length = sizeof(sockaddr_in);
  const bool six = is_six(port.host_ip), tcp = port.protocol != "udp";
  if (six) {
    auto* a = reinterpret_cast<sockaddr_in6*>(&address);
    a->sin6_family = AF_INET6, a->sin6_port = htons(port.host_port), length = sizeof *a;
    ::inet_pton(AF_INET6, port.host_ip.c_str(), &a->sin6_addr);
  } else {
    auto* a = reinterpret_cast<sockaddr_in*>(&address);
    a->sin_family = AF_INET, a->sin_port = htons(port.host_port);
    if (!port.host_ip.empty()) ::inet_pton(AF_INET, port.host_ip.c_str(), &a->sin_addr);
  }
  for (const int reuse :
       {0, 1}) {  // the second try is for connections of an ended server that linger in TIME_WAIT
    Fd fd(::socket(six ? AF_INET6 : AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
    if (!fd) return fail(sys_error(errno, "socket"));
    const int none = 0, one = 1;
    if (six) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (reuse) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) == 0 &&
        (!listening || ::listen(fd.get(), 256) == 0)) {
      ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &none,
                   sizeof none);  // or a server that sets it could bind beside us
      return fd;
    }
    if (errno != EADDRINUSE || !tcp) break;
  }
  return fail(Code::kInternal, lower(std::strerror(errno)));
}

// Bound, not listening, where rules lead to the container: should they be gone, a client is refused and does
// not wait in a queue nobody serves.
Result<> HostPorts::hold(const PublishedPort& port) {
  const auto key = std::tuple(port.protocol, port.host_ip, port.host_port);
  if (auto it = held_.find(key); it != held_.end())
    if (auto* relay = std::get_if<std::shared_ptr<Relay>>(&it->second)) {  // released a moment ago
      (*relay)->lead_to(port);
      return {};
    }
  const bool relays = port.protocol == "tcp" && is_six(port.host_ip) && !port.to.empty();
  TRY(Fd fd, bind_port(port, relays));
  if (!relays) {
    held_[key] = std::move(fd);
    return {};
  }
  auto relay = std::make_shared<Relay>(loop_, std::move(fd));
  relay->lead_to(port);
  held_[key] = relay;
  scope_.spawn(accept(relay));
  return {};
}

// A listener closes when its coroutine has ended, which is after this call: until then it may be held again.
void HostPorts::release(const PublishedPort& port) {
  const auto key = std::tuple(port.protocol, port.host_ip, port.host_port);
  auto it = held_.find(key);
  if (it == held_.end()) return;
  auto* relay = std::get_if<std::shared_ptr<Relay>>(&it->second);
  if (!relay) {
    held_.erase(it);
    return;
  }
  (*relay)->end();
  loop_.post([this, key, relay = *relay] {
    if (!relay->connections->ended || relay->listener.closed()) return;
    relay->listener.close();
    held_.erase(key);
  });
}

void HostPorts::stop() {
  for (auto& [key, held] : held_)
    if (auto* relay = std::get_if<std::shared_ptr<Relay>>(&held)) (*relay)->end(), (*relay)->listener.close();
  held_.clear();
}

Task<void> HostPorts::accept(std::shared_ptr<Relay> relay) {
  for (;;) {
    auto client = co_await accept_fd(relay->listener, nullptr);
    if (relay->listener.closed()) co_return;
    if (!client)
      co_await loop_.sleep(100ms);  // out of descriptors, for a while
    else if (carried_ < kMaxCarried && !relay->connections->ended)
      scope_.spawn(carry(relay->connections, std::move(*client)));
  }
}

static Task<void> pump(FdStream& from, FdStream& to) {
  std::vector<char> chunk(16384);
  for (;;) {
    auto n = co_await from.read(chunk);
    if (!n || *n == 0) break;
    if (!co_await to.write({chunk.data(), *n})) {
      from.close();
      break;
    }
  }
  to.close_write();
}

Task<void> HostPorts::carry(std::shared_ptr<Connections> of, Fd client) {
  ++carried_;
  const int one = 1;
  ::setsockopt(client.get(), SOL_SOCKET, SO_REUSEADDR, &one,
               sizeof one);  // once it lingers in TIME_WAIT the port can be bound again
  auto server = co_await connect_tcp(loop_, of->to, of->port, 10s);
  if (server && !of->ended) {
    for (const int fd : {client.get(), server->get()})
      ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    FdStream outer(loop_, std::move(client)), inner(loop_, std::move(*server));
    of->streams.insert({&outer, &inner});
    Scope both;
    both.spawn(pump(outer, inner));
    both.spawn(pump(inner, outer));
    co_await both.join();
    of->streams.erase(&outer), of->streams.erase(&inner);
  }
  --carried_;
}

}  // namespace panal
