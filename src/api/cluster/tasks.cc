// /tasks, /secrets, /configs.
#include <algorithm>

#include "api/api.h"
#include "api/body.h"
#include "api/cluster/swarm_parts.h"
#include "base/text.h"
#include "model/cluster_json.h"
#include "node/volumes/volumes.h"

namespace panal {

Result<const ClusterTask*> find_task(const Manager& m, const std::string& name) {
  const ClusterTask* prefix = nullptr;
  int matches = 0;
  for (const auto& [id, t] : m.store().tasks) {
    if (id == name) return &t;
    if (!name.empty() && id.starts_with(name)) prefix = &t, ++matches;
  }
  if (matches == 1) return prefix;
  if (matches > 1)
    return fail(Code::kInvalid, "rpc error: code = Unknown desc = task " + name + " is ambiguous (" +
                                    std::to_string(matches) + " matches found)");
  return fail(Code::kNotFound, "task " + name + " not found");
}

static Json task_json(const Manager& m, const ClusterTask& t) {
  Json out = meta_json(t.meta);
  auto& o = out.get_object();
  o["Labels"] = JsonObject{}, o["Spec"] = to_json(t.spec), o["ServiceID"] = t.service_id;
  if (t.slot) o["Slot"] = t.slot;
  if (!t.node_id.empty()) o["NodeID"] = t.node_id;
  JsonObject status{{"Timestamp", rfc3339(t.status.time)},
                    {"State", name_of(t.status.state)},
                    {"Message", t.status.message}};
  if (!t.status.error.empty()) status["Err"] = t.status.error;
  if (!t.status.container_id.empty())
    status["ContainerStatus"] = JsonObject{{"ContainerID", t.status.container_id},
                                           {"PID", t.status.pid},
                                           {"ExitCode", t.status.exit_code.value_or(0)}};
  JsonArray ports;
  for (const auto& p : t.status.ports) ports.push_back(to_json(p));
  status["PortStatus"] = ports.empty() ? Json(JsonObject{}) : Json(JsonObject{{"Ports", ports}});
  o["Status"] = status, o["DesiredState"] = name_of(t.desired);
  JsonArray attachments;
  for (const auto& n : t.networks) {
    const auto* network = m.store().network(n.network_id);
    JsonObject shown{{"ID", n.network_id}};
    if (network)
      shown["Spec"] = JsonObject{{"Name", network->network.name},
                                 {"Labels", to_json(network->network.labels)},
                                 {"Ingress", network->network.ingress},
                                 {"Scope", "swarm"},
                                 {"DriverConfiguration", JsonObject{{"Name", "overlay"}}}};
    attachments.push_back(JsonObject{{"Network", shown}, {"Addresses", JsonArray{Json(n.address)}}});
  }
  if (!attachments.empty()) o["NetworksAttachments"] = attachments;
  return out;
}

static Task<Result<>> list(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const Filters f, Filters::parse(call.request(), {"desired-state", "id", "label", "name", "node",
                                                          "service", "_up-to-date", "runtime"}));
  const auto service_fits = [&](const ClusterTask& t) {
    return f.any("service", [&](const std::string& v) {
      return t.service_id == v || t.service_name == v || t.service_id.starts_with(v);
    });
  };
  const auto node_fits = [&](const ClusterTask& t) {
    return f.any("node", [&](const std::string& given) {
      const std::string v = given == "self" ? api.parts().swarm->node_id() : given;
      const Node* n = m->store().node(t.node_id);
      return t.node_id == v || (n && n->description.hostname == v) ||
             (!v.empty() && t.node_id.starts_with(v));
    });
  };
  for (const auto& name : f.get("service")) CO_TRYV(find_service(*m, name));
  JsonArray out;
  for (const auto& [id, t] : m->store().tasks) {
    if (is_attachment(t)) continue;  // places of plain containers, which are nobody's tasks
    const Service* s = m->store().service(t.service_id);
    const std::string name = t.service_name + "." + (t.slot ? std::to_string(t.slot) : t.node_id) + "." + id;
    if (f.has("_up-to-date") && (!s || t.spec_version != s->spec_version)) continue;
    const bool state =
        !f.has("desired-state") || std::ranges::any_of(f.get("desired-state"), [&](const std::string& v) {
          if (v == "accepted")
            return t.desired == TaskState::kRunning && t.status.state < TaskState::kRunning;
          return name_of(t.desired) == v || (v == "shutdown" && t.desired == TaskState::kRemove);
        });
    if (state && service_fits(t) && node_fits(t) &&
        f.any("id", [&, &key = id](const std::string& v) { return key.starts_with(v); }) &&
        f.any("name", [&](const std::string& v) { return name.starts_with(v) || t.service_name == v; }))
      out.push_back(task_json(*m, t));
  }
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Task<Result<>> inspect(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const ClusterTask* t, find_task(*m, call.arg()));
  co_await call.http.reply(200, dump(task_json(*m, *t)));
  co_return Result<>{};
}

