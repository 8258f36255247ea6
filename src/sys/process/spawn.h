// Starts programs without a shell. All our descriptors are close-on-exec; what a child needs is named here.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "sys/loop/asio_loop.h"

namespace panal {

struct Spawn {
  std::vector<std::string> argv;  // argv[0] is a path, or a name looked up in PATH
  std::vector<std::string> env;   // over the daemon's own
  std::string cwd;
  bool own_group = false;                // a process group of its own, named by its pid
  std::vector<std::pair<int, int>> fds;  // {ours, number in the child}; 0-2 default to /dev/null
};

/// The child's pid. It must be waited for (wait_status).
Result<int> spawn(const Spawn& what);
/// Exit status of a child of ours: code, or 128 + signal.
Task<Result<int>> wait_status(AsioLoop& loop, int pid, std::optional<Duration> timeout = std::nullopt);

struct Output {
  int status = 0;
  std::string out, err;
};
/// Runs a program to its end, feeding `input`; output is limited to 16 MiB. Kills it at the deadline.
Task<Result<Output>> run_program(AsioLoop& loop, std::vector<std::string> argv, std::string input = {},
                                 Duration timeout = 60s);

}  // namespace panal
