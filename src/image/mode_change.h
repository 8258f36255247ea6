// --chmod of COPY and ADD: an octal mode, or changes as chmod(1) has them ("u=rwX,go=rX", "+x", "g=u-w"). A
// clause without u, g, o or a leaves out what the usual umask 022 does.
#pragma once
#include <sys/types.h>

#include <string_view>
#include <vector>

#include "base/result.h"

namespace panal {

class ModeChange {
 public:
  static Result<ModeChange> parse(std::string_view text);
  /// `mode` with its kind; only permissions, set-id bits and the sticky bit change.
  mode_t apply(mode_t mode) const;

 private:
  struct Step {
    char operation = '=';
    mode_t clears = 07777;   // of "="
    mode_t allowed = 07777;  // all else is not touched
    mode_t bits = 0;
    bool run_if_any = false;  // X
    char like = 0;            // u, g or o: their permissions as they are then
  };
  std::vector<Step> steps_;
};

}  // namespace panal
