// Sockets that keep published ports taken on the host, so that no program of the host believes to serve what
// never reaches it. Those on IPv6 also relay: from [::1], and to containers without IPv6, no rule leads.
#pragma once
#include <map>

#include "model/container.h"
#include "sys/loop/async_fd.h"

namespace panal {

class HostPorts {
 public:
  HostPorts(AsioLoop& loop, Scope& scope) : loop_(loop), scope_(scope) {}
  /// Fails with the kernel's reason, in lower case as Docker prints it.
  Result<> hold(const PublishedPort& port);
  void release(const PublishedPort& port);
  void stop();

 private:
  struct Relay;
  struct Connections;
  struct Client;
  struct Flow;
  Task<void> accept(std::shared_ptr<Relay> relay);
  Task<void> carry(std::shared_ptr<Connections> of, Fd client);
  Task<void> receive(std::shared_ptr<Relay> relay);
  void forward(const std::shared_ptr<Relay>& relay, const Client& client, std::string_view datagram);
  Task<void> send_back(std::shared_ptr<Relay> relay, std::shared_ptr<Connections> of,
                       std::shared_ptr<Flow> flow);

  AsioLoop& loop_;
  Scope& scope_;
  std::map<std::tuple<std::string, std::string, uint16_t>, std::variant<Fd, std::shared_ptr<Relay>>>
      held_;              // protocol, host address, port
  int carried_ = 0;       // connections, and clients of UDP that were heard of lately
  std::string datagram_;  // the one in hand
};

}  // namespace panal
