// What a user asks of one attachment to a network (DriverOpts of an endpoint): its interface's name and
// kernel settings. Pure.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace panal {

struct EndpointOptions {
  std::string interface;                                     // "": as the network has it
  std::vector<std::pair<std::string, std::string>> sysctls;  // "net/ipv4/conf/IFNAME/forwarding" -> "1"
};
/// Docker's texts; what Panal does not know is refused by name.
Result<EndpointOptions> read_endpoint_options(const std::map<std::string, std::string>& options);

}  // namespace panal
