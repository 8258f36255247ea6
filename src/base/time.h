// Time. Durations are std::chrono; wall-clock time is nanoseconds since the Unix epoch (WallTime), monotonic
// time is MonoTime. Pure code gets both handed in; only sys/ reads a clock.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace panal {

using namespace std::chrono_literals;
using Duration = std::chrono::nanoseconds;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;

/// Has `d` passed since `then`? A moment further in the future than `d` was written by a clock that has been
/// set back since (or by another machine's): it counts as past, so that no step of a clock makes anyone wait
/// for long.
inline bool elapsed(WallTime now, WallTime then, Duration d) { return now - then >= d || then - now > d; }

/// "2026-11-20T16:57:59.123456789Z", trailing zeros cut as Go's RFC3339Nano; epoch zero prints as Go's zero
/// time.
std::string rfc3339(WallTime time);
/// As above with always nine digits, as `docker logs --timestamps` prints.
std::string rfc3339_nano(WallTime time);
/// RFC 3339 with any number of fraction digits and Z or an offset.
std::optional<WallTime> parse_rfc3339(std::string_view text);
/// A Docker "since/until" value: seconds[.fraction] since the epoch, RFC 3339 or only the beginning of it
/// ("2026-11-22", "2026-11-22T10:30Z"; without a zone in this machine's), or a Go duration before `now`.
std::optional<WallTime> parse_timestamp(std::string_view text, WallTime now);
/// "About a minute", "2 hours": as docker's units.HumanDuration.
std::string human_duration(Duration d);
/// Go's duration syntax: "1m30s", "100ms".
std::optional<Duration> parse_duration(std::string_view text);
/// The other way, to microseconds below a second and milliseconds above: "50ms", "1.5s", "1m30s", "1h0m5s".
std::string go_duration(Duration d);

}  // namespace panal
