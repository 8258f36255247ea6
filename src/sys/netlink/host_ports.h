// Sockets that keep published ports taken on the host, so that no program of the host believes to serve what
// never reaches it. Those of TCP on IPv6 also relay: to [::1], and to containers without IPv6, no rule leads.
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
  Task<void> accept(std::shared_ptr<Relay> relay);
  Task<void> carry(std::shared_ptr<Connections> of, Fd client);

  AsioLoop& loop_;
  Scope& scope_;
  std::map<std::tuple<std::string, std::string, uint16_t>, std::variant<Fd, std::shared_ptr<Relay>>>
      held_;  // protocol, host address, port
  int carried_ = 0;
};

}  // namespace panal