void add_task_routes(Api& api) {
  api.route("GET", "/tasks", [&api](Call& c) { return list(api, c); });
  api.route("GET", "/tasks/{}", [&api](Call& c) { return inspect(api, c); });
}

// ---- secrets and configs: the same object, but a secret's data never comes back

struct SecretKind {
  Kind kind;
  const char* word;
  size_t limit_bytes;
  const std::map<std::string, SecretObject>& table(const Store& s) const {
    return kind == Kind::kSecret ? s.secrets : s.configs;
  }
};
static constexpr SecretKind kSecrets{Kind::kSecret, "secret", 500 * 1024},
    kConfigs{Kind::kConfig, "config", 1000 * 1024};

struct SecretSpec {
  std::string name, data;
  Labels labels;
};
template <class A>
void fields(A& a, SecretSpec& s) {
  a("Name", s.name), a("Labels", s.labels), a("Data", s.data);
  a.refuse("Driver"), a.refuse("Templating");
}

static Json secret_json(const SecretKind& k, const SecretObject& s) {
  Json out = meta_json(s.meta);
  JsonObject spec{{"Name", s.name}, {"Labels", to_json(s.labels)}};
  if (k.kind == Kind::kConfig) spec["Data"] = base64(s.data);
  out.get_object()["Spec"] = spec;
  return out;
}

static Result<const SecretObject*> find(const SecretKind& k, const Store& store, const std::string& name) {
  const SecretObject* prefix = nullptr;
  int matches = 0;
  for (const auto& [id, s] : k.table(store)) {
    if (id == name || s.name == name) return &s;
    if (!name.empty() && id.starts_with(name)) prefix = &s, ++matches;
  }
  if (matches == 1) return prefix;
  return fail(Code::kNotFound, std::string(k.word) + " " + name + " not found");
}

static Task<Result<>> list_secrets(Api& api, Call& call, const SecretKind& k) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const Filters f, Filters::parse(call.request(), {"id", "label", "name", "names"}));
  JsonArray out;
  for (const auto& [id, s] : k.table(m->store())) {
    const bool fits = f.any("id", [&, &key = id](const std::string& v) { return key.starts_with(v); }) &&
                      f.any("name", [&](const std::string& v) { return s.name.starts_with(v); }) &&
                      f.exact("names", s.name) && f.labels("label", s.labels);
    if (fits) out.push_back(secret_json(k, s));
  }
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Task<Result<>> create_secret(Api& api, Call& call, const SecretKind& k) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const Json json, co_await read_json(call));
  CO_TRY(const auto spec, from_json<SecretSpec>(json));
  const auto data = unbase64(spec.data);
  if (!data) co_return fail(Code::kInvalid, "invalid JSON: Data must be base64");
  if (!valid_name(spec.name + "0") || spec.name.size() > 64)
    co_return fail(Code::kInvalid,
                   "rpc error: code = InvalidArgument desc = invalid name, only 64 [a-zA-Z0-9-_.] characters "
                   "allowed, and the start and end character must be [a-zA-Z0-9]");
  if (data->empty() || data->size() >= k.limit_bytes)
    co_return fail(Code::kInvalid, std::string("rpc error: code = InvalidArgument desc = ") + k.word +
                                       " data must be larger than 0 and less than " +
                                       std::to_string(k.limit_bytes) + " bytes");
  SecretObject s;
  s.meta.id = api.parts().entropy.swarm_id(), s.name = spec.name, s.data = *data, s.labels = spec.labels;
  const std::string id = s.meta.id;
  Command command;
  command.time = api.parts().loop.wall_now();
  command.put(k.kind, std::move(s), 0);
  CO_TRYV(co_await m->propose(std::move(command)));
  api.parts().events.publish(k.word, "create", id, {{"name", spec.name}}, "swarm");
  co_await call.http.reply(201, dump(JsonObject{{"ID", id}}));
  co_return Result<>{};
}

