// RUN --mount=...: what the reference's "RUN --mount" lists.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace panal {

struct RunMount {
  enum class Type { kBind, kCache, kTmpfs, kSecret, kSsh };
  enum class Sharing { kShared, kPrivate, kLocked };
  Type type = Type::kBind;
  std::string target, source, from, id, env;
  bool read_only = false, required = false;
  Sharing sharing = Sharing::kShared;  // of a cache
  std::optional<uint32_t> mode;
  uint32_t uid = 0, gid = 0;
  int64_t size_bytes = 0;  // of a tmpfs; 0: no limit
};

/// The value of one --mount flag, variables expanded.
Result<RunMount> parse_run_mount(const std::string& text);

}  // namespace panal
