// GET /system/df.
#include <algorithm>

#include "api/api.h"
#include "api/body.h"
#include "api/containers/view.h"
#include "base/json.h"

namespace panal {

static Json image_usage(ApiParts& p, const Image& image) {
  int64_t users = 0;
  for (const auto& [id, live] : p.containers.all()) users += live->c.image_id == image.id;
  return JsonObject{{"Id", image.id},
                    {"ParentId", ""},
                    {"RepoTags", to_json(image.tags)},
                    {"RepoDigests", JsonArray{}},
                    {"Created", image.created_at.time_since_epoch() / 1s},
                    {"Size", image.size_bytes},
                    {"SharedSize", p.images.shared_size(image)},
                    {"Labels", image.config.labels.empty() ? Json(nullptr) : to_json(image.config.labels)},
                    {"Containers", users}};
}

static Json image_usages(ApiParts& p, int64_t& layers_size) {
  JsonArray out;
  std::set<std::string> counted;
  for (const auto& [id, image] : p.images.all()) {
    if (image.hidden()) continue;
    for (const auto& chain : image.chain_ids)
      if (const Layer* l = p.images.layer(chain); l && counted.insert(chain).second)
        layers_size += l->size_bytes;
    out.push_back(image_usage(p, image));
  }
  return out;
}

static Task<Json> container_usages(ApiParts& p) {
  std::vector<LivePtr> all;  // a copy: the table may change while folders are measured
  for (const auto& [id, live] : p.containers.all()) all.push_back(live);
  JsonArray out;
  const Containers::LinkNames links = p.containers.link_names();
  for (const auto& live : all) {
    Json summary = container_summary(p, live->c, links);
    co_await add_sizes(p, live, summary);
    if (!live->removed) out.push_back(std::move(summary));
  }
  co_return out;
}

static Task<Json> volume_usages(ApiParts& p) {
  std::vector<Volume> all;
  for (const auto& [name, v] : p.volumes.all()) all.push_back(v);
  JsonArray out;
  for (const auto& v : all) {
    const int64_t size = co_await p.layers.disk_usage(v.mountpoint);
    if (!p.volumes.all().contains(v.name)) continue;
    out.push_back(
        JsonObject{{"Name", v.name},
                   {"Driver", v.driver},
                   {"Mountpoint", v.mountpoint},
                   {"Labels", v.labels.empty() ? Json(nullptr) : to_json(v.labels)},
                   {"Scope", "local"},
                   {"Options", v.options.empty() ? Json(nullptr) : to_json(v.options)},
                   {"CreatedAt", rfc3339(v.created)},
                   {"UsageData",
                    JsonObject{{"Size", size}, {"RefCount", p.containers.users_of_volume(v.name).size()}}}});
  }
  co_return out;
}

static Task<Result<>> disk_usage(Api& api, Call& call) {
  ApiParts& p = api.parts();
  const auto [first, last] = call.request().query.equal_range("type");
  std::set<std::string> types;
  for (auto it = first; it != last; ++it) {
    if (it->second != "container" && it->second != "image" && it->second != "volume" &&
        it->second != "build-cache")
      co_return fail(Code::kInvalid, "unknown object type: " + it->second);
    types.insert(it->second);
  }
  const auto wanted = [&](const char* type) { return types.empty() || types.contains(type); };
  JsonObject out{{"LayersSize", 0},
                 {"Images", nullptr},
                 {"Containers", nullptr},
                 {"Volumes", nullptr},
                 {"BuildCache", nullptr}};
  if (wanted("image")) {
    int64_t layers_size = 0;
    out["Images"] = image_usages(p, layers_size);
    out["LayersSize"] = layers_size;
  }
  if (wanted("container")) out["Containers"] = co_await container_usages(p);
  if (wanted("volume")) out["Volumes"] = co_await volume_usages(p);
  if (wanted("build-cache")) out["BuildCache"] = co_await build_cache_usages(p);
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

void add_disk_usage_routes(Api& api) {
  api.route("GET", "/system/df", [&api](Call& c) { return disk_usage(api, c); });
}

}  // namespace panal
