// /services.
#include <algorithm>

#include "api/api.h"
#include "api/body.h"
#include "api/cluster/swarm_parts.h"
#include "base/text.h"
#include "image/reference.h"
#include "image/registry.h"
#include "model/cluster_json.h"
#include "node/containers/create/names.h"
#include "node/volumes/volumes.h"
#include "swarm/allocator.h"
#include "swarm/constraint.h"
#include "swarm/update.h"

namespace panal {

Result<const Service*> find_service(const Manager& m, const std::string& name) {
  const Service* prefix = nullptr;
  int matches = 0;
  for (const auto& [id, s] : m.store().services) {
    if (id == name || s.spec.name == name) return &s;
    if (!name.empty() && id.starts_with(name)) prefix = &s, ++matches;
  }
  if (matches == 1) return prefix;
  if (matches > 1)
    return fail(Code::kInvalid, "rpc error: code = Unknown desc = service " + name + " is ambiguous (" +
                                    std::to_string(matches) + " matches found)");
  return fail(Code::kNotFound, "service " + name + " not found");
}

static std::unexpected<Error> invalid(const std::string& why) {
  return fail(Code::kInvalid, "rpc error: code = InvalidArgument desc = " + why);
}

static Result<> check_spec(ApiParts& parts, const Manager& m, const ServiceSpec& s,
                           const std::string& own_id) {
  if (s.name.empty()) return invalid("meta: name must be provided");
  if (!valid_dns_component(s.name)) return invalid("name must be valid as a DNS name component");
  const ContainerSpec& c = s.task.container;
  if (c.image.empty()) return invalid("ContainerSpec: image reference must be provided");
  if (auto ref = parse_tagged(c.image); !ref)
    return invalid("ContainerSpec: \"" + c.image + "\" is not a valid repository/tag");
  TRYV(parse_constraints(s.task.placement.constraints));
  if (!s.task.runtime.empty() && s.task.runtime != "container")
    return fail(Code::kUnsupported, "TaskTemplate.Runtime " + s.task.runtime + " is not supported yet");
  for (const auto& p : s.task.placement.spread)
    if (!p.starts_with("node.labels.") && !p.starts_with("engine.labels."))
      return invalid("invalid spread descriptor " + p);
  for (const auto* l : {&s.task.limits, &s.task.reservations}) {
    if (l->nano_cpus < 0 || (l->nano_cpus > 0 && l->nano_cpus < 1'000'000))
      return invalid("invalid cpu value " + std::to_string(static_cast<double>(l->nano_cpus) / 1e9) +
                     ": Must be at least 0.001");
    if (l->memory_bytes < 0 || (l->memory_bytes > 0 && l->memory_bytes < 4 << 20))
      return invalid("invalid memory value " + std::to_string(l->memory_bytes) + ": Must be at least 4MiB");
  }
  const auto& condition = s.task.restart.condition;
  if (condition != "any" && condition != "none" && condition != "on-failure" && !condition.empty())
    return invalid("invalid restart condition " + condition);
  for (const auto& u : {s.update, s.rollback}) {
    if (!u) continue;
    if (u->order != "stop-first" && u->order != "start-first" && !u->order.empty())
      return invalid("invalid update order: \"" + u->order + "\"");
    const auto& f = u->failure_action;
    if (f != "pause" && f != "continue" && f != "rollback" && !f.empty())
      return invalid("unrecognized update failure action " + f);
    if (u->max_failure_ratio < 0 || u->max_failure_ratio > 1)
      return invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1");
    if (u->delay < 0 || u->monitor < 0) return invalid("TaskSpec: update-delay cannot be negative");
  }
  if (s.rollback && s.rollback->failure_action == "rollback")
    return invalid("rollback failure action cannot be rollback");
  if (s.endpoint_mode != "vip" && s.endpoint_mode != "dnsrr")
    return invalid("invalid endpoint mode " + s.endpoint_mode);
  std::set<std::pair<std::string, uint32_t>> seen;
  for (const auto& p : s.ports) {
    if (p.target == 0 || p.target > 65535 || p.published > 65535) return invalid("invalid port number");
    if (p.protocol != "tcp" && p.protocol != "udp")
      return fail(Code::kUnsupported, "publishing " + p.protocol + " ports is not supported yet");
    if (p.mode != "ingress" && p.mode != "host") return invalid("invalid publish mode " + p.mode);
    if (p.mode == "ingress" && s.endpoint_mode == "dnsrr")
      return invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode");
    if (p.published && !seen.insert({p.protocol, p.published}).second)
      return invalid("EndpointSpec: duplicate published ports provided");
  }
  TRYV(check_ports(m.store(), own_id, s.ports));
  for (const auto& platform : s.task.placement.platforms)
    if (platform.architecture.size() > 64 || platform.os.size() > 64) return invalid("invalid platform");
  const auto names_network = [&](const std::string& target) {
    return m.store().network(target) || std::ranges::any_of(m.store().networks, [&](const auto& n) {
             return n.second.network.name == target;
           });
  };
  for (const auto& n : s.task.networks)
    if (!names_network(n.target)) {
      if (const auto local = parts.networks.find(n.target))
        return fail(Code::kForbidden, "The network " + (*local)->name +
                                          " cannot be used with services. Only networks scoped to the swarm "
                                          "can be used, such as those created with the overlay driver.");
      return fail(Code::kNotFound, "network " + n.target + " not found");
    }
  for (const auto& r : c.secrets)
    if (!m.store().secrets.contains(r.id)) return invalid("secret " + r.name + " not found");
  for (const auto& r : c.configs)
    if (!m.store().configs.contains(r.id)) return invalid("config " + r.name + " not found");
  for (const auto& mount : c.mounts) {
    if (mount.target.empty())
      return invalid("invalid mount target, must be an absolute path: " + mount.target);
    if (mount.type == "bind" && (mount.source.empty() || mount.source[0] != '/'))
      return invalid("invalid bind mount source, must be an absolute path: " + mount.source);
  }
  return {};
}

static void fill_defaults(ServiceSpec& s) {
  if (s.task.restart.condition.empty()) s.task.restart.condition = "any";
  if (s.task.runtime.empty()) s.task.runtime = "container";
  for (auto* u : {&s.update, &s.rollback}) {
    if (!*u) continue;
    if ((*u)->order.empty()) (*u)->order = "stop-first";
    if ((*u)->failure_action.empty()) (*u)->failure_action = "pause";
  }
  for (auto& p : s.ports) {
    if (p.protocol.empty()) p.protocol = "tcp";
    if (p.mode.empty()) p.mode = "ingress";
  }
  if (s.endpoint_mode.empty()) s.endpoint_mode = "vip";
}

// What holds where the spec says nothing: shown to those who ask for it, never stored.
static ServiceSpec with_defaults(ServiceSpec s) {
  if (!s.update) s.update.emplace();
  if (!s.rollback) s.rollback.emplace();
  auto& c = s.task.container;
  if (!c.stop_grace_period) c.stop_grace_period = 10'000'000'000;
  return s;
}

static Json service_json(const Manager& m, const Service& s, bool status, bool defaults = false) {
  Json out = meta_json(s.meta);
  auto& o = out.get_object();
  o["Spec"] = to_json(defaults ? with_defaults(s.spec) : s.spec);
  if (s.previous) o["PreviousSpec"] = to_json(*s.previous);
  JsonObject endpoint;
  endpoint["Spec"] = JsonObject{{"Mode", s.spec.endpoint_mode}, {"Ports", to_json(s.spec.ports)}};
  if (!s.ports.empty()) endpoint["Ports"] = to_json(s.ports);
  JsonArray vips;
  for (const auto& v : s.vips) vips.push_back(JsonObject{{"NetworkID", v.network_id}, {"Addr", v.address}});
  if (!vips.empty()) endpoint["VirtualIPs"] = vips;
  o["Endpoint"] = endpoint;
  if (s.update) {
    JsonObject u{{"State", s.update->state},
                 {"StartedAt", rfc3339(s.update->started)},
                 {"Message", s.update->message}};
    if (s.update->completed != WallTime{}) u["CompletedAt"] = rfc3339(s.update->completed);
    o["UpdateStatus"] = u;
  }
  if (status) {
    uint64_t running = 0, desired = 0;
    for (const auto& [id, t] : m.store().tasks) {
      if (t.service_id != s.meta.id) continue;
      const Node* n = m.store().node(t.node_id);
      running += t.status.state == TaskState::kRunning && t.desired == TaskState::kRunning && n &&
                 n->state == NodeState::kReady;
      desired += t.desired == TaskState::kRunning && s.spec.mode == ServiceMode::kGlobal &&
                 !terminal(t.status.state);
    }
    if (s.spec.mode == ServiceMode::kReplicated) desired = s.spec.replicas;
    o["ServiceStatus"] =
        JsonObject{{"RunningTasks", running}, {"DesiredTasks", desired}, {"CompletedTasks", 0}};
  }
  return out;
}

static Task<Result<>> list(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const Filters f, Filters::parse(call.request(), {"id", "label", "mode", "name", "runtime"}));
  JsonArray out;
  for (const auto& [id, s] : m->store().services) {
    const bool fits = f.any("id", [&, &key = id](const std::string& v) { return key.starts_with(v); }) &&
                      f.any("name", [&](const std::string& v) { return s.spec.name.starts_with(v); }) &&
                      f.exact("mode", s.spec.mode == ServiceMode::kGlobal ? "global" : "replicated") &&
                      f.labels("label", s.spec.labels);
    if (fits) out.push_back(service_json(*m, s, call.request().flag("status")));
  }
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Task<Result<>> inspect(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const Service* s, find_service(*m, call.arg()));
  co_await call.http.reply(200, dump(service_json(*m, *s, false, call.request().flag("insertDefaults"))));
  co_return Result<>{};
}

