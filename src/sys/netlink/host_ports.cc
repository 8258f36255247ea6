#include "sys/netlink/host_ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "base/text.h"

namespace panal {

// Bound, not listening: should the rules be gone, a client is refused and does not wait in a queue nobody serves.
Result<> HostPorts::hold(const PublishedPort& port) {
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port.host_port)};
  if (!port.host_ip.empty() && port.host_ip != "::") ::inet_pton(AF_INET, port.host_ip.c_str(), &address.sin_addr);
  const bool tcp = port.protocol != "udp";
  for (const int reuse : {0, 1}) {  // the second try is for connections of an ended server that linger in TIME_WAIT
    Fd fd(::socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
    if (!fd) return fail(sys_error(errno, "socket"));
    const int none = 0;
    if (reuse) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &none, sizeof none);  // or a server that sets it could bind beside us
      held_[{port.protocol, port.host_ip, port.host_port}] = std::move(fd);
      return {};
    }
    if (errno != EADDRINUSE || !tcp) break;
  }
  return fail(Code::kInternal, lower(std::strerror(errno)));
}

}  // namespace panal
