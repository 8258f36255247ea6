// The small parsers that see users' words: times, durations, sizes, addresses, signals, users.
#include "base/text.h"
#include "base/time.h"
#include "engine/oci.h"
#include "fuzz.h"
#include "network/address.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(as_text(data, size));
  const WallTime now{1'800'000'000s};
  if (const auto t = parse_timestamp(text, now)) (void)rfc3339(*t);
  if (const auto d = parse_duration(text)) (void)human_duration(*d);
  if (const auto n = parse_bytes(text)) MUST(*n >= 0);
  if (const auto c = parse_cidr(text)) MUST(c->contains(c->first()) && c->contains(c->last()));
  if (const auto s = parse_signal(text)) MUST(*s >= 1 && *s <= 64);
  MUST(url_decode(url_encode(text)) == text);
  MUST(unbase64(base64(text)) == text);
  MUST(to_utf8(to_utf8(text)) == to_utf8(text));
  const size_t cut = text.find('\n');
  (void)glob_match(text.substr(0, std::min<size_t>(cut, 64)),
                   cut == std::string::npos ? text : text.substr(cut + 1));
  if (const auto u = resolve_user(text.substr(0, cut), {}, text, text)) (void)u->uid;
  return 0;
}
