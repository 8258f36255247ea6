#include "ports/file_source.h"

#include <unistd.h>

#include <cerrno>

namespace panal {

Source file_source(Loop& loop, std::shared_ptr<Fd> file) {
  return [&loop, file]() -> Task<Result<std::string>> {
    const auto work = [file]() -> Result<std::string> {
      std::string chunk(256 << 10, '\0');
      const ssize_t n = ::read(file->get(), chunk.data(), chunk.size());
      if (n < 0) return fail(sys_error(errno, "read"));
      chunk.resize(static_cast<size_t>(n));
      return chunk;
    };
    co_return co_await blocking(loop, work);
  };
}

}  // namespace panal
