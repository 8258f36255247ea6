// A container's attachments to networks and its published ports (Docker Engine API v1.51, EndpointSettings).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/record.h"

namespace panal {

struct EndpointIpam {
  std::string ipv4_address, ipv6_address;
  std::vector<std::string> link_local_ips;
};

/// How a container is (or wants to be) attached to one network.
struct Endpoint {
  PANAL_RECORD(Endpoint);
  EndpointIpam ipam;
  std::vector<std::string> aliases;
  std::string network_id, endpoint_id, gateway, ip_address, mac_address;
  int ip_prefix_len = 0;
  std::string gateway6, ip6_address;
  int ip6_prefix_len = 0, gateway_priority = 0;
  int index = -1;  // of its interface in the container (eth<index>); -1: not plugged in
  std::string wanted_mac;
  std::string attachment;  // to a network of the cluster: the task that stands for it there
  std::vector<std::string> dns_names, links;  // links: "container:alias"
  std::map<std::string, std::string> driver_opts;
};

struct PublishedPort {
  std::string host_ip;
  uint16_t host_port = 0, port = 0;
  uint16_t last_host_port = 0;  // in a wish: any free one from host_port to here
  std::string protocol;         // tcp, udp, sctp
  std::string to;               // address of the container
  bool routed = false;          // reached at `to` itself: nothing is published on the host
};

}  // namespace panal
