// A container's files: archive (docker cp), export, changes (docker diff).
#include "api/api.h"
#include "base/text.h"

namespace panal {

static constexpr const char* kStatHeader = "X-Docker-Container-Path-Stat";

static Result<std::string> path_of(const Call& call) {
  const std::string path = call.request().param("path");
  if (path.empty()) return fail(Code::kInvalid, "bad parameter: path cannot be empty");
  if (path.find('\0') != std::string::npos)
    return fail(Code::kInvalid, "bad parameter: path holds a zero byte");
  return path;
}

static Error without_file(Error error, const Call& call) {
  if (error.code == Code::kNotFound)
    error.message = "Could not find the file " + call.request().param("path") + " in container " + call.arg();
  return error;
}

/// Answers 200 with the first piece, so that what fails before it is still told by a status.
static Sink streamed(HttpExchange& http, const char* type) {
  return [&http, type](std::string_view data) -> Task<Result<>> {
    if (!http.started()) CO_TRYV(co_await http.begin(200, type));
    co_return co_await http.write(data);
  };
}

static Task<Result<>> stat(Api& api, Call& call) {
  CO_TRY(const std::string path, path_of(call));
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  auto found = co_await api.parts().containers.stat_path(live, path);
  if (!found) co_return fail(without_file(found.error(), call));
  call.http.add_header(kStatHeader, base64(*found));
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

static Task<Result<>> get(Api& api, Call& call) {
  CO_TRY(const std::string path, path_of(call));
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  const auto begin = [&call](std::string stat) {
    call.http.add_header(kStatHeader, base64(stat));
    return call.http.begin(200, "application/x-tar");
  };
  const Sink sink = [&call](std::string_view data) { return call.http.write(data); };
  auto sent = co_await api.parts().containers.read_path(live, path, begin, sink);
  if (!sent) co_return fail(without_file(sent.error(), call));
  co_return co_await call.http.end();
}

static Task<Result<>> put(Api& api, Call& call) {
  CO_TRY(const std::string path, path_of(call));
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  const auto owner =
      call.request().flag("copyUIDGID") ? Containers::Owner::kOfUser : Containers::Owner::kOfArchive;
  const Source source = [&call] { return call.http.read_body(); };
  auto done = co_await api.parts().containers.write_path(
      live, path, call.request().flag("noOverwriteDirNonDir"), owner, source);
  if (!done) co_return fail(without_file(done.error(), call));
  co_await call.http.reply(200, "");
  co_return Result<>{};
}

static Task<Result<>> export_root(Api& api, Call& call) {
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  const Sink sink = streamed(call.http, "application/octet-stream");
  if (auto sent = co_await api.parts().containers.export_root(live, sink); !sent)
    co_return sent.error().code == Code::kConflict
        ? sent
        : fail(wrap("Error exporting container " + call.arg(), sent.error()));
  co_return co_await call.http.end();
}

static Task<Result<>> changes(Api& api, Call& call) {
  CO_TRY(const LivePtr live, api.parts().containers.find(call.arg()));
  const Sink sink = streamed(call.http, "application/json");
  CO_TRYV(co_await api.parts().containers.changes(live, sink));
  co_return co_await call.http.end();
}

void add_file_routes(Api& api) {
  api.route("HEAD", "/containers/{}/archive", [&api](Call& c) { return stat(api, c); });
  api.route("GET", "/containers/{}/archive", [&api](Call& c) { return get(api, c); });
  api.route("PUT", "/containers/{}/archive", [&api](Call& c) { return put(api, c); });
  api.route("GET", "/containers/{}/export", [&api](Call& c) { return export_root(api, c); });
  api.route("GET", "/containers/{}/changes", [&api](Call& c) { return changes(api, c); });
}

}  // namespace panal
