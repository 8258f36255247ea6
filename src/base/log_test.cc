#include "base/log.h"

#include <doctest/doctest.h>

namespace panal::log {

static std::string text(std::string_view pairs) { return line_of(Format::kText, "T", Level::kInfo, pairs); }
static std::string json(std::string_view pairs) { return line_of(Format::kJson, "T", Level::kWarn, pairs); }

TEST_CASE("lines of the log") {
  CHECK(text("msg=\"ready\" version=0.1.0 host=unix:///x") ==
        "time=\"T\" level=info msg=\"ready\" version=0.1.0 host=unix:///x\n");
  CHECK(json("msg=\"ready\" version=0.1.0") ==
        "{\"time\":\"T\",\"level\":\"warning\",\"msg\":\"ready\",\"version\":\"0.1.0\"}\n");
}

TEST_CASE("what somebody else said cannot break a line") {
  CHECK(text("msg=\"failed\" error=\"open \"/x\": no\" id=7") ==
        "time=\"T\" level=info msg=\"failed\" error=\"open \\\"/x\\\": no\" id=7\n");
  CHECK(json("msg=\"failed\" error=\"two\nlines \\ \x01\"") ==
        "{\"time\":\"T\",\"level\":\"warning\",\"msg\":\"failed\",\"error\":\"two\\nlines \\\\ \\u0001\"}\n");
  CHECK(text("msg=\"a\" path=/with space id=1") ==
        "time=\"T\" level=info msg=\"a\" path=\"/with space\" id=1\n");
  CHECK(text("just words") == "time=\"T\" level=info msg=\"just words\"\n");
  CHECK(text("msg=\"\" error=") == "time=\"T\" level=info msg=\"\" error=\"\"\n");
  CHECK(text("msg=\"unfinished") == "time=\"T\" level=info msg=\"unfinished\"\n");
}

}  // namespace panal::log
