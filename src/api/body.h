// Request bodies and frames that several resources share.
#pragma once
#include "api/api.h"
#include "base/json.h"

namespace panal {

/// The body as a JSON object; an empty body is {}.
Task<Result<Json>> read_json(Call& call);

struct TerminalSize {
  int rows = 0, columns = 0;
};
/// Of a resize: the parameters h and w.
Result<TerminalSize> terminal_size(const HttpRequest& request);

/// What docker build keeps, for GET /system/df.
Task<Json> build_cache_usages(ApiParts& p);

/// Docker's stream frame (API reference, "Stream format"): {stream, 0, 0, 0, size (big endian)} and the data.
std::string stream_frame(int stream, std::string_view data);

}  // namespace panal
