#include "sys/netlink/host_ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <set>

#include "base/text.h"

namespace panal {

static constexpr int kMaxCarried = 4096;
static constexpr Duration kQuietFlow = 90s;  // as Docker's proxy
static constexpr int kBurst = 64;            // datagrams read before others have their turn

/// Who sent a datagram, and to which address of this host: the answer comes from there.
struct HostPorts::Client {
  sockaddr_in6 from{};
  in6_pktinfo at{};
  auto key() const {
    return std::tuple(std::string(reinterpret_cast<const char*>(&from.sin6_addr), sizeof from.sin6_addr),
                      from.sin6_port, from.sin6_scope_id,
                      std::string(reinterpret_cast<const char*>(&at.ipi6_addr), sizeof at.ipi6_addr));
  }
};

/// The way of one client's datagrams.
struct HostPorts::Flow {
  Flow(AsioLoop& loop, Fd fd, const Client& c) : inner(loop, std::move(fd)), client(c) {}
  AsyncFd inner;
  Client client;
  MonoTime last;
};

/// What a published port relays: ended with it, so that nothing waits for a container that is gone.
struct HostPorts::Connections {
  std::string to;
  uint16_t port = 0;
  bool ended = false;
  std::set<AsyncFd*> open;
  std::map<decltype(std::declval<Client>().key()), std::shared_ptr<Flow>> flows;
};

struct HostPorts::Relay {
  Relay(AsioLoop& loop, Fd fd) : listener(loop, std::move(fd)) {}
  AsyncFd listener;
  std::shared_ptr<Connections> connections;
  void lead_to(const PublishedPort& p) { connections = std::make_shared<Connections>(p.to, p.port); }
  void end() {
    connections->ended = true;
    for (AsyncFd* fd : connections->open) fd->close();
  }
};

static bool is_six(const std::string& address) { return address.find(':') != std::string::npos; }

/// Its length; 0 for what is no address. An empty host is any of IPv4.
static socklen_t to_sockaddr(const std::string& host, uint16_t port, sockaddr_storage& out) {
  auto* six = reinterpret_cast<sockaddr_in6*>(&out);
  auto* four = reinterpret_cast<sockaddr_in*>(&out);
  if (is_six(host)) {
    six->sin6_family = AF_INET6, six->sin6_port = htons(port);
    return ::inet_pton(AF_INET6, host.c_str(), &six->sin6_addr) == 1 ? sizeof *six : 0;
  }
  four->sin_family = AF_INET, four->sin_port = htons(port);
  return host.empty() || ::inet_pton(AF_INET, host.c_str(), &four->sin_addr) == 1 ? sizeof *four : 0;
}

static Result<Fd> bind_port(const PublishedPort& port, bool listening) {
  sockaddr_storage address{};
  const bool six = is_six(port.host_ip), udp = port.protocol == "udp", tcp = port.protocol == "tcp";
  const socklen_t length = to_sockaddr(port.host_ip, port.host_port, address);
  if (length == 0) return fail(Code::kInvalid, "invalid IP address: " + port.host_ip);
  for (const int reuse :
       {0, 1}) {  // the second try is for connections of an ended server that linger in TIME_WAIT
    Fd fd(::socket(six ? AF_INET6 : AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
                   port.protocol == "sctp" ? IPPROTO_SCTP : 0));
    if (!fd && errno == EPROTONOSUPPORT)
      return fail(Code::kUnsupported, "this kernel has no " + port.protocol);
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

static std::optional<Fd> connect_udp(const std::string& to, uint16_t port) {
  const bool six = is_six(to);
  Fd fd(::socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_storage address{};
  const socklen_t length = to_sockaddr(to, port, address);
  if (!fd || length == 0 || ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0)
    return std::nullopt;
  return fd;
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
  const bool tcp = port.protocol == "tcp";
  const bool relays = (tcp || port.protocol == "udp") && is_six(port.host_ip) && !port.to.empty();
  TRY(Fd fd, bind_port(port, relays && tcp));
  if (!relays) {
    held_[key] = std::move(fd);
    return {};
  }
  auto relay = std::make_shared<Relay>(loop_, std::move(fd));
  relay->lead_to(port);
  held_[key] = relay;
  scope_.spawn(tcp ? accept(relay) : receive(relay));
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
    of->open.insert({&outer.fd(), &inner.fd()});
    Scope both;
    both.spawn(pump(outer, inner));
    both.spawn(pump(inner, outer));
    co_await both.join();
    of->open.erase(&outer.fd()), of->open.erase(&inner.fd());
  }
  --carried_;
}

// ---- UDP. What cannot go on at once is dropped, as on any network.

Task<void> HostPorts::receive(std::shared_ptr<Relay> relay) {
  const int fd = relay->listener.get(), one = 1;
  ::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one);
  datagram_.resize(65536);
  while (co_await relay->listener.readable() != AsyncFd::Ready::kClosed)
    for (int n = 0; n < kBurst; ++n) {
      Client client;
      alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control;
      iovec part{datagram_.data(), datagram_.size()};
      msghdr message{&client.from, sizeof client.from, &part, 1, control.data(), control.size(), 0};
      const ssize_t size = ::recvmsg(fd, &message, MSG_DONTWAIT);
      if (size < 0) break;
      for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
          std::memcpy(&client.at, CMSG_DATA(c), sizeof client.at);
      forward(relay, client, {datagram_.data(), static_cast<size_t>(size)});
    }
}

void HostPorts::forward(const std::shared_ptr<Relay>& relay, const Client& client,
                        std::string_view datagram) {
  const auto of = relay->connections;
  if (of->ended) return;
  auto& flow = of->flows[client.key()];
  if (!flow) {
    auto fd = carried_ < kMaxCarried ? connect_udp(of->to, of->port) : std::nullopt;
    if (!fd) {
      of->flows.erase(client.key());
      return;
    }
    flow = std::make_shared<Flow>(loop_, std::move(*fd), client);
    flow->last = loop_.now();
    scope_.spawn(send_back(relay, of, flow));
  }
  flow->last = loop_.now();
  // An error is the word that an earlier one was refused; this one is not sent then.
  for (int tries = 0; tries < 2; ++tries)
    if (::send(flow->inner.get(), datagram.data(), datagram.size(), MSG_DONTWAIT) >= 0) return;
}

Task<void> HostPorts::send_back(std::shared_ptr<Relay> relay, std::shared_ptr<Connections> of,
                                std::shared_ptr<Flow> flow) {
  ++carried_;
  of->open.insert(&flow->inner);
  while (!of->ended && loop_.now() - flow->last < kQuietFlow) {
    const auto ready = co_await flow->inner.readable(kQuietFlow - (loop_.now() - flow->last));
    if (ready == AsyncFd::Ready::kClosed) break;
    for (int n = 0; ready == AsyncFd::Ready::kYes && n < kBurst; ++n) {
      const ssize_t size = ::recv(flow->inner.get(), datagram_.data(), datagram_.size(), MSG_DONTWAIT);
      if (size < 0 && errno != ECONNREFUSED) break;  // nobody listens there now: somebody may later
      if (size < 0) continue;
      flow->last = loop_.now();
      alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control{};
      iovec part{datagram_.data(), static_cast<size_t>(size)};
      msghdr message{&flow->client.from, sizeof flow->client.from, &part, 1,
                     control.data(),     control.size(),           0};
      cmsghdr* c = CMSG_FIRSTHDR(&message);
      c->cmsg_level = IPPROTO_IPV6, c->cmsg_type = IPV6_PKTINFO, c->cmsg_len = CMSG_LEN(sizeof(in6_pktinfo));
      std::memcpy(CMSG_DATA(c), &flow->client.at, sizeof(in6_pktinfo));
      (void)::sendmsg(relay->listener.get(), &message, MSG_DONTWAIT);
    }
  }
  of->open.erase(&flow->inner);
  of->flows.erase(flow->client.key());
  --carried_;
}

}  // namespace panal
