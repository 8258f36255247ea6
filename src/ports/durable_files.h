// The seam to files that must outlive a crash, call by call: each may fail, and each may be the last. The
// daemon implements it on system calls (sys/disk), the simulator on a page cache that a machine without power
// forgets.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace panal {

class DurableFiles {
 public:
  /// Open for writing at its end. write() and sync() may run on the pool, one call at a time.
  class File {
   public:
    virtual ~File() = default;
    /// How much of it was taken: at least one byte.
    virtual Result<size_t> write(std::string_view data) = 0;
    /// After this a crash loses nothing of what the file holds.
    virtual Result<> sync() = 0;
  };

  virtual ~DurableFiles() = default;
  virtual Result<> make_dirs(const std::string& path) = 0;
  /// Names of the files in a folder, in no order.
  virtual Result<std::vector<std::string>> list(const std::string& dir) = 0;
  virtual Result<std::string> read(const std::string& path, size_t limit_bytes) = 0;
  virtual Result<std::shared_ptr<File>> open(const std::string& path) = 0;
  /// Empty, whatever was there; for the owner only.
  virtual Result<std::shared_ptr<File>> create(const std::string& path) = 0;
  virtual Result<> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<> remove(const std::string& path) = 0;
  /// After this a crash undoes no create, rename or remove in this folder.
  virtual Result<> sync_dir(const std::string& dir) = 0;
};

}  // namespace panal
