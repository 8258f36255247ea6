#include "store/rules.h"

namespace panal {

std::unexpected<Error> out_of_sequence() {
  return fail(Code::kInvalid, "rpc error: code = Unknown desc = update out of sequence");
}

Result<> check_ports(const Store& store, const std::string& service_id,
                     const std::vector<PortConfig>& ports) {
  const auto clash = [&](const std::vector<PortConfig>& theirs) -> const PortConfig* {
    for (const auto& t : theirs)
      for (const auto& p : ports)
        if (p.published && t.published == p.published && t.protocol == p.protocol &&
            (t.mode == "ingress" || p.mode == "ingress"))
          return &t;
    return nullptr;
  };
  for (const auto& [id, other] : store.services) {
    if (id == service_id) continue;
    const PortConfig* taken = clash(other.ports);
    if (!taken) taken = clash(other.spec.ports);  // asked for, not yet given
    if (taken)
      return fail(Code::kInvalid,
                  "rpc error: code = InvalidArgument desc = port '" + std::to_string(taken->published) +
                      "' is already in use by service '" + other.spec.name + "' (" + id + ") as " +
                      (taken->mode == "ingress" ? "an ingress" : "a host-published") + " port");
  }
  return {};
}

static Result<> name_is_free(const auto& table, const std::string& id, const std::string& name,
                             const auto& name_of_object, const std::string& text) {
  for (const auto& [other, object] : table)
    if (other != id && name_of_object(object) == name) return fail(Code::kConflict, text);
  return {};
}

Result<> admits(const Store& store, const Change& c) {
  if (!c.object) return {};
  const std::string exists = "rpc error: code = AlreadyExists desc = ";
  switch (c.kind) {
    case Kind::kNode: {
      const auto now = store.nodes.find(c.id);
      if (now == store.nodes.end() || now->second.spec.role != NodeRole::kManager ||
          std::get<Node>(*c.object).spec.role == NodeRole::kManager)
        return {};
      for (const auto& [id, other] : store.nodes)
        if (id != c.id && other.spec.role == NodeRole::kManager) return {};
      return fail(
          Code::kInvalid,
          "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm");
    }
    case Kind::kService: {
      const auto& s = std::get<Service>(*c.object);
      TRYV(name_is_free(
          store.services, c.id, s.spec.name, [](const Service& o) { return o.spec.name; },
          exists + "name conflicts with an existing object: service " + s.spec.name + " already exists"));
      return check_ports(store, c.id, s.spec.ports);
    }
    case Kind::kNetwork: {
      const std::string& name = std::get<ClusterNetwork>(*c.object).network.name;
      return name_is_free(
          store.networks, c.id, name, [](const ClusterNetwork& o) { return o.network.name; },
          "network with name " + name + " already exists");
    }
    case Kind::kSecret:
    case Kind::kConfig: {
      const std::string& name = std::get<SecretObject>(*c.object).name;
      return name_is_free(
          c.kind == Kind::kSecret ? store.secrets : store.configs, c.id, name,
          [](const SecretObject& o) { return o.name; },
          exists + std::string(panal::name_of(c.kind)) + " " + name + " already exists");
    }
    default:
      return {};
  }
}

}  // namespace panal
