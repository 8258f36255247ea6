// docker search.
#include <algorithm>

#include "api/api.h"
#include "base/json.h"
#include "base/text.h"
#include "node/images/registry_client.h"

namespace panal {

static Result<int64_t> fewest_stars(const Filters& f) {
  int64_t out = 0;
  for (const auto& text : f.get("stars")) {
    const auto n = parse_int(text);
    if (!n)
      return fail(Code::kInvalid, "invalid filter 'stars=" + text + "': strconv.Atoi: parsing \"" + text +
                                      "\": invalid syntax");
    out = std::max(out, *n);
  }
  return out;
}

static Task<Result<>> search(Api& api, Call& call) {
  const HttpRequest& r = call.request();
  CO_TRY(const Filters f, Filters::parse(r, {"is-automated", "is-official", "stars"}));
  CO_TRY(const auto automated, f.boolean("is-automated"));
  CO_TRY(const auto official, f.boolean("is-official"));
  CO_TRY(const int64_t stars, fewest_stars(f));
  CO_TRY(const int limit, search_limit(r.param("limit")));
  CO_TRY(const SearchTerm term, parse_search_term(r.param("term")));
  JsonArray out;
  if (!automated.value_or(false)) {  // nothing is any more
    const auto auth = parse_registry_auth(r.header("x-registry-auth"));
    const auto halt = std::make_shared<Halt>();
    call.http.on_close([halt] { halt->halt(); });
    CO_TRY(const auto hits,
           co_await api.parts().registry.search(term, limit, auth.value_or(RegistryAuth{}), halt));
    for (const auto& hit : hits)
      if (hit.official == official.value_or(hit.official) && hit.stars >= stars)
        out.push_back(JsonObject{{"star_count", hit.stars},
                                 {"is_official", hit.official},
                                 {"name", to_utf8(hit.name)},
                                 {"is_automated", false},
                                 {"description", to_utf8(hit.description)}});
  }
  co_await call.http.reply(200, dump(out));
  co_return Result<>{};
}

void add_search_routes(Api& api) {
  api.route("GET", "/images/search", [&api](Call& c) { return search(api, c); });
}

}  // namespace panal
