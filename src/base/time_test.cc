#include "base/time.h"

#include <doctest/doctest.h>

namespace panal {

static std::string again(const char* text) {
  const auto t = parse_rfc3339(text);
  return t ? rfc3339(*t) : "none";
}

TEST_CASE("RFC 3339 both ways") {
  CHECK(again("2026-11-20T16:57:59Z") == "2026-11-20T16:57:59Z");
  CHECK(again("2026-11-20T16:57:59.120Z") == "2026-11-20T16:57:59.12Z");
  CHECK(again("2026-11-20T16:57:59.123456789999Z") == "2026-11-20T16:57:59.123456789Z");
  CHECK(again("2026-11-20T18:27:59+01:30") == "2026-11-20T16:57:59Z");
  CHECK(again("2026-11-20T15:57:59-01:00") == "2026-11-20T16:57:59Z");
  CHECK(again("0001-01-01T00:00:00Z") == "0001-01-01T00:00:00Z");
  CHECK(again("1969-12-31T23:59:59.5Z") == "1969-12-31T23:59:59.5Z");
  CHECK(rfc3339_nano(*parse_rfc3339("2026-11-20T16:57:59Z")) == "2026-11-20T16:57:59.000000000Z");
  CHECK(rfc3339_nano(*parse_rfc3339("2026-11-20T16:57:59.5Z")) == "2026-11-20T16:57:59.500000000Z");
}

TEST_CASE("what is no RFC 3339 time is none") {
  for (const auto* text :
       {"", "2026", "2026-11-20", "2026-11-20T16:57", "2026-13-20T16:57:59Z", "2026-11-32T16:57:59Z",
        "2026-11-20T25:57:59Z", "2026-11-20x16:57:59Z", "2026-11-20T16:57x59Z", "2026-11-20T16:57:59",
        "2026-11-20T16:57:59Zjunk", "2026-11-20T16:57:59+0100"})
    CHECK_MESSAGE(!parse_rfc3339(text), std::string(text));
}

TEST_CASE("times that nanoseconds cannot hold are refused or clamped, never wrapped") {
  const auto far = parse_rfc3339("9999-12-31T23:59:59Z");
  if (far) CHECK(far->time_since_epoch().count() > 0);
  for (const auto* text : {"99999999999999", "1701000510005", "-99999999999999"})
    CHECK_MESSAGE(!parse_timestamp(text, WallTime{}), std::string(text));
}

TEST_CASE("since and until") {
  const WallTime now = *parse_rfc3339("2026-11-20T17:00:00Z");
  CHECK(parse_timestamp("1700000000", now) == WallTime(1'700'000'000s));
  CHECK(parse_timestamp("1700000000.000000001", now) == WallTime(1'700'000'000s + 1ns));
  CHECK(parse_timestamp("1700000000.5", now) == WallTime(1'700'000'000s + 500ms));
  CHECK(parse_timestamp("10m", now) == now - 10min);
  CHECK(parse_timestamp("2026-11-20T16:00:00Z", now) == now - 1h);
  CHECK(parse_timestamp("2026-11-20T16Z", now) == now - 1h);
  CHECK(parse_timestamp("2026-11-20T16:30+00:00", now) == now - 30min);
  CHECK(parse_timestamp("2026-11-20Z", now) == now - 17h);
  CHECK(parse_timestamp("2026-11-20", now).has_value());
  CHECK(parse_timestamp("2026-11-20T16:00:00", now).has_value());
  CHECK(!parse_timestamp("2026-11-2", now));
  CHECK(!parse_timestamp("2026-11-20T1", now));
  CHECK(!parse_timestamp("yesterday", now));
  CHECK(!parse_timestamp("", now));
  CHECK(!parse_timestamp("1.x", now));
}

TEST_CASE("Go's durations") {
  CHECK(parse_duration("1m30s") == 90s);
  CHECK(parse_duration("1.5h") == 90min);
  CHECK(parse_duration("100ms") == 100ms);
  CHECK(parse_duration("3us") == 3us);
  CHECK(parse_duration("-2s") == -2s);
  CHECK(parse_duration("0") == 0s);
  for (const auto* text :
       {"", "5", "s", "1x", "1m-3s", "nans", "infs", "--1s", "99999999999h", "-99999999999h"})
    CHECK_MESSAGE(!parse_duration(text), std::string(text));
}

TEST_CASE("durations as Go writes them") {
  CHECK(go_duration(50ms) == "50ms");
  CHECK(go_duration(1500us) == "1.5ms");
  CHECK(go_duration(1500ms) == "1.5s");
  CHECK(go_duration(90s) == "1m30s");
  CHECK(go_duration(3605s) == "1h0m5s");
}

TEST_CASE("human durations as Docker's units") {
  CHECK(human_duration(500ms) == "Less than a second");
  CHECK(human_duration(1s) == "1 second");
  CHECK(human_duration(45s) == "45 seconds");
  CHECK(human_duration(60s) == "About a minute");
  CHECK(human_duration(3min) == "3 minutes");
  CHECK(human_duration(50min) == "50 minutes");
  CHECK(human_duration(60min) == "About an hour");
  CHECK(human_duration(24h) == "24 hours");
  CHECK(human_duration(48h) == "2 days");
  CHECK(human_duration(24h * 14) == "2 weeks");
  CHECK(human_duration(24h * 60) == "2 months");
  CHECK(human_duration(24h * 365 * 2) == "2 years");
}

TEST_CASE("a wait ends at its time, and early rather than never when a clock was set back") {
  const WallTime now{1'800'000'000s};
  CHECK(!elapsed(now, now, 5s));
  CHECK(!elapsed(now, now - 4999ms, 5s));
  CHECK(elapsed(now, now - 5s, 5s));
  CHECK(!elapsed(now, now + 10ms, 5s));  // clocks differ a little
  CHECK(elapsed(now, now + 24h, 5s));
  CHECK(elapsed(now, now, 0s));
  CHECK(elapsed(now, now + 1ms, 0s));
}

}  // namespace panal
