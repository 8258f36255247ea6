#include "api/images/platform.h"

#include "api/api.h"
#include "base/json.h"

namespace panal {

static Result<ImagePlatform> decode_platform(const std::string& text) {
  const auto json = parse_json(text);
  if (!json) return fail(wrap("failed to parse platform", json.error()));
  const Json& one = json->is_array() && json->get_array().size() == 1 ? json->get_array()[0] : *json;
  if (!one.is_object()) return fail(Code::kInvalid, "failed to parse platform: " + text.substr(0, 256));
  const auto word = [&](const char* key) {
    const Json* v = field_of(one.get_object(), key);
    return v ? str(*v) : std::string();
  };
  const std::string os = word("os"), architecture = word("architecture"), variant = word("variant");
  if (os.empty() && architecture.empty() && !(variant + word("os.version")).empty())
    return fail(Code::kInvalid, "optional platform fields provided, but OS and Architecture are missing");
  if (os.empty() || architecture.empty())
    return fail(Code::kInvalid, "both OS and Architecture must be provided");
  return parse_platform(os + "/" + architecture + (variant.empty() ? "" : "/" + variant));
}

Result<std::optional<ImagePlatform>> asked_platform(const HttpRequest& request, int since,
                                                    const std::string& key) {
  std::optional<ImagePlatform> out;
  if (api_minor(request) < since) return out;
  for (auto [it, end] = request.query.equal_range(key); it != end; ++it) {
    if (it->second.empty()) continue;
    if (out)
      return fail(Code::kInvalid, key == "platforms" ? "multiple platforms are not supported"
                                                     : "multiple platform parameters not supported");
    TRY(out, decode_platform(it->second));
  }
  return out;
}

}  // namespace panal
