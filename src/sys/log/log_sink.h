// Sockets to journald and syslog.
#pragma once
#include "ports/log_sink.h"
#include "sys/loop/asio_loop.h"

namespace panal {

Task<Result<std::unique_ptr<LogSink>>> open_log_sink(AsioLoop& loop, LogAddress address);

}  // namespace panal
