// The daemon's command line: one argument per line. What is accepted can be read again beside its own flags.
#include "daemon/options.h"
#include "base/text.h"
#include "fuzz.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto args = split(as_text(data, size), '\n');
  for (const auto& arg : args)
    if (arg.starts_with("--config-file")) return 0;
  args.insert(args.begin(), "--config-file=/dev/null");
  const auto options = parse_options(args);
  if (!options || options->help || options->version) return 0;
  const auto again = reread_options(*options);
  MUST(again && again->hosts == options->hosts && again->labels == options->labels);
  return 0;
}