static Result<std::string> checked_auth(const Call& call) {
  const std::string header = call.request().header("x-registry-auth");
  TRY(const RegistryAuth auth, parse_registry_auth(header));
  return auth.empty() ? std::string() : header;
}

// dockerd looks for the digest only where the client is too old to do so.
static bool pins_itself(const HttpRequest& request) {
  const auto parts = split(request.api_version, '.');
  const auto minor = parts.size() == 2 && parts[0] == "1" ? parse_int(parts[1]) : std::nullopt;
  return minor && *minor < 30;
}

static Task<Result<>> create(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const Json json, co_await read_json(call));
  CO_TRY(auto spec, from_json<ServiceSpec>(json));
  fill_defaults(spec);
  if (spec.name.empty())
    spec.name = random_name(api.parts().entropy, [&m](const std::string& n) {
      return std::ranges::any_of(m->store().services, [&](const auto& s) { return s.second.spec.name == n; });
    });
  CO_TRYV(check_spec(api.parts(), *m, spec, ""));
  Service s;
  s.meta.id = api.parts().entropy.swarm_id(), s.spec = std::move(spec), s.spec_version = 1;
  CO_TRY(s.registry_auth, checked_auth(call));
  const std::string id = s.meta.id, name = s.spec.name;
  JsonArray warnings;
  if (pins_itself(call.request()))
    if (const std::string warning =
            co_await pin_image(api.parts(), s.spec.task.container.image, s.registry_auth);
        !warning.empty())
      warnings.push_back(Json(warning));
  Command command;
  command.time = api.parts().loop.wall_now();
  command.put(Kind::kService, std::move(s), 0);
  CO_TRYV(co_await m->propose(std::move(command)));
  api.parts().events.publish("service", "create", id, {{"name", name}}, "swarm");
  co_await call.http.reply(
      201, dump(JsonObject{{"ID", id}, {"Warnings", warnings.empty() ? Json(nullptr) : Json(warnings)}}));
  co_return Result<>{};
}

