// Networks of this node, and of the cluster where there is one.
#include <algorithm>

#include "api/api.h"
#include "api/body.h"
#include "api/cluster/cluster_networks.h"
#include "model/image_json.h"
#include "network/bridge_options.h"

namespace panal {

struct IpamConfig {
  std::string driver;
  std::map<std::string, std::string> options;
  std::vector<Json> config;
};
template <class A>
void fields(A& a, IpamConfig& i) {
  a("Driver", i.driver), a("Options", i.options), a("Config", i.config);
}
template <class A>
void fields(A& a, NetworkWish& w) {
  a("Name", w.network.name), a("Driver", w.network.driver), a("Scope", w.scope),
      a("Internal", w.network.internal), a("Attachable", w.network.attachable);
  a("Ingress", w.network.ingress), a("EnableIPv4", w.enable_ipv4), a("EnableIPv6", w.enable_ipv6),
      a("Options", w.network.options), a("Labels", w.network.labels);
  a.refuse("ConfigOnly"), a.refuse("ConfigFrom");
}

static Json network_json(ApiParts& p, const Network& n, bool detailed) {
  JsonArray config;
  for (const auto& pool : n.pools) config.push_back(to_json(pool));
  JsonObject out{
      {"Name", n.name},
      {"Id", n.id},
      {"Created", rfc3339(n.created)},
      {"Scope", n.scope},
      {"Driver", n.driver},
      {"EnableIPv4", n.enable_ipv4},
      {"EnableIPv6", n.enable_ipv6},
      {"IPAM", JsonObject{{"Driver", "default"},
                          {"Options", n.ipam_options.empty() ? Json(nullptr) : to_json(n.ipam_options)},
                          {"Config", config}}},
      {"Internal", n.internal},
      {"Attachable", n.attachable},
      {"Ingress", n.ingress},
      {"ConfigFrom", JsonObject{{"Network", ""}}},
      {"ConfigOnly", false},
      {"Options", to_json(n.options)},
      {"Labels", to_json(n.labels)}};
  JsonObject containers;
  if (detailed)
    for (const auto& [id, m] : p.networks.members(n.id))
      containers[id] = JsonObject{{"Name", m.container_name},
                                  {"EndpointID", m.endpoint_id},
                                  {"MacAddress", m.mac},
                                  {"IPv4Address", m.address_cidr},
                                  {"IPv6Address", m.address6_cidr}};
  out["Containers"] = containers;
  return out;
}

static std::vector<Network> everything(ApiParts& p) {
  std::vector<Network> out = cluster_networks(p);
  for (const auto& [id, n] : p.networks.all())
    if (std::ranges::find(out, id, &Network::id) == out.end()) out.push_back(n);
  return out;
}

static Task<Result<>> list(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Filters f,
         Filters::parse(call.request(), {"dangling", "driver", "id", "label", "name", "scope", "type"}));
  CO_TRY(const auto dangling, f.boolean("dangling"));
  JsonArray out;
  for (const auto& n : everything(p)) {
    const bool predefined = n.name == "bridge" || n.name == "host" || n.name == "none";
    const bool fits = f.exact("driver", n.driver) && f.exact("scope", n.scope) &&
                      f.labels("label", n.labels) && f.matches("name", n.name) && f.matches("id", n.id) &&
                      f.any("type", [&](const std::string& v) { return (v == "builtin") == predefined; }) &&
                      (!dangling || *dangling == (p.networks.members(n.id).empty() && !predefined));
    if (fits) out.push_back(network_json(p, n, false));
  }
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Result<Network> find(ApiParts& p, const std::string& name, const std::string& scope) {
  const auto all = everything(p);
  for (const auto& n : all)
    if (n.id == name && (scope.empty() || n.scope == scope)) return n;
  for (const auto& n : all)
    if (n.name == name && (scope.empty() || n.scope == scope)) return n;
  std::vector<const Network*> by_prefix;
  for (const auto& n : all)
    if (n.id.starts_with(name) && (scope.empty() || n.scope == scope)) by_prefix.push_back(&n);
  if (by_prefix.size() == 1) return *by_prefix[0];
  if (by_prefix.empty()) return fail(Code::kNotFound, "network " + name + " not found");
  return fail(Code::kInvalid, "network " + name + " is ambiguous (" + std::to_string(by_prefix.size()) +
                                  " matches found on ID prefix)");
}

static Task<Result<>> inspect(Api& api, Call& call) {
  CO_TRY(const Network n, find(api.parts(), call.arg(), call.request().param("scope")));
  co_await call.http.reply(200, dump(network_json(api.parts(), n, true)));
  co_return Result<>{};
}

// A driver option says the same where the field is not there, and goes where it is.
static Result<bool> read_family(NetworkWish& wish, const char* option, std::optional<bool> field,
                                bool otherwise) {
  if (field) return wish.network.options.erase(option), *field;
  TRY(const auto given, family_option(wish.network.options, option));
  return given.value_or(otherwise);
}

static Task<Result<>> create(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Json json, co_await read_json(call));
  CO_TRY(auto wish, from_json<NetworkWish>(json));
  if (const Json* ipam = field_of(json.get_object(), "IPAM"); ipam && ipam->is_object()) {
    CO_TRY(const auto config, from_json<IpamConfig>(*ipam));
    if (!config.driver.empty() && config.driver != "default")
      co_return fail(Code::kUnsupported, "IPAM driver " + config.driver + " is not supported yet");
    wish.network.ipam_options = config.options;
    for (const auto& one : config.config) {
      CO_TRY(const auto pool, from_json<IpamPool>(one));
      wish.network.pools.push_back(pool);
    }
  }
  CO_TRY(wish.network.enable_ipv4,
         read_family(wish, "com.docker.network.enable_ipv4", wish.enable_ipv4, true));
  CO_TRY(wish.network.enable_ipv6,
         read_family(wish, "com.docker.network.enable_ipv6", wish.enable_ipv6, false));
  if (wish.network.ingress)
    co_return fail(Code::kUnsupported,
                   "creating an ingress network is not supported yet: the cluster makes it");
  std::string id;
  if (wish.network.driver == "overlay" || wish.scope == "swarm") {
    CO_TRY(id, co_await create_cluster_network(p, std::move(wish)));
  } else {
    CO_TRY(id, co_await p.networks.create(std::move(wish.network)));
  }
  co_await call.http.reply(201, dump(JsonObject{{"Id", id}, {"Warning", ""}}));
  co_return Result<>{};
}

