// Sockets that keep published ports taken on the host, so that no program of the host believes to serve what never reaches it.
#pragma once
#include <map>

#include "base/fd.h"
#include "model/container.h"

namespace panal {

class HostPorts {
 public:
  /// Fails with the kernel's reason, in lower case as Docker prints it.
  Result<> hold(const PublishedPort& port);
  void release(const PublishedPort& port) { held_.erase({port.protocol, port.host_ip, port.host_port}); }

 private:
  std::map<std::tuple<std::string, std::string, uint16_t>, Fd> held_;  // protocol, host address, port
};

}  // namespace panal
