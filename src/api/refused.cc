// Routes of the specification that are not there yet: each says so by name, none is "page not found".
#include "api/api.h"

namespace panal {

static Task<Result<>> refused(Call&, const char* what) {
  co_return fail(Code::kUnsupported, std::string(what) + " is not supported yet");
}

static Task<Result<>> no_plugins(Call& call) {
  co_await call.http.reply(200, "[]");
  co_return Result<>{};
}

void add_refused_routes(Api& api) {
  struct Missing {
    const char *method, *path, *what;
  };
  for (const auto& [method, path, what] :
       {Missing{"POST", "/session",
                "building images with BuildKit (DOCKER_BUILDKIT=0 asks for the classic builder)"},
        {"PUT", "/volumes/{}", "updating a cluster volume"},
        {"GET", "/plugins/privileges", "plugins"},
        {"POST", "/plugins/pull", "plugins"},
        {"POST", "/plugins/create", "plugins"},
        {"GET", "/plugins/{*}/json", "plugins"},
        {"DELETE", "/plugins/{*}", "plugins"},
        {"POST", "/plugins/{*}/enable", "plugins"},
        {"POST", "/plugins/{*}/disable", "plugins"},
        {"POST", "/plugins/{*}/upgrade", "plugins"},
        {"POST", "/plugins/{*}/push", "plugins"},
        {"POST", "/plugins/{*}/set", "plugins"}})
    api.route(method, path, [what](Call& c) { return refused(c, what); });
  api.route("GET", "/plugins", no_plugins);
}

}  // namespace panal
