// .dockerignore: the first line is a path, the rest are patterns. A pattern that is the path itself matches
// it.
#include "dockerfile/ignore.h"
#include "base/path.h"
#include "fuzz.h"

using namespace panal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(as_text(data, size));
  const size_t end = text.find('\n');
  const std::string path = text.substr(0, end);
  auto patterns = PathPatterns::parse(end == std::string::npos ? "" : text.substr(end + 1));
  if (!patterns) return 0;
  (void)patterns->match(path);
  if (path.find_first_of("*?[\\!# \t\r\v\f") != std::string::npos || clean_path(path).empty()) return 0;
  if (patterns->add(path)) MUST(patterns->match(path));
  return 0;
}
