// Git repositories as a build's context or as a source of ADD. Implemented on the program git.
#pragma once
#include <string>

#include "base/result.h"
#include "base/task.h"

namespace panal {

struct RepositoryWish {
  std::string url, ref;  // ref: a branch, a tag or a commit; "" for what the repository calls HEAD
  std::string commit;    // what it must be, or how its name begins; "": any
  std::string dir;       // an empty folder for the files
  bool keep_git_dir = false;
};

class Repositories {
 public:
  virtual ~Repositories() = default;
  /// Checks a repository out, with its submodules. kInvalid: what git says against it.
  virtual Task<Result<>> check_out(RepositoryWish wish) = 0;
};

}  // namespace panal
