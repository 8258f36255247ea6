// Volumes.
#include "api/api.h"
#include "api/body.h"
#include "base/text.h"

namespace panal {

struct VolumeWish {
  std::string name, driver;
  std::map<std::string, std::string> options, labels;
};
template <class A>
void fields(A& a, VolumeWish& w) {
  a("Name", w.name), a("Driver", w.driver), a("DriverOpts", w.options), a("Labels", w.labels);
  a.refuse("ClusterVolumeSpec");
}

static Json volume_json(const Volume& v) {
  return JsonObject{{"CreatedAt", rfc3339(v.created)},
                    {"Driver", v.driver},
                    {"Labels", v.labels.empty() ? Json(nullptr) : to_json(v.labels)},
                    {"Mountpoint", v.mountpoint},
                    {"Name", v.name},
                    {"Options", v.options.empty() ? Json(nullptr) : to_json(v.options)},
                    {"Scope", "local"}};
}

static Task<Result<>> list(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Filters f, Filters::parse(call.request(), {"dangling", "driver", "label", "name"}));
  CO_TRY(const auto dangling, f.boolean("dangling"));
  JsonArray out;
  for (const auto& [name, v] : p.volumes.all()) {
    const bool fits = f.exact("driver", v.driver) && f.labels("label", v.labels) && f.matches("name", name) &&
                      (!dangling || *dangling == p.containers.users_of_volume(name).empty());
    if (fits) out.push_back(volume_json(v));
  }
  co_await call.http.reply(200, dump(JsonObject{{"Volumes", out}, {"Warnings", nullptr}}));
  co_return Result<>{};
}

static Task<Result<>> create(Api& api, Call& call) {
  CO_TRY(const Json json, co_await read_json(call));
  CO_TRY(auto wish, from_json<VolumeWish>(json));
  bool created = false;
  CO_TRY(const Volume* v,
         co_await api.parts().volumes.ensure(wish.name, wish.driver, wish.labels, wish.options, created));
  co_await call.http.reply(201, dump(volume_json(*v)));
  co_return Result<>{};
}

static Task<Result<>> inspect(Api& api, Call& call) {
  CO_TRY(const Volume* v, api.parts().volumes.find(call.arg()));
  co_await call.http.reply(200, dump(volume_json(*v)));
  co_return Result<>{};
}

static Task<Result<>> remove(Api& api, Call& call) {
  ApiParts& p = api.parts();
  const auto users = p.containers.users_of_volume(call.arg());
  if (!users.empty()) {
    std::string list;
    for (const auto& id : users) list += (list.empty() ? "" : ", ") + id;
    co_return fail(Code::kConflict, "remove " + call.arg() + ": volume is in use - [" + list + "]");
  }
  co_return co_await p.volumes.remove(call.arg(), call.request().flag("force"));
}

static Task<Result<>> prune(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Filters f, Filters::parse(call.request(), {"all", "label", "label!"}));
  CO_TRY(const auto asked, f.boolean("all"));
  const bool all = asked.value_or(api_minor(call.request()) < 42);  // those knew no "all" and removed all
  std::vector<Volume> victims;
  for (const auto& [name, v] : p.volumes.all())
    if ((all || v.anonymous) && p.containers.users_of_volume(name).empty() && f.prunes(v.labels))
      victims.push_back(v);
  JsonArray deleted;
  int64_t reclaimed = 0;
  for (const auto& v : victims) {
    const int64_t size = co_await p.layers.disk_usage(v.mountpoint);
    if (!p.containers.users_of_volume(v.name).empty()) continue;  // taken meanwhile
    auto done = co_await p.volumes.remove(v.name, true);
    if (done) deleted.push_back(Json(v.name)), reclaimed += size;
  }
  p.events.publish("volume", "prune", "", {{"reclaimed", std::to_string(reclaimed)}});
  co_await call.http.reply(200, dump(JsonObject{{"VolumesDeleted", deleted}, {"SpaceReclaimed", reclaimed}}));
  co_return Result<>{};
}

void add_volume_routes(Api& api) {
  api.route("GET", "/volumes", [&api](Call& c) { return list(api, c); });
  api.route("POST", "/volumes/create", [&api](Call& c) { return create(api, c); });
  api.route("POST", "/volumes/prune", [&api](Call& c) { return prune(api, c); });
  api.route("GET", "/volumes/{}", [&api](Call& c) { return inspect(api, c); });
  api.route("DELETE", "/volumes/{}", [&api](Call& c) { return remove(api, c); });
}

}  // namespace panal