static Task<Result<>> inspect_secret(Api& api, Call& call, const SecretKind& k) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const SecretObject* s, find(k, m->store(), call.arg()));
  co_await call.http.reply(200, dump(secret_json(k, *s)));
  co_return Result<>{};
}

static Task<Result<>> remove_secret(Api& api, Call& call, const SecretKind& k) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const SecretObject* s, find(k, m->store(), call.arg()));
  const std::string id = s->meta.id, name = s->name;
  std::vector<std::string> users;
  for (const auto& [sid, service] : m->store().services) {
    const auto& refs =
        k.kind == Kind::kSecret ? service.spec.task.container.secrets : service.spec.task.container.configs;
    if (std::ranges::any_of(refs, [&](const NamedReference& r) { return r.id == id; }))
      users.push_back(service.spec.name);
  }
  if (!users.empty())
    co_return fail(Code::kInvalid, std::string("rpc error: code = InvalidArgument desc = ") + k.word + " '" +
                                       name + "' is in use by the following service" +
                                       (users.size() > 1 ? "s" : "") + ": " + panal::join(users, ", "));
  Command command;
  command.time = api.parts().loop.wall_now();
  command.remove(k.kind, id);
  CO_TRYV(co_await m->propose(std::move(command)));
  api.parts().events.publish(k.word, "remove", id, {{"name", name}}, "swarm");
  co_return Result<>{};
}

static Task<Result<>> update_secret(Api& api, Call& call, const SecretKind& k) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const uint64_t version, version_of(call.request()));
  CO_TRY(const Json json, co_await read_json(call));
  CO_TRY(const auto spec, from_json<SecretSpec>(json));
  std::string id;
  const auto next = [&]() -> Result<Object> {
    TRY(const SecretObject* found, find(k, m->store(), call.arg()));
    SecretObject s = *found;
    id = s.meta.id;
    const auto data = unbase64(spec.data);
    if (spec.name != s.name || (!spec.data.empty() && (!data || *data != s.data)))
      return fail(Code::kInvalid,
                  "rpc error: code = InvalidArgument desc = only updates to Labels are allowed");
    s.labels = spec.labels;
    return s;
  };
  CO_TRYV(co_await user_write(api, *m, k.kind, version, next));
  api.parts().events.publish(k.word, "update", id, {{"name", spec.name}}, "swarm");
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

void add_secret_routes(Api& api) {
  for (const SecretKind& k : {kSecrets, kConfigs}) {
    const std::string base = std::string("/") + k.word + "s";
    api.route("GET", base, [&api, k](Call& c) {
      return list_secrets(api, c, k.kind == Kind::kSecret ? kSecrets : kConfigs);
    });
    api.route("POST", base + "/create", [&api, k](Call& c) {
      return create_secret(api, c, k.kind == Kind::kSecret ? kSecrets : kConfigs);
    });
    api.route("GET", base + "/{}", [&api, k](Call& c) {
      return inspect_secret(api, c, k.kind == Kind::kSecret ? kSecrets : kConfigs);
    });
    api.route("DELETE", base + "/{}", [&api, k](Call& c) {
      return remove_secret(api, c, k.kind == Kind::kSecret ? kSecrets : kConfigs);
    });
    api.route("POST", base + "/{}/update", [&api, k](Call& c) {
      return update_secret(api, c, k.kind == Kind::kSecret ? kSecrets : kConfigs);
    });
  }
}

}  // namespace panal
