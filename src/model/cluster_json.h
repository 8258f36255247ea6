// JSON of model/cluster.h: specs with the specification's names (they are also what is stored), the rest with
// Panal's. Include in .cc files only.
#pragma once
#include "base/text.h"
#include "model/cluster.h"
#include "model/image_json.h"

namespace panal {

template <class A>
void fields(A& a, NodeSpec& s) {
  a.opt("Name", s.name), a("Labels", s.labels), a("Role", s.role), a("Availability", s.availability);
}

struct FileTarget {
  NamedReference& r;
};
template <class A>
void fields(A& a, FileTarget& t) {
  a("Name", t.r.file_name), a("UID", t.r.uid), a("GID", t.r.gid), a("Mode", t.r.mode);
}
struct SecretReference : NamedReference {};
template <class A>
void fields(A& a, SecretReference& r) {
  FileTarget file{r};
  a("File", file), a("SecretID", r.id), a("SecretName", r.name);
}
struct ConfigReference : NamedReference {};
template <class A>
void fields(A& a, ConfigReference& r) {
  FileTarget file{r};
  a("File", file), a("ConfigID", r.id), a("ConfigName", r.name);
  a.refuse("Runtime");
}
/// Reads or writes a list of references under the names of one kind.
template <class R, class A>
void references(A& a, std::string_view key, std::vector<NamedReference>& list) {
  std::vector<R> typed;
  for (auto& r : list) typed.push_back(R{r});
  a.opt(key, typed);
  list.assign(typed.begin(), typed.end());
}

struct DnsPart {
  ContainerSpec& c;
};
template <class A>
void fields(A& a, DnsPart& d) {
  a.opt("Nameservers", d.c.dns), a.opt("Search", d.c.dns_search), a.opt("Options", d.c.dns_options);
}

template <class A>
void fields(A& a, ContainerSpec& c) {
  DnsPart dns{c};
  a("Image", c.image), a.opt("Labels", c.labels), a.opt("Command", c.command), a.opt("Args", c.args),
      a.opt("Hostname", c.hostname), a.opt("Env", c.env);
  a.opt("Dir", c.dir), a.opt("User", c.user), a.opt("Groups", c.groups), a.opt("TTY", c.tty),
      a.opt("OpenStdin", c.open_stdin), a.opt("ReadOnly", c.read_only);
  a.opt("Mounts", c.mounts), a.opt("StopSignal", c.stop_signal),
      a.opt("StopGracePeriod", c.stop_grace_period), a.opt("Healthcheck", c.health), a.opt("Hosts", c.hosts);
  a.opt("DNSConfig", dns), references<SecretReference>(a, "Secrets", c.secrets),
      references<ConfigReference>(a, "Configs", c.configs);
  a.opt("Isolation", c.isolation), a.opt("Init", c.init), a.opt("Sysctls", c.sysctls),
      a.opt("CapabilityAdd", c.cap_add), a.opt("CapabilityDrop", c.cap_drop), a.opt("Ulimits", c.ulimits);
  a.refuse("Privileges"), a.refuse("OomScoreAdj");
}

struct LimitPart {
  ResourceLimits& l;
};
template <class A>
void fields(A& a, LimitPart& p) {
  a.opt("NanoCPUs", p.l.nano_cpus), a.opt("MemoryBytes", p.l.memory_bytes), a.opt("Pids", p.l.pids);
  a.refuse("GenericResources");
}
struct ResourcePart {
  TaskSpec& t;
};
template <class A>
void fields(A& a, ResourcePart& p) {
  LimitPart limits{p.t.limits}, reservations{p.t.reservations};
  a.opt("Limits", limits), a.opt("Reservations", reservations);
  a.refuse("SwapBytes"), a.refuse("MemorySwappiness");
}
template <class A>
void fields(A& a, TaskRestartPolicy& r) {
  a("Condition", r.condition), a("Delay", r.delay), a("MaxAttempts", r.max_attempts), a("Window", r.window);
}
struct SpreadOver {
  std::string descriptor;
};
template <class A>
void fields(A& a, SpreadOver& s) {
  a("SpreadDescriptor", s.descriptor);
}
struct Preference {
  SpreadOver spread;
};
template <class A>
void fields(A& a, Preference& p) {
  a("Spread", p.spread);
}
template <class A>
void fields(A& a, Platform& p) {
  a.opt("Architecture", p.architecture), a.opt("OS", p.os);
}
template <class A>
void fields(A& a, Placement& p) {
  std::vector<Preference> preferences;
  for (auto& s : p.spread) preferences.push_back({{s}});
  a.opt("Constraints", p.constraints), a.opt("Preferences", preferences),
      a.opt("MaxReplicas", p.max_replicas), a.opt("Platforms", p.platforms);
  p.spread.clear();
  for (auto& s : preferences) p.spread.push_back(s.spread.descriptor);
}
template <class A>
void fields(A& a, NetworkAttachment& n) {
  a("Target", n.target), a.opt("Aliases", n.aliases);
  a.refuse("DriverOpts");
}
template <class A>
void fields(A& a, LogDriver& l) {
  a("Name", l.name), a.opt("Options", l.options);
}
template <class A>
void fields(A& a, TaskSpec& t) {
  ResourcePart resources{t};
  a("ContainerSpec", t.container), a("Resources", resources), a("RestartPolicy", t.restart),
      a("Placement", t.placement), a("ForceUpdate", t.force_update);
  a.opt("Networks", t.networks), a.opt("LogDriver", t.log_driver), a.opt("Runtime", t.runtime);
  a.refuse("PluginSpec"), a.refuse("NetworkAttachmentSpec");
}
template <class A>
void fields(A& a, UpdateConfig& u) {
  a("Parallelism", u.parallelism), a.opt("Delay", u.delay), a("FailureAction", u.failure_action),
      a("Monitor", u.monitor), a("MaxFailureRatio", u.max_failure_ratio), a("Order", u.order);
}
template <class A>
void fields(A& a, PortConfig& p) {
  a.opt("Name", p.name), a("Protocol", p.protocol), a("TargetPort", p.target),
      a.opt("PublishedPort", p.published), a("PublishMode", p.mode);
}
struct ReplicatedPart {
  std::optional<uint64_t> replicas;
};
template <class A>
void fields(A& a, ReplicatedPart& r) {
  a("Replicas", r.replicas);
}
struct ModePart {
  std::optional<ReplicatedPart> replicated;
  std::optional<Empty> global;
};
template <class A>
void fields(A& a, ModePart& m) {
  if constexpr (A::kReading) {
    a("Replicated", m.replicated), a("Global", m.global);
  } else {
    if (m.replicated) a("Replicated", m.replicated);
    if (m.global) a("Global", m.global);
  }
  a.refuse("ReplicatedJob"), a.refuse("GlobalJob");
}
struct EndpointPart {
  ServiceSpec& s;
};
template <class A>
void fields(A& a, EndpointPart& e) {
  a("Mode", e.s.endpoint_mode), a.opt("Ports", e.s.ports);
}
template <class A>
void fields(A& a, ServiceSpec& s) {
  EndpointPart endpoint{s};
  ModePart mode;
  if (A::kReading)
    mode = {};
  else if (s.mode == ServiceMode::kGlobal)
    mode.global.emplace();
  else
    mode.replicated = ReplicatedPart{s.replicas};
  a("Name", s.name), a("Labels", s.labels), a("TaskTemplate", s.task), a("Mode", mode),
      a.opt("UpdateConfig", s.update), a.opt("RollbackConfig", s.rollback), a("EndpointSpec", endpoint);
  if constexpr (A::kReading) {
    s.mode = mode.global && !mode.replicated ? ServiceMode::kGlobal : ServiceMode::kReplicated;
    if (s.mode == ServiceMode::kReplicated)
      s.replicas = mode.replicated ? mode.replicated->replicas.value_or(1) : 1;
    std::vector<NetworkAttachment> old;  // before API 1.29
    a("Networks", old);
    if (s.task.networks.empty()) s.task.networks = old;
  }
}
template <class A>
void fields(A& a, UpdateStatus& u) {
  a("State", u.state), a("Message", u.message), time_field(a, "StartedAt", u.started),
      time_field(a, "CompletedAt", u.completed);
}
template <class A>
void fields(A& a, VirtualIp& v) {
  a("NetworkID", v.network_id), a("Addr", v.address);
}

// ---- stored objects

template <class A>
void fields(A& a, Meta& m) {
  a("ID", m.id), a("Version", m.version), a("Asked", m.asked), a("Born", m.born),
      time_field(a, "Created", m.created), time_field(a, "Updated", m.updated);
}
template <class A>
void fields(A& a, NodeDescription& d) {
  a("Hostname", d.hostname), a("Architecture", d.architecture), a("OS", d.os),
      a("EngineVersion", d.engine_version), a("NanoCPUs", d.nano_cpus);
  a("MemoryBytes", d.memory_bytes), a("EngineLabels", d.engine_labels);
}
template <class A>
void fields(A& a, Node& n) {
  a("Meta", n.meta), a("Spec", n.spec), a("Description", n.description), a("State", n.state),
      a("Message", n.message), a("Address", n.address);
  a("RaftID", n.raft_id), a("ManagerAddress", n.manager_address), a("Reachable", n.reachable),
      a("MeshIndex", n.mesh_index), a("MeshAddress", n.mesh_address);
}
template <class A>
void fields(A& a, Service& s) {
  a("Meta", s.meta), a("Spec", s.spec), a.opt("Previous", s.previous), a.opt("RegistryAuth", s.registry_auth),
      a.opt("PreviousAuth", s.previous_auth), a("SpecVersion", s.spec_version), a("VIPs", s.vips),
      a("Ports", s.ports), a.opt("Update", s.update);
}
template <class A>
void fields(A& a, TaskStatus& s) {
  a("State", s.state), time_field(a, "Time", s.time), a("Message", s.message), a.opt("Error", s.error),
      a.opt("ContainerID", s.container_id), a.opt("PID", s.pid);
  if (A::kReading || s.exit_code) a("ExitCode", s.exit_code);
  a("Healthy", s.healthy), a.opt("Ports", s.ports);
}
template <class A>
void fields(A& a, TaskNetwork& n) {
  a("NetworkID", n.network_id), a("Address", n.address), a.opt("Aliases", n.aliases);
}
template <class A>
void fields(A& a, ClusterTask& t) {
  a("Meta", t.meta), a("ServiceID", t.service_id), a("ServiceName", t.service_name), a("NodeID", t.node_id),
      a.opt("RegistryAuth", t.registry_auth), a("Slot", t.slot), a("Spec", t.spec),
      a("SpecVersion", t.spec_version), a("Status", t.status), a("Desired", t.desired),
      a.opt("Networks", t.networks), a.opt("Ports", t.ports), time_field(a, "NotBefore", t.not_before),
      a.opt("Attempt", t.attempt), a("Serving", t.serving), time_field(a, "CameUp", t.came_up),
      time_field(a, "Turn", t.turn);
}
template <class A>
void fields(A& a, ClusterNetwork& n) {
  a("Meta", n.meta), a("Network", n.network), a("Vni", n.vni);
}
template <class A>
void base64_field(A& a, std::string_view key, std::string& bytes) {
  std::string text = base64(bytes);
  a(key, text);
  bytes = unbase64(text).value_or("");
}
template <class A>
void fields(A& a, SecretObject& s) {
  a("Meta", s.meta), a("Name", s.name), base64_field(a, "Data", s.data), a("Labels", s.labels);
}
template <class A>
void fields(A& a, ClusterSettings& c) {
  a("Meta", c.meta), a("Name", c.name), a("Labels", c.labels), a("TaskHistory", c.task_history),
      a("Heartbeat", c.heartbeat_ns), a("CertExpiry", c.cert_expiry_ns);
  a("WorkerSecret", c.worker_secret), a("ManagerSecret", c.manager_secret),
      a("CACertificate", c.ca_certificate), a("CAKey", c.ca_key);
  a("DefaultPool", c.default_pool), a("SubnetSize", c.subnet_size);
}

PANAL_JSON(extern, NodeSpec)
PANAL_JSON(extern, ContainerSpec)
PANAL_JSON(extern, Placement)
PANAL_JSON(extern, TaskSpec)
PANAL_JSON(extern, PortConfig)
PANAL_JSON(extern, ServiceSpec)
PANAL_JSON(extern, TaskStatus)
PANAL_JSON(extern, Node)
PANAL_JSON(extern, Service)
PANAL_JSON(extern, ClusterTask)
PANAL_JSON(extern, ClusterNetwork)
PANAL_JSON(extern, SecretObject)
PANAL_JSON(extern, ClusterSettings)

}  // namespace panal
