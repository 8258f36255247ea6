// Forgetting tracked connections that point where nothing stands any more. Blocking, in the calling thread's
// namespace.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"

namespace panal::nft {

/// Entries whose replies come from `address`: UDP and unanswered ones.
Result<> purge_conntrack(const std::string& address);
/// UDP entries sent to this port: a client that asked before the port was published would be remembered as
/// unpublished.
Result<> purge_udp_port(uint16_t port);

}  // namespace panal::nft
