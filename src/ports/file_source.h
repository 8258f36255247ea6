// A file as a Source, read on the pool.
#pragma once
#include <memory>

#include "base/fd.h"
#include "ports/loop.h"
#include "ports/stream.h"

namespace panal {

Source file_source(Loop& loop, std::shared_ptr<Fd> file);

}  // namespace panal
