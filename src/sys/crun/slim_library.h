// Internal to sys/crun: what conmon and the runtime are loaded with, to take less time and memory.
#pragma once
#include <sys/stat.h>

#include <vector>

#include "sys/process/spawn.h"

namespace panal {

/// panal-slim.so (src/slim/slim.c says what it does) is preloaded into conmon, whose runtime inherits it.
/// Both programs are tried with it first, every name looked up, and anew when one of the files has changed:
/// where something is missing, and until the trial is over, they are started without it. Loop thread only.
class SlimLibrary {
 public:
  /// path: "" for none. The trials are tasks of `scope`, and end within seconds.
  SlimLibrary(AsioLoop& loop, Scope& scope, std::string path, std::vector<std::string> programs);
  /// Begins a trial, unless there is nothing to try.
  void prepare();
  /// Adds to the environment of a program that is about to be spawned.
  void give(Spawn& what);

 private:
  using Seen = std::vector<struct stat>;
  Seen look() const;
  Task<void> try_all();
  Task<bool> loads(std::string program);

  AsioLoop& loop_;
  Scope& scope_;
  std::string path_;
  std::vector<std::string> programs_;
  Seen tried_;  // the files at the last trial's beginning; empty: none yet
  bool trying_ = false, usable_ = false;
};

}  // namespace panal
