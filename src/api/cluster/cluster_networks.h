// The cluster's networks as the network resource shows them.
#pragma once
#include "api/api.h"

namespace panal {

struct NetworkWish {
  Network network;
  std::string scope;
  std::optional<bool> enable_ipv4, enable_ipv6;
};

std::vector<Network> cluster_networks(ApiParts& p);
Task<Result<std::string>> create_cluster_network(ApiParts& p, NetworkWish wish);
Task<Result<>> remove_cluster_network(ApiParts& p, std::string id);

}  // namespace panal
