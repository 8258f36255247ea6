// Lets a container's resolver be found at 127.0.0.11:53 while it listens at another port, so that port 53 is
// free for programs of the container. Stateless: ports are rewritten on the way out of a socket, connection
// tracking stays out of the container's namespace.
#pragma once
#include <cstdint>

#include "base/result.h"

namespace panal::nft {

/// In the calling thread's namespace; replaces what an earlier daemon left.
Result<> redirect_dns(uint16_t udp_port, uint16_t tcp_port);

}  // namespace panal::nft
