// Runs panal-unpack with its standard input and output as streams. Its exit status tells whose fault a
// failure is (unpack/main.cc).
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "ports/stream.h"
#include "sys/loop/asio_loop.h"

namespace panal {

/// `source` may be null: no input. A sink or a source that fails ends the program. `running(pid)` when it has
/// started, `running(0)` when it has ended; the call itself may last longer, until source and sink are done.
Task<Result<>> run_helper(AsioLoop& loop, std::vector<std::string> argv, Source source, Sink sink,
                          std::function<void(int)> running = {});

}  // namespace panal
