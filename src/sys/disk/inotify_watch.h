// FileWatch on inotify(7).
#pragma once
#include "ports/file_watch.h"
#include "sys/loop/asio_loop.h"

namespace panal {
std::unique_ptr<FileWatch> watch_file(AsioLoop& loop, const std::string& path);
}
