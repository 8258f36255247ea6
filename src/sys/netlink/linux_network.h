// KernelNetwork on Linux: rtnetlink for links and neighbours, nftables for ports, VIPs and the mesh, a DNS listener per namespace.
// The kernel holds everything: a daemon that dies leaves the network working, the next one finds it and goes on.
#pragma once
#include <map>

#include "ports/kernel_network.h"
#include "sys/loop/async_fd.h"
#include "sys/netlink/host_ports.h"

namespace panal {

class LinuxNetwork final : public KernelNetwork {
 public:
  LinuxNetwork(AsioLoop& loop, std::string namespaces_dir);
  ~LinuxNetwork() override;

  Task<Result<>> setup() override;
  Task<Result<>> create_namespace(std::string path) override;
  Task<Result<>> remove_namespace(std::string path) override;
  Task<Result<>> set_sysctls(std::string ns_path, std::vector<std::pair<std::string, std::string>> values) override;
  Task<Result<>> ensure_bridge(BridgePlan plan) override;
  Task<Result<>> remove_bridge(std::string name) override;
  Task<Result<>> attach(AttachPlan plan) override;
  Task<Result<>> detach(std::string ns_path, std::string name) override;
  Task<Result<>> publish(std::string address, std::vector<PublishedPort> ports) override;
  Task<Result<>> unpublish(std::string address, std::vector<PublishedPort> ports) override;
  Result<> hold_port(const PublishedPort& port) override { return held_.hold(port); }
  void release_port(const PublishedPort& port) override { held_.release(port); }
  bool interface_exists(const std::string& name) override;
  Result<std::vector<std::string>> host_routes() override;
  Result<std::vector<std::pair<std::string, std::string>>> host_addresses() override;
  Task<Result<>> ensure_overlay(OverlayPlan plan) override;
  Task<Result<>> remove_overlay(OverlayPlan plan) override;
  Task<Result<>> set_peers(std::string sandbox, std::vector<OverlayPeer> peers) override;
  Task<Result<>> set_vips(std::string ns_path, VipTable table) override;
  Task<Result<>> ensure_mesh(MeshTable table) override;
  Task<Result<>> set_mesh(MeshTable table) override;
  Task<Result<>> remove_mesh() override;
  Task<Result<>> attach_mesh(std::string ns_path, std::string host_name, std::string name, std::string address) override;
  Task<Result<>> serve_dns(std::string ns_path, DnsAnswer answer) override;
  void stop_dns(const std::string& ns_path) override;
  Task<Result<std::string>> forward_dns(std::string query, std::vector<std::string> servers) override;

  void stop();
  auto join() { return scope_.join(); }

 private:
  struct DnsServer;
  Task<void> dns_udp(std::shared_ptr<DnsServer> server);
  Task<void> dns_tcp(std::shared_ptr<DnsServer> server);
  Task<void> dns_reply(std::shared_ptr<DnsServer> server, std::string query, std::string peer);
  Task<void> dns_connection(std::shared_ptr<DnsServer> server, Fd fd);
  Task<Result<>> load_rules(std::string ns_path, std::string text);

  AsioLoop& loop_;
  std::string dir_;
  std::map<std::string, VipTable> vips_;  // last set, by namespace: what was removed loses its UDP flows
  MeshTable mesh_;
  HostPorts held_;
  std::map<std::string, std::shared_ptr<DnsServer>> dns_;
  Scope scope_;
};

}  // namespace panal
