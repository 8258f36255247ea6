// What only one daemon may have: its data root, its exec root and its pid file. Held by locks, which end with
// the process.
#pragma once
#include "base/fd.h"
#include "daemon/options.h"

namespace panal {

struct Claims {
  Fd data_root, exec_root, pidfile;
};
Result<Claims> claim(const DaemonOptions& o);

}  // namespace panal
