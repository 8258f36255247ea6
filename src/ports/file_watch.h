// Tells when a file grows. Implemented on inotify.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "ports/event.h"

namespace panal {

class FileWatch {
 public:
  virtual ~FileWatch() = default;
  /// Returns when the file has changed since the last call, or `other` is notified.
  virtual Task<void> changed(Event& other) = 0;
};
using WatchFile = std::function<std::unique_ptr<FileWatch>(const std::string& path)>;

}  // namespace panal
