// A machine's disk: ports/durable_files.h with the page cache that a kernel keeps. A process that dies leaves
// the cache; a machine that loses power keeps what was synced, of the rest any prefix of what was done to
// folders, and torn files: cut at any byte, holes of zeros in what was not synced. Writes are short now and
// then; space runs out; a sync may fail, and what it should have written is then lost for good. The disk can
// be told to die after so many more calls, which is in the middle of whatever goes on then.
#pragma once
#include <functional>
#include <map>
#include <optional>

#include "ports/durable_files.h"
#include "sim/random.h"

namespace panal::sim {

class SimFiles final : public DurableFiles {
 public:
  explicit SimFiles(Random random) : random_(random) {}

  Result<> make_dirs(const std::string&) override { return {}; }
  Result<std::vector<std::string>> list(const std::string& dir) override;
  Result<std::string> read(const std::string& path, size_t limit_bytes) override;
  Result<std::shared_ptr<File>> open(const std::string& path) override;
  Result<std::shared_ptr<File>> create(const std::string& path) override;
  Result<> rename(const std::string& from, const std::string& to) override;
  Result<> remove(const std::string& path) override;
  Result<> sync_dir(const std::string& dir) override;

  /// How the work of the machine's pool goes: how long a write and its sync take.
  Duration slowest = 3ms;
  Duration work_takes() {
    return random_.chance(0.01) ? random_.between(Duration(20ms), Duration(200ms))
                                : random_.between(Duration(50us), slowest);
  }
  bool short_writes = false;
  std::optional<size_t> room;  // bytes left
  int failing_syncs = 0;       // of the next ones
  int errors = 0;              // that this disk has answered with

  /// All works again from here on.
  void heal() { slowest = 3ms, room.reset(), failing_syncs = 0, calls_left_.reset(); }
  /// The process ends here: from now on nothing it asks for happens.
  void freeze() { frozen_ = true; }
  void freeze_after(uint64_t calls) { calls_left_ = calls; }
  bool frozen() const { return frozen_; }
  /// For the next process; without `power_lost` all is as the last one left it.
  void thaw(bool power_lost);
  /// A new machine.
  void wipe();
  bool has(const std::string& path) const { return now_.contains(path); }

 private:
  struct Inode {
    std::string cache, disk;
    size_t clean = 0;  // so much of the cache is on the disk, or will never be
  };
  using Folder = std::map<std::string, std::shared_ptr<Inode>>;
  class Handle;
  Result<> call(const char* name, const std::string& path);
  void change(std::function<void(Folder&)> what);
  void tear(Inode& file);

  Random random_;
  Folder now_, synced_;
  std::vector<std::function<void(Folder&)>> unsynced_;  // what was done to the folders since
  std::optional<uint64_t> calls_left_;
  bool frozen_ = false;
};

}  // namespace panal::sim
