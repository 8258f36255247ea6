// /swarm and /nodes.
#include <algorithm>

#include "api/api.h"
#include "api/body.h"
#include "api/cluster/swarm_parts.h"
#include "base/text.h"
#include "model/cluster_json.h"
#include "node/cluster/swarm_view.h"

namespace panal {

Task<Result<ManagerPtr>> manager_of(Api& api) {
  SwarmNode* node = api.parts().swarm;
  const ManagerPtr manager = node->manager();
  if (!manager) co_return std::unexpected(node->not_manager());
  CO_TRYV(co_await manager->catch_up());
  if (node->manager() != manager) co_return std::unexpected(node->not_manager());  // no more
  co_return manager;
}

Task<Result<>> user_write(Api& api, Manager& m, Kind kind, uint64_t version,
                          std::function<Result<Object>()> next) {
  for (int tries = 0;; ++tries) {
    CO_TRY(Object object, next());
    const Meta now = std::visit([](const auto& o) { return o.meta; }, object);
    if (version < now.asked || version > now.version) co_return out_of_sequence();
    Command command;
    command.time = api.parts().loop.wall_now();
    command.put(kind, std::move(object), now.version);
    auto done = co_await m.propose(std::move(command));
    if (done || done.error().message != out_of_sequence().error().message || tries == 20) co_return done;
    CO_TRYV(co_await m.catch_up());
  }
}

Result<uint64_t> version_of(const HttpRequest& request) {
  const auto n = parse_int(request.param("version"));
  if (!n || *n < 0)
    return fail(Code::kInvalid, "invalid version '" + request.param("version") +
                                    "': strconv.ParseUint: parsing \"" + request.param("version") +
                                    "\": invalid syntax");
  return static_cast<uint64_t>(*n);
}

Json meta_json(const Meta& m) {
  return JsonObject{{"ID", m.id},
                    {"Version", JsonObject{{"Index", m.version}}},
                    {"CreatedAt", rfc3339(m.created)},
                    {"UpdatedAt", rfc3339(m.updated)}};
}

// ---- /swarm

struct InitBody {
  std::string listen, advertise, data_path;
  uint32_t data_path_port = 0;
  std::vector<std::string> pools;
  int subnet_size = 0;
  bool force = false;
  std::string availability;
  Json spec;
};
template <class A>
void fields(A& a, InitBody& b) {
  a("ListenAddr", b.listen), a("AdvertiseAddr", b.advertise), a("DataPathAddr", b.data_path),
      a("DataPathPort", b.data_path_port), a("DefaultAddrPool", b.pools);
  a("SubnetSize", b.subnet_size), a("ForceNewCluster", b.force), a("Availability", b.availability),
      a("Spec", b.spec);
  a.refuse("AutoLockManagers");
}

struct OrchestrationPart {
  ClusterSettings& c;
};
template <class A>
void fields(A& a, OrchestrationPart& p) {
  a("TaskHistoryRetentionLimit", p.c.task_history);
}
struct DispatcherPart {
  ClusterSettings& c;
};
template <class A>
void fields(A& a, DispatcherPart& p) {
  a("HeartbeatPeriod", p.c.heartbeat_ns);
}
struct CaPart {
  ClusterSettings& c;
};
template <class A>
void fields(A& a, CaPart& p) {
  a("NodeCertExpiry", p.c.cert_expiry_ns);
  a.refuse("ExternalCAs"), a.refuse("SigningCACert"), a.refuse("SigningCAKey"), a.refuse("ForceRotate");
}
struct EncryptionPart {};
template <class A>
void fields(A& a, EncryptionPart&) {
  a.refuse("AutoLockManagers");
}
// Ours are fixed: what a client sends back as it read it is right, anything else would be ignored.
struct RaftPart {
  std::map<std::string, int64_t> given;
};
template <class A>
void fields(A& a, RaftPart& p) {
  for (const auto& [name, value] : raft_settings()) a(name, p.given[name]);
}
struct TaskDefaultsPart {};
template <class A>
void fields(A& a, TaskDefaultsPart&) {
  a.refuse("LogDriver");
}
struct SwarmSpecPart {
  ClusterSettings& c;
  RaftPart raft = {};
};
template <class A>
void fields(A& a, SwarmSpecPart& p) {
  OrchestrationPart orchestration{p.c};
  DispatcherPart dispatcher{p.c};
  CaPart ca{p.c};
  EncryptionPart encryption;
  TaskDefaultsPart defaults;
  a("Name", p.c.name), a("Labels", p.c.labels), a("Orchestration", orchestration),
      a("Dispatcher", dispatcher), a("CAConfig", ca), a("EncryptionConfig", encryption), a("Raft", p.raft),
      a("TaskDefaults", defaults);
}

static Result<> read_spec(const Json& json, ClusterSettings& settings) {
  if (json.is_null()) return {};
  std::optional<Error> error;
  if (!json.is_object()) return fail(Code::kInvalid, "invalid JSON: Spec must be an object");
  JsonReader reader(json.get_object(), "Spec", error);
  SwarmSpecPart part{settings};
  fields(reader, part);
  if (error) return std::unexpected(*error);
  for (const auto& [name, value] : raft_settings())
    if (const int64_t given = part.raft.given[name]; given != 0 && given != value)
      return fail(Code::kUnsupported,
                  "Spec.Raft." + name + " other than " + std::to_string(value) + " is not supported yet");
  if (settings.heartbeat_ns == 0) settings.heartbeat_ns = 5'000'000'000;
  if (settings.cert_expiry_ns == 0) settings.cert_expiry_ns = 7'776'000'000'000'000;
  if (settings.cert_expiry_ns < 3'600'000'000'000)
    return fail(Code::kInvalid,
                "rpc error: code = InvalidArgument desc = minimum certificate expiry time is: 1h0m0s");
  if (settings.name.empty()) settings.name = "default";
  return {};
}

static Task<Result<>> init(Api& api, Call& call) {
  CO_TRY(const Json json, co_await read_json(call));
  CO_TRY(const auto body, from_json<InitBody>(json));
  if (body.data_path_port != 0 && body.data_path_port != 4789)
    co_return fail(Code::kUnsupported, "DataPathPort other than 4789 is not supported yet");
  if (!body.data_path.empty()) co_return fail(Code::kUnsupported, "DataPathAddr is not supported yet");
  SwarmInit wish;
  if (!body.listen.empty())
    wish.listen = body.listen.find(':') == std::string::npos ? body.listen + ":2377" : body.listen;
  if (!wish.listen.ends_with(":2377"))
    co_return fail(Code::kUnsupported, "a management port other than 2377 is not supported yet");
  wish.advertise = body.advertise, wish.default_pool = body.pools, wish.force_new_cluster = body.force;
  if (body.subnet_size) wish.subnet_size = body.subnet_size;
  if (wish.subnet_size < 8 || wish.subnet_size > 29)
    co_return fail(Code::kInvalid, "subnet size must be between 8 and 29");
  if (!body.availability.empty() && !from_name(body.availability, wish.availability))
    co_return fail(Code::kInvalid, "invalid Availability: \"" + body.availability + "\"");
  CO_TRYV(read_spec(body.spec, wish.spec));
  CO_TRY(const std::string id, co_await api.parts().swarm->init(std::move(wish)));
  co_await call.http.reply(200, dump(Json(id)));
  co_return Result<>{};
}

struct JoinBody {
  std::string listen, advertise, data_path, token, availability;
  std::vector<std::string> remotes;
};
template <class A>
void fields(A& a, JoinBody& b) {
  a("ListenAddr", b.listen), a("AdvertiseAddr", b.advertise), a("DataPathAddr", b.data_path),
      a("RemoteAddrs", b.remotes), a("JoinToken", b.token), a("Availability", b.availability);
}

static Task<Result<>> join(Api& api, Call& call) {
  CO_TRY(const Json json, co_await read_json(call));
  CO_TRY(const auto body, from_json<JoinBody>(json));
  if (!body.data_path.empty()) co_return fail(Code::kUnsupported, "DataPathAddr is not supported yet");
  SwarmJoin wish;
  if (!body.listen.empty())
    wish.listen = body.listen.find(':') == std::string::npos ? body.listen + ":2377" : body.listen;
  if (!wish.listen.ends_with(":2377"))
    co_return fail(Code::kUnsupported, "a management port other than 2377 is not supported yet");
  wish.advertise = body.advertise, wish.token = body.token, wish.remotes = body.remotes;
  if (!body.availability.empty() && !from_name(body.availability, wish.availability))
    co_return fail(Code::kInvalid, "invalid Availability: \"" + body.availability + "\"");
  CO_TRYV(co_await api.parts().swarm->join(std::move(wish)));
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

static Task<Result<>> leave(Api& api, Call& call) {
  CO_TRYV(co_await api.parts().swarm->leave(call.request().flag("force")));
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

static Task<Result<>> inspect_swarm(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  (void)m;
  Json info = swarm_info(api.parts().swarm);
  Json out = info.get_object()["Cluster"];
  out.get_object()["JoinTokens"] = JsonObject{{"Worker", api.parts().swarm->join_token(NodeRole::kWorker)},
                                              {"Manager", api.parts().swarm->join_token(NodeRole::kManager)}};
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Task<Result<>> update_swarm(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const uint64_t version, version_of(call.request()));
  if (call.request().flag("rotateManagerUnlockKey"))
    co_return fail(Code::kUnsupported, "autolock is not supported yet");
  CO_TRY(const Json json, co_await read_json(call));
  const bool worker = call.request().flag("rotateWorkerToken"),
             manager = call.request().flag("rotateManagerToken");
  const auto next = [&]() -> Result<Object> {
    ClusterSettings settings = m->store().cluster;
    TRYV(read_spec(json, settings));
    if (worker) settings.worker_secret = api.parts().entropy.swarm_id();
    if (manager) settings.manager_secret = api.parts().entropy.swarm_id();
    return settings;
  };
  CO_TRYV(co_await user_write(api, *m, Kind::kCluster, version, next));
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

static Task<Result<>> refused(std::string what) {
  co_return fail(Code::kUnsupported, what + " is not supported yet");
}

// ---- /nodes

static Json node_json(const SwarmNode& swarm, const Manager& m, const Node& n) {
  Json out = meta_json(n.meta);
  auto& o = out.get_object();
  o["Spec"] = to_json(n.spec);
  const auto& d = n.description;
  const std::string architecture = d.architecture == "amd64"   ? "x86_64"
                                   : d.architecture == "arm64" ? "aarch64"
                                                               : d.architecture;
  JsonArray plugins{JsonObject{{"Type", "Network"}, {"Name", "bridge"}},
                    JsonObject{{"Type", "Network"}, {"Name", "overlay"}},
                    JsonObject{{"Type", "Volume"}, {"Name", "local"}},
                    JsonObject{{"Type", "Log"}, {"Name", "json-file"}}};
  o["Description"] =
      JsonObject{{"Hostname", d.hostname},
                 {"Platform", JsonObject{{"Architecture", architecture}, {"OS", d.os}}},
                 {"Resources", JsonObject{{"NanoCPUs", d.nano_cpus}, {"MemoryBytes", d.memory_bytes}}},
                 {"Engine", JsonObject{{"EngineVersion", d.engine_version},
                                       {"Labels", to_json(d.engine_labels)},
                                       {"Plugins", plugins}}},
                 {"TLSInfo", swarm.manager() ? tls_info(swarm) : Json(JsonObject{})}};
  o["Status"] = JsonObject{{"State", name_of(n.state)}, {"Addr", n.address}};
  if (!n.message.empty()) o["Status"].get_object()["Message"] = n.message;
  if (n.raft_id != 0) {
    const bool leader = const_cast<Manager&>(m).replica().leader_id() == n.raft_id;
    o["ManagerStatus"] = JsonObject{{"Reachability", leader || n.reachable ? "reachable" : "unreachable"},
                                    {"Addr", n.manager_address}};
    if (leader) o["ManagerStatus"].get_object()["Leader"] = true;
  }
  return out;
}

static Result<const Node*> find_node(Api& api, const Manager& m, const std::string& given) {
  const std::string name = given == "self" ? api.parts().swarm->node_id() : given;
  const Node* found = nullptr;
  int by_name = 0, by_prefix = 0;
  const Node* prefix = nullptr;
  for (const auto& [id, n] : m.store().nodes) {
    if (id == name) return &n;
    if (n.description.hostname == name || n.spec.name == name) found = &n, ++by_name;
    if (!name.empty() && id.starts_with(name)) prefix = &n, ++by_prefix;
  }
  if (by_name == 1) return found;
  if (by_name > 1)
    return fail(Code::kInvalid, "rpc error: code = Unknown desc = node " + name + " is ambiguous (" +
                                    std::to_string(by_name) + " matches found)");
  if (by_prefix == 1) return prefix;
  if (by_prefix > 1)
    return fail(Code::kInvalid, "rpc error: code = Unknown desc = node " + name + " is ambiguous (" +
                                    std::to_string(by_prefix) + " matches found)");
  return fail(Code::kNotFound, "node " + name + " not found");
}

static Task<Result<>> list_nodes(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const Filters f,
         Filters::parse(call.request(), {"id", "label", "node.label", "membership", "name", "role"}));
  NodeRole role;
  for (const auto& wanted : f.get("role"))
    if (!from_name(wanted, role))
      co_return fail(Code::kInvalid,
                     "rpc error: code = InvalidArgument desc = invalid role filter: \"" + wanted + "\"");
  JsonArray out;
  for (const auto& [id, n] : m->store().nodes) {
    const bool fits =
        f.any("id", [&, &key = id](const std::string& v) { return key.starts_with(v); }) &&
        f.any("name", [&](const std::string& v) { return n.description.hostname.starts_with(v); }) &&
        f.exact("role", std::string(name_of(n.spec.role))) && f.exact("membership", "accepted") &&
        f.labels("label", n.description.engine_labels) && f.labels("node.label", n.spec.labels);
    if (fits) out.push_back(node_json(*api.parts().swarm, *m, n));
  }
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Task<Result<>> inspect_node(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const Node* n, find_node(api, *m, call.arg()));
  co_await call.http.reply(200, dump(node_json(*api.parts().swarm, *m, *n)));
  co_return Result<>{};
}

static Task<Result<>> update_node(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const uint64_t version, version_of(call.request()));
  CO_TRY(const Json json, co_await read_json(call));
  CO_TRY(const auto spec, from_json<NodeSpec>(json));
  std::string id, name;
  const auto next = [&]() -> Result<Object> {
    TRY(const Node* found, find_node(api, *m, call.arg()));
    Node n = *found;
    id = n.meta.id, name = n.description.hostname;
    if (n.spec.role == NodeRole::kManager && spec.role == NodeRole::kWorker) TRYV(m->may_demote(n));
    n.spec = spec;
    return n;
  };
  CO_TRYV(co_await user_write(api, *m, Kind::kNode, version, next));
  api.parts().events.publish("node", "update", id, {{"name", name}}, "swarm");
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

static Task<Result<>> remove_node(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const Node* found, find_node(api, *m, call.arg()));
  const Node n = *found;
  const bool force = call.request().flag("force");
  if (n.raft_id != 0 && n.spec.role == NodeRole::kManager)
    co_return fail(Code::kInvalid, "rpc error: code = FailedPrecondition desc = node " + n.meta.id +
                                       " is a cluster manager and is a member of the raft cluster. It must "
                                       "be demoted to worker before removal");
  if (n.state == NodeState::kReady && !force)
    co_return fail(Code::kInvalid, "rpc error: code = FailedPrecondition desc = node " + n.meta.id +
                                       " is not down and can't be removed");
  Command command;
  command.time = api.parts().loop.wall_now();
  command.remove(Kind::kNode, n.meta.id);
  CO_TRYV(co_await m->propose(std::move(command)));
  api.parts().events.publish("node", "remove", n.meta.id, {{"name", n.description.hostname}}, "swarm");
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

void add_swarm_routes(Api& api) {
  api.route("GET", "/swarm", [&api](Call& c) { return inspect_swarm(api, c); });
  api.route("POST", "/swarm/init", [&api](Call& c) { return init(api, c); });
  api.route("POST", "/swarm/join", [&api](Call& c) { return join(api, c); });
  api.route("POST", "/swarm/leave", [&api](Call& c) { return leave(api, c); });
  api.route("POST", "/swarm/update", [&api](Call& c) { return update_swarm(api, c); });
  api.route("GET", "/swarm/unlockkey", [](Call&) { return refused("autolock"); });
  api.route("POST", "/swarm/unlock", [](Call&) { return refused("autolock"); });
  api.route("GET", "/nodes", [&api](Call& c) { return list_nodes(api, c); });
  api.route("GET", "/nodes/{}", [&api](Call& c) { return inspect_node(api, c); });
  api.route("POST", "/nodes/{}/update", [&api](Call& c) { return update_node(api, c); });
  api.route("DELETE", "/nodes/{}", [&api](Call& c) { return remove_node(api, c); });
}

}  // namespace panal
