// resolv.conf(5): the host's, and the one a container gets. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace panal {

struct ResolvConf {
  std::vector<std::string> servers, search, options;
  bool operator==(const ResolvConf&) const = default;
};

/// Comments and unknown lines are left out; the last `search` or `domain` line counts.
ResolvConf parse_resolv_conf(std::string_view text);
/// Servers that a container can reach by itself: none on the host's loopback.
std::vector<std::string> beyond_loopback(const std::vector<std::string>& servers);

/// What a container names of its own goes before the daemon's, that before the host's. `own_names`: it asks
/// the engine at 127.0.0.11.
struct ResolvWish {
  std::vector<std::string> servers, search, options;
};
std::string container_resolv_conf(const ResolvConf& host, const ResolvWish& daemon,
                                  const ResolvWish& container, bool own_names);

}  // namespace panal
