// Internal to sys/crun: whose the standard streams of containers and execs become.
#pragma once
#include "ports/runtime.h"

namespace panal {

/// crun makes the user of a process owner of what conmon gave it as standard streams. That is right for
/// pipes, and lets /dev/stdout be opened; but where there is no input, and with a terminal no output, it is
/// the host's /dev/null, whose mode that user could then change for everybody: root of a user namespace when
/// a container starts, any user of an exec. And an exec's pipes stay the host's root's in a user namespace.
/// Where this matters a shell stands before crun. Known of crun 1.8.
struct StreamFix {
  std::string before, after;  // script around crun's command line
  bool none() const { return before.empty() && after.empty(); }
};
StreamFix fix_streams(const MonitorStart& spec);
StreamFix fix_streams(const ExecStart& spec);

/// What conmon is to run as its runtime...
std::string runtime_program(const StreamFix& fix, const std::string& program);
/// ...and with which first arguments.
void add_runtime_script(std::vector<std::string>& argv, const StreamFix& fix, const std::string& program);

}  // namespace panal
