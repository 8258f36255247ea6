// What a build tells its client: JSON lines in the order of the Dockerfile, although stages run side by side.
// The first stage that has not ended speaks directly; what others say waits its turn, up to a limit at which
// they wait, too.
#pragma once
#include <string>
#include <vector>

#include "image/progress.h"
#include "ports/loop.h"

namespace panal {

class Transcript {
 public:
  /// `quiet`: nothing is told but errors and the end.
  Transcript(Loop& loop, size_t parts, bool quiet) : loop_(loop), parts_(parts), quiet_(quiet) {}
  Task<void> say(size_t part, std::string text);
  /// A pull's progress.
  void report(size_t part, const ProgressLine& line);
  /// The part ends with this image ("": with none), which is told quietly, too.
  void end(size_t part, const std::string& image_id = {});
  /// What comes next; empty when all parts have ended.
  Task<std::string> next();
  /// Nobody listens any more: nothing waits.
  void abandon();
  static std::string line(std::string_view text);

 private:
  struct Part {
    std::string pending;
    bool ended = false;
  };
  Loop& loop_;
  std::vector<Part> parts_;
  size_t current_ = 0;
  bool quiet_, abandoned_ = false;
  Event changed_;
};

}  // namespace panal
