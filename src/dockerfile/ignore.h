// .dockerignore: which paths of a context stay out. The reference's ".dockerignore file": Go's path patterns
// (*, ?, [a-z], backslash),
// ** for any number of folders, "!" takes back, the last line that matches decides; a pattern that matches a
// folder matches what is in it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace panal {

/// Path patterns as .dockerignore and --exclude have them.
class PathPatterns {
 public:
  /// One pattern a line; blank lines and lines that begin with # do not count. At most 10,000.
  static Result<PathPatterns> parse(std::string_view text);
  Result<> add(std::string pattern);
  /// `path` without leading slash: "a/b.txt". True when the last pattern that matches it or a folder above it
  /// is no exception.
  bool match(std::string_view path) const;
  /// Whether an exception may match something below the folder `path`.
  bool may_except_below(std::string_view path) const;
  bool empty() const { return patterns_.empty(); }

 private:
  struct Pattern {
    std::vector<std::string> parts;  // between slashes
    bool exception = false;
  };
  Result<> add_plain(Pattern pattern);
  std::vector<Pattern> patterns_;
};

/// One component against one pattern component, Go's path/filepath.Match; kInvalid "syntax error in pattern".
Result<bool> match_component(std::string_view pattern, std::string_view name);
/// A path against a pattern with wildcards (COPY's sources): as many components, ** for any number.
bool match_path(const std::vector<std::string>& pattern, const std::vector<std::string>& path);

}  // namespace panal
