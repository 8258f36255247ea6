// docker top: ps runs on the host, and of its answer the container's processes are kept. Pure.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace panal {

struct ProcessTable {
  std::vector<std::string> titles;
  std::vector<std::vector<std::string>> rows;
};

/// Words of `ps_args`, "-ef" when there are none; refuses a column that is only called PID.
Result<std::vector<std::string>> ps_words(const std::string& ps_args);
/// Threads (a "-" for their pid) follow their process.
Result<ProcessTable> parse_ps(const std::string& output, const std::set<int>& pids);

}  // namespace panal
