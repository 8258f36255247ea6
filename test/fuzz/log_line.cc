// A line of a log file a container may have had a hand in.
#include "fuzz.h"
#include "node/logs/logs.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = as_text(data, size);
  const auto line = parse_log_line(text);
  if (!line) return 0;
  MUST(line->stream == 1 || line->stream == 2);
  MUST(line->text.size() <= size);
  (void)rfc3339(line->time), (void)rfc3339_nano(line->time);
  return 0;
}
