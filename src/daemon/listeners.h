// Opens what the settings say the API listens on: unix sockets, TCP, and sockets that systemd hands over.
#pragma once
#include "daemon/options.h"
#include "sys/http/server.h"
#include "sys/process/supervisor.h"

namespace panal {

struct OpenHosts {
  std::vector<std::string> socket_files;  // ours to remove at the end
  std::vector<std::string> warnings;      // for `docker info`
};
/// All or none: the server listens once every host could be opened.
Result<OpenHosts> open_hosts(const DaemonOptions& o, Supervisor& supervisor, HttpServer& server);

}  // namespace panal
