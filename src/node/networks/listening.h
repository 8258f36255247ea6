// Whether a task's program takes connections yet. The kernel tells nobody when a socket begins to listen, so
// whoever wants to know looks.
#pragma once
#include <cstdint>
#include <set>
#include <string_view>

namespace panal {

/// Ports on which somebody listens, of a /proc/PID/net/tcp or tcp6 (proc_net_tcp.rst), at whatever address.
std::set<uint16_t> listening_ports(std::string_view table);

/// On all of these, in the network namespace of a process; false when that is gone.
bool listens_on(int pid, const std::set<uint16_t>& ports);

}  // namespace panal
