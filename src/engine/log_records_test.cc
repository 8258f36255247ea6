#include "engine/log_records.h"

#include <cstdlib>

#include <doctest/doctest.h>

namespace panal {
namespace {

Container container(std::map<std::string, std::string> options) {
  Container c;
  c.id = std::string(64, 'a'), c.name = "web", c.image_ref = "nginx";
  c.config.labels = {{"team.name", "red"}};
  c.host.log_config = {"journald", std::move(options)};
  return c;
}
const LogEntry kEntry{WallTime(Duration(1'700'000'000'123'456'789)), true, false, "it broke"};

}  // namespace

TEST_CASE("journald: an entry's fields, and values of more than one line") {
  const auto fields = journal_fields(container({{"labels", "team.name"}, {"tag", "{{.Name}}"}}));
  CHECK(fields.at("TEAM_NAME") == "red");
  CHECK(fields.at("CONTAINER_TAG") == "web");
  CHECK(fields.at("SYSLOG_IDENTIFIER") == "web");
  CHECK(fields.at("CONTAINER_ID") == "aaaaaaaaaaaa");
  const std::string record = journal_record({{"A", "x\ny"}}, kEntry);
  CHECK(record == "MESSAGE=it broke\nPRIORITY=3\nSYSLOG_TIMESTAMP=2023-11-14T22:13:20.123456789Z\nA\n" +
                      std::string("\3\0\0\0\0\0\0\0", 8) + "x\ny\n");
  CHECK(journal_record({}, {kEntry.time, false, true, "half"}).find("PRIORITY=6\n") != std::string::npos);
  CHECK(journal_record({}, {kEntry.time, false, true, "half"}).find("CONTAINER_PARTIAL_MESSAGE=true\n") !=
        std::string::npos);
}

TEST_CASE("syslog: the formats") {
  ::setenv("TZ", "UTC", 1);
  const auto record = [](const char* format) {
    return syslog_record(
        syslog_style(container({{"syslog-format", format}, {"syslog-facility", "local0"}}), "host", 7),
        kEntry);
  };
  CHECK(record("") == "<131>Nov 14 22:13:20 aaaaaaaaaaaa[7]: it broke");
  CHECK(record("rfc3164") == "<131>Nov 14 22:13:20 host aaaaaaaaaaaa[7]: it broke");
  CHECK(record("rfc5424") == "<131>1 2023-11-14T22:13:20+00:00 host aaaaaaaaaaaa 7 aaaaaaaaaaaa - it broke");
  CHECK(record("rfc5424micro") ==
        "<131>1 2023-11-14T22:13:20.123456+00:00 host aaaaaaaaaaaa 7 aaaaaaaaaaaa - it broke");
}

}  // namespace panal
