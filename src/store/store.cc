#include "store/store.h"

#include <array>

#include "model/cluster_json.h"
#include "store/rules.h"

namespace panal {

static constexpr std::array<std::string_view, 7> kKinds = {"node",   "service", "task",   "network",
                                                           "secret", "config",  "cluster"};
std::string_view name_of(Kind kind) { return kKinds[static_cast<size_t>(kind)]; }
bool from_name(std::string_view name, Kind& out) {
  for (size_t i = 0; i < kKinds.size(); ++i)
    if (kKinds[i] == name) {
      out = static_cast<Kind>(i);
      return true;
    }
  return false;
}

PANAL_RECORD_MEMBERS(Command);
PANAL_RECORD_MEMBERS(Store);

static Meta& meta(Object& object) {
  return std::visit([](auto& o) -> Meta& { return o.meta; }, object);
}

void Command::put(Kind kind, Object object, std::optional<uint64_t> base_version) {
  std::string id = meta(object).id;
  changes.push_back({kind, std::move(id), std::move(object), base_version});
}

void Command::remove(Kind kind, std::string id) {
  changes.push_back({kind, std::move(id), std::nullopt, std::nullopt});
}

std::string encode(const Command& command) {
  JsonArray changes;
  for (const auto& c : command.changes) {
    JsonObject change{{"kind", name_of(c.kind)}, {"id", c.id}};
    if (c.object) change["object"] = std::visit([](const auto& o) { return to_json(o); }, *c.object);
    if (c.base_version) change["base"] = *c.base_version;
    changes.push_back(std::move(change));
  }
  JsonObject out{{"time", command.time.time_since_epoch().count()}, {"changes", std::move(changes)}};
  if (command.base_index) out["base"] = *command.base_index;
  return dump(out);
}

static Result<Object> decode_object(Kind kind, const Json& json) {
  switch (kind) {
    case Kind::kNode: {
      TRY(auto o, from_json<Node>(json));
      return o;
    }
    case Kind::kService: {
      TRY(auto o, from_json<Service>(json));
      return o;
    }
    case Kind::kTask: {
      TRY(auto o, from_json<ClusterTask>(json));
      return o;
    }
    case Kind::kNetwork: {
      TRY(auto o, from_json<ClusterNetwork>(json));
      return o;
    }
    case Kind::kSecret:
    case Kind::kConfig: {
      TRY(auto o, from_json<SecretObject>(json));
      return o;
    }
    case Kind::kCluster: {
      TRY(auto o, from_json<ClusterSettings>(json));
      return o;
    }
  }
  return fail(Code::kInvalid, "unknown kind of object");
}

struct ChangeFields {
  Kind kind = Kind::kNode;
  std::string id;
  Json object;
  std::optional<uint64_t> base;
};
template <class A>
void fields(A& a, ChangeFields& c) {
  a("kind", c.kind), a("id", c.id), a("object", c.object), a("base", c.base);
}
struct CommandFields {
  int64_t time = 0;
  std::vector<ChangeFields> changes;
  std::optional<uint64_t> base;
};
template <class A>
void fields(A& a, CommandFields& c) {
  a("time", c.time), a("changes", c.changes), a("base", c.base);
}

Result<Command> decode_command(const std::string& bytes) {
  TRY(auto raw, from_text<CommandFields>(bytes));
  Command out;
  out.time = WallTime(Duration(raw.time)), out.base_index = raw.base;
  for (auto& c : raw.changes) {
    Change change{c.kind, c.id, std::nullopt, c.base};
    if (!c.object.is_null()) {
      TRY(change.object, decode_object(c.kind, c.object));
    }
    out.changes.push_back(std::move(change));
  }
  return out;
}

Meta* Store::meta_of(Kind kind, const std::string& id) {
  const auto in = [&](auto& table) -> Meta* {
    auto it = table.find(id);
    return it == table.end() ? nullptr : &it->second.meta;
  };
  switch (kind) {
    case Kind::kNode:
      return in(nodes);
    case Kind::kService:
      return in(services);
    case Kind::kTask:
      return in(tasks);
    case Kind::kNetwork:
      return in(networks);
    case Kind::kSecret:
      return in(secrets);
    case Kind::kConfig:
      return in(configs);
    case Kind::kCluster:
      return cluster.meta.id == id ? &cluster.meta : nullptr;
  }
  return nullptr;
}

Result<> Store::apply(uint64_t at, const Command& command) {
  const uint64_t before = std::exchange(index, at);
  if (command.base_index && *command.base_index != before)
    return fail(Code::kConflict, "the plan was overtaken by another write");
  for (const auto& c : command.changes) {
    if (!c.base_version) continue;
    const Meta* now = meta_of(c.kind, c.id);
    const uint64_t version = now ? now->version : 0;
    if (version != *c.base_version) return out_of_sequence();
    TRYV(admits(*this, c));
  }
  for (const auto& c : command.changes) {
    touched[c.kind].insert(c.id);
    const auto write = [&](auto& table) {
      using T = std::remove_reference_t<decltype(table)>::mapped_type;
      if (!c.object) {
        table.erase(c.id);
        return;
      }
      T object = std::get<T>(*c.object);
      const Meta* old = meta_of(c.kind, c.id);
      object.meta.created = old ? old->created : command.time, object.meta.born = old ? old->born : at;
      object.meta.updated = command.time, object.meta.version = at;
      object.meta.asked = c.base_version ? at : old ? old->asked : 0;
      table[c.id] = std::move(object);
    };
    switch (c.kind) {
      case Kind::kNode:
        write(nodes);
        break;
      case Kind::kService:
        write(services);
        break;
      case Kind::kTask:
        write(tasks);
        break;
      case Kind::kNetwork:
        write(networks);
        break;
      case Kind::kSecret:
        write(secrets);
        break;
      case Kind::kConfig:
        write(configs);
        break;
      case Kind::kCluster:
        if (c.object) {
          const WallTime created = cluster.meta.id.empty() ? command.time : cluster.meta.created;
          cluster = std::get<ClusterSettings>(*c.object);
          cluster.meta.created = created, cluster.meta.updated = command.time,
          cluster.meta.version = cluster.meta.asked = at;
        }
        break;
    }
  }
  return {};
}

struct Tables {
  Store& s;
};
template <class A>
void fields(A& a, Tables& t) {
  a("index", t.s.index), a("nodes", t.s.nodes), a("services", t.s.services), a("tasks", t.s.tasks),
      a("networks", t.s.networks);
  a("secrets", t.s.secrets), a("configs", t.s.configs), a("cluster", t.s.cluster);
}

std::string Store::snapshot() const {
  JsonObject out;
  JsonWriter writer(out);
  Tables tables{const_cast<Store&>(*this)};
  fields(writer, tables);
  return dump(out);
}

Result<> Store::restore(const std::string& data) {
  TRY(const Json json, parse_json(data));
  if (!json.is_object()) return fail(Code::kInternal, "snapshot is damaged");
  Store fresh;
  std::optional<Error> error;
  JsonReader reader(json.get_object(), "", error);
  Tables tables{fresh};
  fields(reader, tables);
  if (error) return fail(wrap("snapshot", *error));
  *this = std::move(fresh);
  for (const Kind kind : {Kind::kNode, Kind::kService, Kind::kTask, Kind::kNetwork, Kind::kSecret,
                          Kind::kConfig, Kind::kCluster})
    touched[kind].insert("*");
  return {};
}

uint64_t Store::hash() const {
  uint64_t h = 1469598103934665603ull;  // FNV-1a over the snapshot's text, which is in table order
  for (const char c : snapshot()) h = (h ^ static_cast<uint8_t>(c)) * 1099511628211ull;
  return h;
}

}  // namespace panal
