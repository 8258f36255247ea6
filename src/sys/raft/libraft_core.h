// raft::Core on libraft 0.22.1's raft_step(), with the workarounds that its driver owes it:
// - a received batch is cut so that a membership change is always its first entry (0.22.1 records it under
// the wrong index);
// - who refuses an earlier leader says where its log ends (0.22.1 says what was on the stack);
// - a server that is no voter in its own configuration votes all the same, and forgets a silent leader
// (0.22.1: neither);
// - stray vote results are dropped; - a follower that lost its log is not believed (it would be left behind
// silently).
#pragma once
#include "raft/core.h"

namespace panal::raft {

std::unique_ptr<Core> make_libraft_core(const Settings& settings);

}  // namespace panal::raft
