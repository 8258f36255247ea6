// KernelNetwork on Linux: rtnetlink for links and neighbours, nftables for ports, VIPs and the mesh, a DNS
// listener per namespace. The kernel holds everything: a daemon that dies leaves the network working, the
// next one finds it and goes on.
#pragma once
#include <map>

#include "ports/kernel_network.h"
#include "ports/mutex.h"
#include "sys/loop/async_fd.h"
#include "sys/netlink/host_ports.h"
#include "sys/nft/ruleset.h"

namespace panal {

class LinuxNetwork final : public KernelNetwork {
 public:
  LinuxNetwork(AsioLoop& loop, std::string namespaces_dir);
  ~LinuxNetwork() override;

  Task<Result<>> setup() override;
  Task<Result<>> create_namespace(std::string path, std::optional<NamespaceOwner> owner) override;
  Task<Result<>> remove_namespace(std::string path) override;
  Task<Result<>> ensure_bridge(BridgePlan plan) override;
  Task<Result<>> remove_bridge(std::string name) override;
  Task<Result<>> attach(AttachPlan plan) override;
  Task<Result<>> detach(std::string ns_path, std::string name) override;
  Task<Result<>> set_gateways(std::string ns_path, std::string name,
                              std::vector<std::string> gateways) override;
  Task<Result<>> publish(std::vector<PublishedPort> ports) override;
  Task<Result<>> unpublish(std::vector<PublishedPort> ports) override;
  Result<> hold_port(const PublishedPort& port) override { return held_.hold(port); }
  void release_port(const PublishedPort& port) override { held_.release(port); }
  bool interface_exists(const std::string& name) override;
  Result<std::vector<std::string>> interfaces(const std::string& prefix) override;
  Task<Result<>> remove_interface(std::string name) override;
  Result<std::vector<std::string>> host_routes() override;
  bool has_ipv6() override;
  std::vector<std::string> warnings() override { return warnings_; }
  Result<std::vector<std::pair<std::string, std::string>>> host_addresses() override;
  Task<Result<>> ensure_overlay(OverlayPlan plan) override;
  Task<Result<>> remove_overlay(OverlayPlan plan) override;
  Task<Result<>> set_peers(std::string sandbox, std::vector<OverlayPeer> peers) override;
  Task<Result<>> set_vips(std::string ns_path, VipTable table) override;
  Task<Result<>> ensure_mesh(MeshTable table) override;
  Task<Result<>> set_mesh(MeshTable table) override;
  Task<Result<>> remove_mesh() override;
  Task<Result<>> attach_mesh(std::string ns_path, std::string host_name, std::string name,
                             std::string address) override;
  Task<Result<>> serve_dns(std::string ns_path, DnsAnswer answer) override;
  void stop_dns(const std::string& ns_path) override;
  Task<Result<std::string>> forward_dns(std::string query, std::vector<std::string> servers,
                                        DnsVia via) override;

  void stop();
  auto join() { return scope_.join(); }

 private:
  struct DnsServer;
  Task<void> dns_udp(std::shared_ptr<DnsServer> server);
  Task<void> dns_tcp(std::shared_ptr<DnsServer> server);
  Task<void> dns_reply(std::shared_ptr<DnsServer> server, std::string query, std::string peer);
  Task<void> dns_connection(std::shared_ptr<DnsServer> server, Fd fd);

  /// An element of the table inet engine: {set, key}, data.
  using ElementName = std::pair<std::string, std::string>;
  using Elements = std::map<ElementName, std::string>;
  static Elements elements_of(const BridgePlan& plan);
  static Elements elements_of(const std::vector<PublishedPort>& ports);
  Task<Result<>> change_elements(Elements add, std::vector<ElementName> remove);
  Task<Result<>> load_engine_rules();
  Task<Result<>> repair_node();

  /// Rules in one namespace; whoever else changes them finds them as they were.
  struct RulesWatch;
  using Repair = std::function<Task<Result<>>()>;
  Task<Result<std::shared_ptr<RulesWatch>>> watch_rules(std::string ns_path, std::set<nft::TableName> tables,
                                                        Repair repair);
  Task<void> guard_rules(std::shared_ptr<RulesWatch> watch);
  Task<void> look_for_firewalls();
  /// Loads text; the watch of that namespace takes it for ours.
  Task<Result<>> run_nft(std::string ns_path, std::string text);
  Task<Result<>> load_mesh_rules(std::string subnet);
  Task<Result<>> repair_mesh();

  AsioLoop& loop_;
  std::string dir_;
  std::map<std::string, VipTable> vips_;  // last set, by namespace: what was removed loses its UDP flows
  AsyncMutex rules_mutex_;                // over the node's and the mesh's rules and what follows here
  Elements elements_;                     // what the table inet engine should hold
  MeshTable mesh_;
  std::shared_ptr<RulesWatch> node_watch_, mesh_watch_;
  std::vector<std::string> warnings_;
  std::map<std::string, std::shared_ptr<DnsServer>> dns_;
  Scope scope_;
  HostPorts held_{loop_, scope_};
};

}  // namespace panal
