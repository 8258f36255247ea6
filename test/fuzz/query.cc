// Targets of API requests: path, version and query; filters; the options of logs.
#include "api/containers/pump.h"
#include "fuzz.h"
#include "sys/http/server.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  HttpRequest request;
  if (!parse_target(as_text(data, size), request)) return 0;
  MUST(request.path.starts_with('/'));
  if (auto filters = Filters::parse(request, {"label", "id", "status"})) {
    for (const char* key : {"label", "id", "status"}) {
      MUST(filters->has(key) == !filters->get(key).empty());
      if (!filters->has(key)) MUST(filters->exact(key, ""));
      for (const auto& value : filters->get(key)) MUST(filters->exact(key, value));
    }
    (void)filters->labels("label", {{"a", "b"}});
  }
  const WallTime now{1'800'000'000s};
  if (auto logs = parse_log_query(request, now)) MUST(logs->out || logs->err);
  std::string error;
  (void)detach_sequence(request.param("detachKeys"), error);
  return 0;
}
