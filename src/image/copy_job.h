// What the daemon asks of panal-unpack's verbs `digest` and `copy`, on standard input because here-documents
// may be large, and what `digest` answers. The trees themselves are the binds of the TreeJob:
// copy_tree_at(n), and kCopyBase, the root file system below.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace panal {

constexpr const char* kCopyBase = "/base";
inline std::string copy_tree_at(size_t n) { return "/src" + std::to_string(n); }

struct CopyJobTree {
  std::vector<std::string> ignore;
  bool stage = false;
};
template <class A>
void fields(A& a, CopyJobTree& t) {
  a.opt("ignore", t.ignore), a.opt("stage", t.stage);
}

struct CopyJobSource {
  int64_t tree = 0;
  std::string pattern;
  bool unpack = false;
};
template <class A>
void fields(A& a, CopyJobSource& s) {
  a("tree", s.tree), a("pattern", s.pattern), a.opt("unpack", s.unpack);
}

struct CopyJobText {
  std::string name, content;  // content: base64, as it may be no UTF-8
};
template <class A>
void fields(A& a, CopyJobText& t) {
  a("name", t.name), a("content", t.content);
}

/// As ports/files.h has it.
struct CopyJob {
  std::vector<CopyJobTree> trees;
  std::vector<CopyJobSource> sources;
  std::vector<CopyJobText> texts;
  std::string destination;
  std::vector<std::string> exclude;
  bool parents = false, owned = false;
  uint32_t uid = 0, gid = 0;
  std::string chmod;
  std::optional<int64_t> epoch;
  int64_t now = 0;  // seconds
};
template <class A>
void fields(A& a, CopyJob& j) {
  a("trees", j.trees), a("sources", j.sources), a("texts", j.texts), a("destination", j.destination),
      a.opt("exclude", j.exclude), a.opt("parents", j.parents);
  a.opt("owned", j.owned), a.opt("uid", j.uid), a.opt("gid", j.gid), a.opt("chmod", j.chmod),
      a.opt("epoch", j.epoch), a.opt("now", j.now);
}

struct CopyDigestLine {
  std::string kind, digest;
};
template <class A>
void fields(A& a, CopyDigestLine& l) {
  a("kind", l.kind), a("digest", l.digest);
}

}  // namespace panal
