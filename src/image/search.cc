#include "image/search.h"

#include "base/json.h"
#include "base/text.h"

namespace panal {

template <class A>
void fields(A& a, SearchHit& h) {
  a("name", h.name), a("description", h.description), a("is_official", h.official), a("star_count", h.stars);
}

namespace {

struct Hits {
  std::vector<SearchHit> results;
};
template <class A>
void fields(A& a, Hits& h) {
  a("results", h.results);
}

}  // namespace

Result<SearchTerm> parse_search_term(const std::string& text) {
  if (text.starts_with("http://") || text.starts_with("https://"))
    return fail(Code::kInvalid, "invalid repository name: repository name (" + text.substr(0, 256) +
                                    ") should not have a scheme");
  SearchTerm out{"docker.io", text};
  const size_t slash = text.find('/');
  const std::string first = text.substr(0, slash);
  if (slash != std::string::npos && (first.find_first_of(".:") != std::string::npos || first == "localhost"))
    out = {first == "index.docker.io" ? "docker.io" : first, text.substr(slash + 1)};
  if (out.index == "docker.io" && out.term.starts_with("library/")) out.term.erase(0, 8);
  return out;
}

Result<int> search_limit(const std::string& text) {
  if (text.empty()) return 25;
  const auto n = parse_int(text);
  if (!n || *n < 0) return fail(Code::kInvalid, "invalid limit specified");
  if (*n > 100)
    return fail(Code::kInvalid, "limit " + std::to_string(*n) + " is outside the range of [1, 100]");
  return *n == 0 ? 25 : static_cast<int>(*n);
}

Result<std::vector<SearchHit>> parse_search_hits(std::string_view json, int most) {
  auto hits = from_text<Hits>(json);
  if (!hits) return fail(wrap("error decoding registry search results", hits.error()));
  if (hits->results.size() > static_cast<size_t>(most)) hits->results.resize(static_cast<size_t>(most));
  return std::move(hits->results);
}

}  // namespace panal