static Task<Result<>> update(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const uint64_t version, version_of(call.request()));
  CO_TRY(const Json json, co_await read_json(call));
  const std::string rollback = call.request().param("rollback");
  const bool back = rollback == "previous";
  if (!rollback.empty() && !back) co_return fail(Code::kInvalid, "unrecognized rollback option " + rollback);
  CO_TRY(const std::string auth, checked_auth(call));
  const std::string auth_from = call.request().param("registryAuthFrom", "spec");
  if (auth_from != "spec" && auth_from != "previous-spec")
    co_return fail(Code::kInvalid, "unsupported registryAuthFrom value");
  std::string id, name;
  const auto next = [&]() -> Result<Object> {
    TRY(const Service* found, find_service(*m, call.arg()));
    Service s = *found;
    id = s.meta.id, name = s.spec.name;
    ServiceSpec spec;
    if (back) {
      if (!s.previous)
        return fail(Code::kInvalid, "rpc error: code = FailedPrecondition desc = service " + name +
                                        " does not have a previous spec");
      spec = *s.previous;
    } else {
      TRY(spec, from_json<ServiceSpec>(json));
      fill_defaults(spec);
      if (spec.name != name) return invalid("renaming services is not supported");
      if (spec.mode != s.spec.mode) return invalid("service mode change is not allowed");
    }
    TRYV(check_spec(api.parts(), *m, spec, id));
    const std::string older = s.previous_auth;
    change_spec(s, std::move(spec), back, api.parts().loop.wall_now());
    if (!auth.empty())
      s.registry_auth = auth;
    else if (auth_from == "previous-spec")
      s.registry_auth = older;
    return s;
  };
  CO_TRYV(co_await user_write(api, *m, Kind::kService, version, next));
  api.parts().events.publish("service", "update", id, {{"name", name}}, "swarm");
  co_await call.http.reply(200, dump(JsonObject{{"Warnings", nullptr}}));
  co_return Result<>{};
}

static Task<Result<>> remove(Api& api, Call& call) {
  CO_TRY(const ManagerPtr m, co_await manager_of(api));
  CO_TRY(const Service* s, find_service(*m, call.arg()));
  const std::string id = s->meta.id, name = s->spec.name;
  Command command;
  command.time = api.parts().loop.wall_now();
  command.remove(Kind::kService, id);
  CO_TRYV(co_await m->propose(std::move(command)));
  api.parts().events.publish("service", "remove", id, {{"name", name}}, "swarm");
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

void add_service_routes(Api& api) {
  api.route("GET", "/services", [&api](Call& c) { return list(api, c); });
  api.route("POST", "/services/create", [&api](Call& c) { return create(api, c); });
  api.route("GET", "/services/{}", [&api](Call& c) { return inspect(api, c); });
  api.route("POST", "/services/{}/update", [&api](Call& c) { return update(api, c); });
  api.route("DELETE", "/services/{}", [&api](Call& c) { return remove(api, c); });
  add_task_routes(api);
  add_secret_routes(api);
  add_service_log_routes(api);
}

}  // namespace panal
