// Options of a bridge network by Docker's names, read once into what they mean; pure.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "base/result.h"

namespace panal {

struct BridgeOptions {
  std::string name, host_binding = "", interface_prefix = "eth";
  int mtu = 1500;
  bool icc = true, masquerade = true, inhibit_ipv4 = false;
  bool routed4 = false, routed6 = false;
};

/// Refuses values that say nothing, and by name what is not there.
Result<BridgeOptions> read_bridge_options(const std::map<std::string, std::string>& options);

/// com.docker.network.enable_ipv4 or enable_ipv6, which stand for fields of the request; nothing: not given.
Result<std::optional<bool>> family_option(const std::map<std::string, std::string>& options,
                                          const std::string& key);

}  // namespace panal
