// The kernel's network as the engine and the node use it. Every call is idempotent: it makes things so.
// Addresses are text ("10.0.1.2", "172.17.0.1/16"); MACs "02:42:0a:00:01:02". Implemented by sys/netlink +
// sys/nft.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "model/container.h"
#include "model/id_map.h"

namespace panal {

struct BridgePlan {
  std::string name;
  std::vector<std::string> gateways;  // CIDR, of either family
  int mtu = 1500;
  bool internal = false, masquerade4 = true, masquerade6 = true;
};

struct AttachPlan {
  std::string ns_path;    // network namespace of the container
  std::string bridge;     // empty with `sandbox`: none
  std::string bridge_ns;  // namespace the bridge stands in; empty: the node's
  std::string host_name;  // interface at the bridge
  std::string name;       // interface in the container
  std::string mac;
  std::vector<std::string> addresses;  // CIDR; without one of IPv6 the interface has none
  std::vector<std::string> gateways;   // of the default routes it gets
  std::vector<std::pair<std::string, std::string>> sysctls;  // IFNAME stands for the interface
  int mtu = 1500;
  bool isolated = false;
};

struct OverlayPlan {
  std::string sandbox;  // namespace path
  uint32_t vni = 0;
  std::string underlay_address;
  uint16_t port = 4789;
  int mtu = 1450;
};

struct OverlayPeer {
  std::string address, mac, node_address;
  auto operator<=>(const OverlayPeer&) const = default;
};

/// VIP -> endpoint addresses, for one container.
struct VipTable {
  std::vector<std::pair<std::string, std::vector<std::string>>> services;
  bool operator==(const VipTable&) const = default;
};

struct MeshPort {
  uint16_t published = 0;
  std::string protocol;
  struct Target {
    std::string address;  // mesh address of the task
    uint16_t port = 0;
    auto operator<=>(const Target&) const = default;
  };
  std::vector<Target> targets;
  auto operator<=>(const MeshPort&) const = default;
};

struct MeshNode {
  uint32_t index = 0;  // 1..65535, the node's number in the mesh
  std::string mesh_address, node_address;
  auto operator<=>(const MeshNode&) const = default;
};

struct MeshTask {
  std::string address;  // mesh address
  uint32_t node_index = 0;
  bool local = false;
  auto operator<=>(const MeshTask&) const = default;
};

struct MeshTable {
  std::string subnet;  // ingress network, "10.0.0.0/24"
  MeshNode self;
  std::vector<MeshNode> nodes;  // without self
  std::vector<MeshTask> tasks;  // live, draining ones included
  std::vector<MeshPort> ports;
  bool operator==(const MeshTable&) const = default;
};

/// The user namespace that a container's network belongs to: a new one with these ids, or the one of another
/// container, by its file.
struct NamespaceOwner {
  IdMap ids;
  std::string joined;
};
inline std::string user_namespace_of(const std::string& net_path) { return net_path + ".user"; }

class KernelNetwork {
 public:
  virtual ~KernelNetwork() = default;
  /// Loads the node's static rules; clears what an earlier life left that no longer belongs.
  virtual Task<Result<>> setup() = 0;
  /// With an owner also the user namespace it belongs to, at user_namespace_of(path).
  virtual Task<Result<>> create_namespace(std::string path, std::optional<NamespaceOwner> owner) = 0;
  virtual Task<Result<>> remove_namespace(std::string path) = 0;
  virtual Task<Result<>> ensure_bridge(BridgePlan plan) = 0;
  virtual Task<Result<>> remove_bridge(std::string name) = 0;
  virtual Task<Result<>> attach(AttachPlan plan) = 0;
  virtual Task<Result<>> detach(std::string ns_path, std::string name) = 0;
  /// Default routes over an interface that is there, one for each family among `gateways`.
  virtual Task<Result<>> set_gateways(std::string ns_path, std::string name,
                                      std::vector<std::string> gateways) = 0;
  virtual Task<Result<>> publish(std::vector<PublishedPort> ports) = 0;
  virtual Task<Result<>> unpublish(std::vector<PublishedPort> ports) = 0;
  /// Binds the port on the host, so that no program of the host believes to serve what never reaches it. The
  /// socket ends with the daemon and is never inherited. Fails when a program of the host has the port. What
  /// comes to it on an IPv6 address is relayed: rules reach neither [::1] nor a container without IPv6.
  virtual Result<> hold_port(const PublishedPort& port) = 0;
  virtual void release_port(const PublishedPort& port) = 0;
  /// Networks the host routes to ("192.168.1.0/24"), to keep new pools clear of.
  virtual bool interface_exists(const std::string& name) = 0;
  /// Names of the host's interfaces that begin so.
  virtual Result<std::vector<std::string>> interfaces(const std::string& prefix) = 0;
  virtual Task<Result<>> remove_interface(std::string name) = 0;
  virtual Result<std::vector<std::string>> host_routes() = 0;
  virtual bool has_ipv6() = 0;
  /// What stands in the way of containers' traffic on this node, in sentences.
  virtual std::vector<std::string> warnings() = 0;
  /// {interface, IPv4 address} of the host, loopback and our own bridges left out.
  virtual Result<std::vector<std::pair<std::string, std::string>>> host_addresses() = 0;

  virtual Task<Result<>> ensure_overlay(OverlayPlan plan) = 0;
  virtual Task<Result<>> remove_overlay(OverlayPlan plan) = 0;
  /// Makes the sandbox's FDB and neighbours equal to `peers`.
  virtual Task<Result<>> set_peers(std::string sandbox, std::vector<OverlayPeer> peers) = 0;
  virtual Task<Result<>> set_vips(std::string ns_path, VipTable table) = 0;
  virtual Task<Result<>> ensure_mesh(MeshTable table) = 0;
  virtual Task<Result<>> set_mesh(MeshTable table) = 0;
  virtual Task<Result<>> remove_mesh() = 0;
  /// Adds the container's leg into the mesh sandbox.
  virtual Task<Result<>> attach_mesh(std::string ns_path, std::string host_name, std::string name,
                                     std::string address) = 0;

  /// Serves DNS at 127.0.0.11:53 inside a namespace: `answer(query packet)` -> reply packet, as long as its
  /// way allows.
  enum class DnsVia { kUdp, kTcp };
  using DnsAnswer = std::function<Task<std::string>(std::string query, DnsVia via)>;
  virtual Task<Result<>> serve_dns(std::string ns_path, DnsAnswer answer) = 0;
  virtual void stop_dns(const std::string& ns_path) = 0;
  /// Sends a query to the host's own resolvers and returns the reply.
  virtual Task<Result<std::string>> forward_dns(std::string query, std::vector<std::string> servers,
                                                DnsVia via) = 0;
};

}  // namespace panal
