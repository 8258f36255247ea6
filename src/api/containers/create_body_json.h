// The body of POST /containers/create. Include in .cc files only.
#pragma once
#include "model/container_json.h"

namespace panal {

struct NetworkingConfig {
  std::map<std::string, std::optional<Endpoint>> endpoints;
};
template <class A>
void fields(A& a, NetworkingConfig& n) {
  a("EndpointsConfig", n.endpoints);
}
struct CreateBody {
  ContainerConfig config;
  HostConfig host;
  NetworkingConfig networking;
  std::string mac_address;
};
template <class A>
void fields(A& a, CreateBody& b) {
  fields(a, b.config);
  a("HostConfig", b.host), a("NetworkingConfig", b.networking), a("MacAddress", b.mac_address);
}

/// An address for the container as a whole is its first network's: the way of clients before API 1.44.
Result<> place_mac_address(const CreateBody& wish, int minor, std::map<std::string, Endpoint>& endpoints);
/// Refuses mounts with options of another kind of mount.
Result<> check_mount_options(const Json& body, int minor);

}  // namespace panal
