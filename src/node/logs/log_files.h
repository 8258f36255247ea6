// The files that hold one container's output: conmon writes, the daemon numbers, bounds and packs them.
//
//   container.log        the one being written: a symbolic link to the latest number, or a plain file
//   container.log.7      number 7; numbers only grow
//   container.log.5.gz   an older one, packed
//   container.log.tmp -> container.log.8   what conmon opens when the limit is reached and renames over
//   container.log
//
// conmon (2.1 to 2.2) turns its log over by itself, also while no daemon runs: it opens container.log.tmp and
// renames it over container.log, whose old content would be lost. The prepared link makes the new file a
// numbered one, which the next turn leaves in place. A second turn that the daemon has not seen makes a plain
// file: its number is found out by its inode, and a number left out says that lines may be missing before it.
// So `docker logs` loses nothing while the daemon keeps up, and the disk is bounded always.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "engine/log_options.h"

namespace panal {

/// The one being written, in a container's folder.
inline std::string log_in(const std::string& folder) { return folder + "/container.log"; }

struct LogSegment {
  uint64_t number = 0;
  std::string path;
  bool packed = false, live = false;
};

/// Oldest first; the one being written is the last.
std::vector<LogSegment> log_segments(const std::string& path);

/// Before conmon starts: old files bounded, the link for the first turn in place.
Result<> prepare_log(const std::string& path, const LogLimits& limits);

enum class Hole { kKeepOlder, kDropOlder };
/// After conmon may have turned the log over: numbers what is new, prepares the next turn, removes what is
/// too old. `hole`: what becomes of older files when lines may be missing after them.
void log_turned(const std::string& path, const LogLimits& limits, Hole hole);

/// The next file to pack, if the limits ask for it.
std::optional<LogSegment> log_to_pack(const std::string& path, const LogLimits& limits);
/// Packs one file (gzip) in place; blocks.
Result<> pack_log(const LogSegment& segment);
/// Opened for reading, a packed one as an unpacked temporary copy; blocks then.
Result<Fd> open_segment(const LogSegment& segment);

}  // namespace panal
