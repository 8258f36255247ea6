// Internal to sys/crun: the runtime's program, seen read-only.
#pragma once
#include <sys/stat.h>

#include "sys/process/spawn.h"

namespace panal {

/// Whether two looks at a path have seen one file, and unchanged.
bool same_file(const struct stat& a, const struct stat& b);

/// A container could write to the runtime that starts it through /proc/self/exe (CVE-2019-5736). So crun,
/// each time it is started, first makes a read-only mount of itself and starts again from there, unless its
/// file cannot be written to anyway: then half of its loading is saved. The mount is made once, is attached
/// nowhere, and ends with the last descriptor of it. An upgraded program is noticed.
class RuntimeFile {
 public:
  explicit RuntimeFile(std::string path) : path_(std::move(path)) {}
  /// The path by which a process that is about to be spawned runs it; `number`: a descriptor that the process
  /// has free for it.
  std::string give(Spawn& what, int number);

 private:
  std::string path_;
  Fd fd_;
  struct stat seen_{};
};

}  // namespace panal
