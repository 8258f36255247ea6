// What the daemon asks of panal-unpack about a container's files: one JSON argument. The path is another: it
// may be no UTF-8.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace panal {

struct TreeBind {
  std::string source, target;
  bool read_only = false;
};
template <class A>
void fields(A& a, TreeBind& b) {
  a("source", b.source), a("target", b.target), a("read_only", b.read_only);
}

struct TreeJob {
  std::string root;
  bool read_only = false;
  std::vector<TreeBind> binds;
  bool keep_kinds = false, set_owner = false;  // put
  uint32_t uid = 0, gid = 0;
  std::vector<std::string> layers;      // changes: lowest first
  std::optional<int64_t> epoch;         // upper: nothing is newer, seconds
  std::string user_ns;                  // a user namespace to work in
  uint32_t root_uid = 0, root_gid = 0;  // of its root, on the host
};
template <class A>
void fields(A& a, TreeJob& j) {
  a("root", j.root), a("read_only", j.read_only), a("binds", j.binds), a("keep_kinds", j.keep_kinds),
      a("set_owner", j.set_owner);
  a("uid", j.uid), a("gid", j.gid), a("layers", j.layers), a.opt("epoch", j.epoch);
  a.opt("user_ns", j.user_ns), a.opt("root_uid", j.root_uid), a.opt("root_gid", j.root_gid);
}

}  // namespace panal
