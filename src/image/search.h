// docker search: the index of Docker Hub, or that of a registry with the old interface. Pure.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace panal {

struct SearchTerm {
  std::string index, term;  // "docker.io", "host:5000"
};
Result<SearchTerm> parse_search_term(const std::string& text);
/// 0: Docker's default, 25.
Result<int> search_limit(const std::string& text);

struct SearchHit {
  std::string name, description;
  bool official = false;
  int64_t stars = 0;
};
/// An index's answer; at most `most` of it.
Result<std::vector<SearchHit>> parse_search_hits(std::string_view json, int most);

}  // namespace panal
