#pragma once
#include "ports/repositories.h"
#include "sys/loop/asio_loop.h"

namespace panal {

/// Nothing of the machine's or the user's configuration counts, no program is asked for a password, and no
/// address leads to local files.
class GitProgram final : public Repositories {
 public:
  explicit GitProgram(AsioLoop& loop) : loop_(loop) {}
  Task<Result<>> check_out(RepositoryWish wish) override;

 private:
  AsioLoop& loop_;
};

}  // namespace panal
