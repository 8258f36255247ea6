#include "node/cluster/swarm_view.h"

#include "base/text.h"
#include "node/cluster/swarm_node.h"

namespace panal {

const std::map<std::string, int64_t>& raft_settings() {
  static const std::map<std::string, int64_t> kSettings = {{"SnapshotInterval", 10000},
                                                           {"KeepOldSnapshots", 0},
                                                           {"LogEntriesForSlowFollowers", 500},
                                                           {"ElectionTick", 10},
                                                           {"HeartbeatTick", 1}};
  return kSettings;
}

std::string swarm_state(const SwarmNode* swarm) {
  if (!swarm || !swarm->active()) return "inactive";
  return swarm->manager() ? "active/manager" : "active/worker";
}

Json tls_info(const SwarmNode& swarm) {
  JsonObject out{{"TrustRoot", swarm.manager()->store().cluster.ca_certificate}};
  if (const auto issuer = swarm.issuer())
    out["CertIssuerSubject"] = base64(issuer->subject),
    out["CertIssuerPublicKey"] = base64(issuer->public_key);
  return out;
}

Json swarm_info(const SwarmNode* swarm) {
  if (!swarm || !swarm->active())
    return JsonObject{{"NodeID", ""},
                      {"NodeAddr", ""},
                      {"LocalNodeState", "inactive"},
                      {"ControlAvailable", false},
                      {"Error", ""},
                      {"RemoteManagers", nullptr}};
  JsonArray remotes;
  for (const auto& [id, address] : swarm->remote_managers())
    remotes.push_back(JsonObject{{"NodeID", id}, {"Addr", address}});
  JsonObject out{{"NodeID", swarm->node_id()},     {"NodeAddr", swarm->address()},
                 {"LocalNodeState", "active"},     {"ControlAvailable", swarm->manager() != nullptr},
                 {"Error", swarm->worker_error()}, {"RemoteManagers", remotes}};
  if (const ManagerPtr& m = swarm->manager()) {
    const Store& s = m->store();
    size_t managers = 0;
    for (const auto& [id, n] : s.nodes) managers += n.raft_id != 0;
    out["Nodes"] = s.nodes.size(), out["Managers"] = managers;
    out["Cluster"] = JsonObject{
        {"ID", s.cluster.meta.id},
        {"Version", JsonObject{{"Index", s.cluster.meta.version}}},
        {"CreatedAt", rfc3339(s.cluster.meta.created)},
        {"UpdatedAt", rfc3339(s.cluster.meta.updated)},
        {"Spec",
         JsonObject{{"Name", s.cluster.name},
                    {"Labels", to_json(s.cluster.labels)},
                    {"Orchestration", JsonObject{{"TaskHistoryRetentionLimit", s.cluster.task_history}}},
                    {"Raft", to_json(raft_settings())},
                    {"Dispatcher", JsonObject{{"HeartbeatPeriod", s.cluster.heartbeat_ns}}},
                    {"CAConfig", JsonObject{{"NodeCertExpiry", s.cluster.cert_expiry_ns}}},
                    {"TaskDefaults", JsonObject{}},
                    {"EncryptionConfig", JsonObject{{"AutoLockManagers", false}}}}},
        {"TLSInfo", tls_info(*swarm)},
        {"RootRotationInProgress", false},
        {"DefaultAddrPool", to_json(s.cluster.default_pool)},
        {"SubnetSize", s.cluster.subnet_size},
        {"DataPathPort", 4789}};
  }
  return out;
}

}  // namespace panal
