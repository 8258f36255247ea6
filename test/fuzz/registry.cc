// What a registry says: challenges, tokens, errors, tags, indexes, links. What passes leads nowhere it must
// not.
#include "image/registry.h"
#include "fuzz.h"
#include "image/index.h"
#include "image/reference.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(as_text(data, size));
  for (const auto& c : parse_challenges(text)) {
    MUST(!c.scheme.empty() || c.parameters.empty());
    if (const auto t = token_request(c, {"repository:a:pull"}, {.username = "u", .password = "p"}, true))
      MUST(t->url.starts_with("http://") || t->url.starts_with("https://"));
  }
  if (const auto t = parse_token(text)) MUST(!t->access.empty() && t->access.find('\n') == std::string::npos);
  if (const auto index = parse_index(text); index && *index) {
    for (const auto& e : **index) MUST(valid_digest(e.digest));
    if (const auto* best = choose_platform(**index, host_platform()))
      MUST(platform_fits(best->platform, host_platform()));
  }
  (void)manifest_media_type(text);
  MUST(!registry_error(500, text, "Get").message.empty());
  if (const auto tags = parse_tags(text))
    for (const auto& t : *tags) MUST(t.size() <= 128);
  (void)parse_registry_auth(text);
  (void)auth_from_json(text);
  if (const auto p = parse_platform(text)) MUST(!p->os.empty() && !p->architecture.empty());
  const std::string next = resolve_location("http://host:5000/v2/a/blobs/uploads/", text);
  MUST(next.starts_with("http://") || next.starts_with("https://"));
  (void)origin_of(text);
  (void)check_registry_options({.registry_mirrors = {text}, .insecure_registries = {text}});
  return 0;
}
