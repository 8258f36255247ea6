// Images: list, inspect, history, load, save, tag, remove, prune. How they come and go over the network:
// image_transfer.cc.
#include <algorithm>

#include "api/api.h"
#include "api/body.h"
#include "api/images/platform.h"
#include "base/text.h"
#include "image/progress.h"
#include "image/reference.h"
#include "model/image_json.h"

namespace panal {

static Json strings(const std::vector<std::string>& list) { return to_json(list); }

// What registries have it under; a name that none of them knows stands with the digest that the cluster
// knows.
// Those of the repositories of `tags`, and of others that `fits`.
static Json repo_digests(const Image& image, const std::vector<std::string>& tags,
                         const std::function<bool(const std::string&)>& fits) {
  std::set<std::string> out;
  for (const auto& digest : image.repo_digests)
    if (fits(digest)) out.insert(digest);
  for (const auto& tag : tags) {
    const std::string name = tag.substr(0, tag.rfind(':')) + "@";
    for (const auto& digest : image.repo_digests)
      if (digest.starts_with(name)) out.insert(digest);
    if (std::ranges::none_of(image.repo_digests,
                             [&](const std::string& known) { return known.starts_with(name); }))
      out.insert(name + image.manifest_digest);
  }
  JsonArray list;
  for (const auto& digest : out) list.push_back(Json(digest));
  return list;
}

// Stars and question marks stop at slashes.
static bool path_glob(const std::string& pattern, const std::string& name) {
  const auto wanted = split(pattern, '/'), have = split(name, '/');
  return wanted.size() == have.size() &&
         std::ranges::equal(wanted, have, [](const auto& w, const auto& h) { return glob_match(w, h); });
}

// "alpine:3" or "alpine@sha256:..." against the patterns asked for.
static bool named(const Filters& f, const std::string& name) {
  const size_t at = name.find('@');
  return f.any("reference", [&](const std::string& pattern) {
    return path_glob(pattern, name) ||
           path_glob(pattern, name.substr(0, at == std::string::npos ? name.rfind(':') : at));
  });
}

static Task<Result<>> list(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Filters f,
         Filters::parse(call.request(), {"before", "dangling", "label", "reference", "since", "until"}));
  std::optional<WallTime> before, since;
  for (auto [key, into] : {std::pair{"before", &before}, {"since", &since}})
    if (f.has(key)) {
      CO_TRY(const Image* edge, p.images.find(f.get(key)[0]));
      *into = edge->created_at;
    }
  CO_TRY(const auto dangling, f.boolean("dangling"));
  std::optional<WallTime> until;  // of several, the earliest
  for (const auto& text : f.get("until")) {
    CO_TRY(const WallTime moment, parse_moment(text, p.loop.wall_now()));
    until = std::min(until.value_or(moment), moment);
  }
  const bool all = call.request().flag("all");
  const int minor = api_minor(call.request());
  std::vector<const Image*> found;
  for (const auto& [id, image] : p.images.all()) {
    if ((image.hidden() && !all) || (dangling && *dangling != image.tags.empty()) ||
        (until && image.created_at >= *until))
      continue;
    if (!f.labels("label", image.config.labels)) continue;
    if ((before && image.created_at >= *before) || (since && image.created_at <= *since)) continue;
    if (std::ranges::any_of(image.tags, [&](const std::string& t) { return named(f, t); }) ||
        std::ranges::any_of(image.repo_digests, [&](const std::string& d) { return named(f, d); }) ||
        !f.has("reference"))
      found.push_back(&image);
  }
  std::ranges::sort(found, [](const Image* a, const Image* b) { return a->created_at > b->created_at; });
  JsonArray out;
  for (const Image* image : found) {
    int64_t users = 0;
    for (const auto& [id, live] : p.containers.all()) users += live->c.image_id == image->id;
    std::vector<std::string> tags = image->tags;
    std::erase_if(tags, [&](const std::string& tag) { return !named(f, tag); });
    JsonObject row{
        {"Id", image->id},
        {"ParentId", image->parent},
        {"RepoTags", strings(tags)},
        {"RepoDigests", repo_digests(*image, tags, [&](const std::string& d) { return named(f, d); })},
        {"Created", image->created_at.time_since_epoch() / 1s},
        {"Size", image->size_bytes},
        {"SharedSize", call.request().flag("shared-size") ? p.images.shared_size(*image) : -1},
        {"Labels", to_json(image->config.labels)},
        {"Containers", minor < 51 ? -1 : users}};
    if (minor < 44) row["VirtualSize"] = image->size_bytes;
    if (minor < 43 && tags.empty() && row["RepoDigests"].get_array().empty())
      row["RepoTags"] = JsonArray{"<none>:<none>"}, row["RepoDigests"] = JsonArray{"<none>@<none>"};
    out.push_back(std::move(row));
  }
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Task<Result<>> inspect(Api& api, Call& call) {
  const int minor = api_minor(call.request());
  CO_TRY(const auto platform, asked_platform(call.request(), 49));
  if (platform && minor >= 48 && call.request().flag("manifests"))
    co_return fail(Code::kInvalid, "conflicting options: manifests and platform options cannot both be set");
  CO_TRY(const Image* image, api.parts().images.find(call.arg()));
  CO_TRYV(check_platform(call.arg(), *image, platform));
  JsonArray layers;
  for (const auto& d : image->diff_ids) layers.push_back(Json(d));
  JsonObject out{{"Id", image->id},
                 {"RepoTags", strings(image->tags)},
                 {"RepoDigests", repo_digests(*image, image->tags, [](const std::string&) { return true; })},
                 {"Parent", image->parent},
                 {"Comment", image->comment},
                 {"Created", image->created},
                 {"DockerVersion", ""},
                 {"Author", image->author},
                 {"Config", to_json(image->config)},
                 {"Architecture", image->architecture},
                 {"Os", image->os},
                 {"Size", image->size_bytes},
                 {"GraphDriver", JsonObject{{"Name", "overlay2"}, {"Data", JsonObject{}}}},
                 {"RootFS", JsonObject{{"Type", "layers"}, {"Layers", layers}}},
                 {"Metadata", JsonObject{{"LastTagTime", rfc3339(image->tagged_at)}}}};
  if (!image->variant.empty()) out["Variant"] = image->variant;
  if (minor < 44) out["VirtualSize"] = image->size_bytes;
  out["ContainerConfig"] = to_json(image->config);  // gone from the API since 1.45, but docker-compose 1.29
                                                    // speaks the newest and reads its volumes
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Task<Result<>> history(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const auto platform, asked_platform(call.request(), 48));
  CO_TRY(const Image* image, p.images.find(call.arg()));
  CO_TRYV(check_platform(call.arg(), *image, platform));
  JsonArray out;
  size_t layer = 0;
  for (const auto& h : image->history) {
    int64_t size = 0;
    if (!h.empty_layer && layer < image->chain_ids.size()) {
      if (const Layer* l = p.images.layer(image->chain_ids[layer])) size = l->size_bytes;
      ++layer;
    }
    const auto created = parse_rfc3339(h.created);
    out.push_back(JsonObject{{"Id", "<missing>"},
                             {"Created", created ? created->time_since_epoch() / 1s : 0},
                             {"CreatedBy", h.created_by},
                             {"Tags", nullptr},
                             {"Size", size},
                             {"Comment", h.comment}});
  }
  std::ranges::reverse(out);
  if (!out.empty()) out[0].get_object()["Id"] = image->id, out[0].get_object()["Tags"] = strings(image->tags);
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Source body_source(Call& call) {
  return [&call] { return call.http.read_body(); };
}

static Task<Result<>> load(Api& api, Call& call) {
  CO_TRY(const auto platform, asked_platform(call.request(), 48));
  const auto lines = co_await api.parts().images.load_archive(body_source(call), platform);
  CO_TRYV(co_await call.http.begin(200, "application/json"));
  if (!lines) CO_TRYV(co_await call.http.write(progress_error_json(to_utf8(lines.error().message))));
  for (const auto& line : lines ? *lines : std::vector<std::string>{})
    CO_TRYV(co_await call.http.write(dump(JsonObject{{"stream", line + "\n"}}) + "\r\n"));
  co_return co_await call.http.end();
}

static Task<Result<>> save(Api& api, Call& call, std::vector<std::string> names) {
  CO_TRY(const auto platform, asked_platform(call.request(), 48));
  names = api.parts().images.with_all_tags(names);
  for (const auto& name : names) {
    CO_TRY(const Image* image, api.parts().images.find(name));
    if (!check_platform(name, *image, platform))
      co_return fail(Code::kInternal, "no suitable export target found for platform " + platform->text());
  }
  if (names.empty()) co_return fail(Code::kInvalid, "no image named");
  CO_TRYV(co_await call.http.begin(200, "application/x-tar"));
  const Sink sink = [&call](std::string_view data) { return call.http.write(data); };
  CO_TRYV(co_await api.parts().images.save(std::move(names), sink));
  co_return co_await call.http.end();
}

static Task<Result<>> save_many(Api& api, Call& call) {
  std::vector<std::string> names;
  for (auto [it, end] = call.request().query.equal_range("names"); it != end; ++it)
    for (const auto& name : split(it->second, ',')) names.push_back(name);
  co_return co_await save(api, call, names);
}

static Task<Result<>> save_one(Api& api, Call& call) {
  std::vector<std::string> names = {call.arg()};
  co_return co_await save(api, call, names);
}

static Task<Result<>> tag(Api& api, Call& call) {
  const HttpRequest& r = call.request();
  const std::string target = r.param("repo") + (r.param("tag").empty() ? "" : ":" + r.param("tag"));
  CO_TRYV(co_await api.parts().images.tag(call.arg(), target));
  co_await call.http.reply(201, "");
  co_return Result<>{};
}

static Task<Result<>> remove(Api& api, Call& call) {
  ApiParts& p = api.parts();
  if (trim(call.arg()).empty()) co_return fail(Code::kInvalid, "image name cannot be blank");
  CO_TRY(const auto platform, asked_platform(call.request(), 50, "platforms"));
  if (platform) {
    CO_TRY(const Image* image, p.images.find(call.arg()));
    CO_TRYV(check_platform(call.arg(), *image, platform));
  }
  const auto in_use = [&p](const std::string& id, bool& running) {
    return p.containers.user_of_image(id, running);
  };
  CO_TRY(const auto removed,
         co_await p.images.remove(
             call.arg(), call.request().flag("force"),
             call.request().flag("noprune") ? Images::Parents::kStay : Images::Parents::kGo, in_use));
  JsonArray out;
  for (const auto& t : removed.untagged) out.push_back(JsonObject{{"Untagged", t}});
  for (const auto& d : removed.deleted) out.push_back(JsonObject{{"Deleted", d}});
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

static Task<Result<>> prune(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(const Filters f, Filters::parse(call.request(), {"dangling", "label", "label!", "until"}));
  CO_TRY(const auto asked, f.boolean("dangling"));
  CO_TRY(const auto until, f.until(p.loop.wall_now()));
  const bool dangling = asked.value_or(true);
  std::vector<std::pair<std::string, int64_t>> victims;
  for (const auto& [id, image] : p.images.all()) {
    bool running = false;
    if (image.hidden() || !p.containers.user_of_image(id, running).empty() ||
        (dangling && !image.tags.empty()))
      continue;
    if (!f.labels("label", image.config.labels) ||
        (f.has("label!") && f.any_label("label!", image.config.labels)) ||
        (until && image.created_at > *until))
      continue;
    victims.emplace_back(id, image.size_bytes - p.images.shared_size(image));
  }
  JsonArray deleted;
  int64_t reclaimed = 0;
  for (const auto& [id, size] : victims) {
    const auto in_use = [&p](const std::string& image, bool& running) {
      std::string user = p.containers.user_of_image(image, running);
      running |= !user.empty();  // also a stopped container keeps its image from a prune
      return user;
    };
    auto removed = co_await p.images.remove(id, true, Images::Parents::kGo, in_use);
    if (!removed) continue;
    for (const auto& t : removed->untagged) deleted.push_back(JsonObject{{"Untagged", t}});
    for (const auto& d : removed->deleted) deleted.push_back(JsonObject{{"Deleted", d}});
    reclaimed += size;
  }
  p.events.publish("image", "prune", "", {{"reclaimed", std::to_string(reclaimed)}});
  co_await call.http.reply(200,
                           dump(JsonObject{{"ImagesDeleted", deleted.empty() ? Json(nullptr) : Json(deleted)},
                                           {"SpaceReclaimed", reclaimed}}));
  co_return Result<>{};
}

void add_image_routes(Api& api) {
  api.route("GET", "/images/json", [&api](Call& c) { return list(api, c); });
  api.route("POST", "/images/load", [&api](Call& c) { return load(api, c); });
  api.route("POST", "/images/prune", [&api](Call& c) { return prune(api, c); });
  api.route("GET", "/images/get", [&api](Call& c) { return save_many(api, c); });
  api.route("GET", "/images/{*}/get", [&api](Call& c) { return save_one(api, c); });
  api.route("GET", "/images/{*}/json", [&api](Call& c) { return inspect(api, c); });
  api.route("GET", "/images/{*}/history", [&api](Call& c) { return history(api, c); });
  api.route("POST", "/images/{*}/tag", [&api](Call& c) { return tag(api, c); });
  api.route("DELETE", "/images/{*}", [&api](Call& c) { return remove(api, c); });
}

}  // namespace panal
