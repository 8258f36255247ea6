// ports/durable_files.h on system calls.
#pragma once
#include "ports/durable_files.h"

namespace panal {

std::unique_ptr<DurableFiles> make_posix_files();

}  // namespace panal