static Task<Result<>> remove(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Network n, find(p, call.arg(), ""));
  if (n.scope == "swarm") co_return co_await remove_cluster_network(p, n.id);
  co_return co_await p.networks.remove(n.id);
}

struct ConnectBody {
  std::string container;
  std::optional<Endpoint> endpoint;
  bool force = false;
};
template <class A>
void fields(A& a, ConnectBody& b) {
  a("Container", b.container), a("EndpointConfig", b.endpoint), a("Force", b.force);
}

static Task<Result<>> connect(Api& api, Call& call) {
  CO_TRY(const Json json, co_await read_json(call));
  CO_TRY(const auto body, from_json<ConnectBody>(json));
  CO_TRY(const LivePtr live, api.parts().containers.find(body.container));
  CO_TRYV(co_await api.parts().containers.connect(live, call.arg(), body.endpoint.value_or(Endpoint{})));
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

static Task<Result<>> disconnect(Api& api, Call& call) {
  CO_TRY(const Json json, co_await read_json(call));
  CO_TRY(const auto body, from_json<ConnectBody>(json));
  CO_TRY(const LivePtr live, api.parts().containers.find(body.container));
  CO_TRYV(co_await api.parts().containers.disconnect(live, call.arg(), body.force));
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

static Task<Result<>> prune(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Filters f, Filters::parse(call.request(), {"label", "label!", "until"}));
  CO_TRY(const auto until, f.until(p.loop.wall_now()));
  std::vector<std::pair<std::string, std::string>> victims;
  for (const auto& [id, n] : p.networks.all()) {
    const bool predefined = n.name == "bridge" || n.name == "host" || n.name == "none";
    bool wanted = false;  // a stopped container keeps its network
    for (const auto& [cid, live] : p.containers.all()) wanted |= live->c.networks.contains(n.name);
    if (!predefined && !wanted && n.scope == "local" && p.networks.members(id).empty() &&
        f.prunes(n.labels) && (!until || n.created < *until))
      victims.emplace_back(id, n.name);
  }
  JsonArray deleted;
  for (const auto& [id, name] : victims) {
    auto done = co_await p.networks.remove(id);
    if (done) deleted.push_back(Json(name));
  }
  p.events.publish("network", "prune", "", {{"reclaimed", "0"}});
  co_await call.http.reply(
      200, dump(JsonObject{{"NetworksDeleted", deleted.empty() ? Json(nullptr) : Json(deleted)}}));
  co_return Result<>{};
}

void add_network_routes(Api& api) {
  for (const char* path : {"/networks", "/networks/"})
    api.route("GET", path, [&api](Call& c) { return list(api, c); });
  api.route("POST", "/networks/create", [&api](Call& c) { return create(api, c); });
  api.route("POST", "/networks/prune", [&api](Call& c) { return prune(api, c); });
  api.route("POST", "/networks/{}/connect", [&api](Call& c) { return connect(api, c); });
  api.route("POST", "/networks/{}/disconnect", [&api](Call& c) { return disconnect(api, c); });
  api.route("GET", "/networks/{}", [&api](Call& c) { return inspect(api, c); });
  api.route("DELETE", "/networks/{}", [&api](Call& c) { return remove(api, c); });
}

}  // namespace panal
