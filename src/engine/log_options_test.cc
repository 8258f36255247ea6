#include "engine/log_options.h"

#include <doctest/doctest.h>

namespace panal {
namespace {

using Options = std::map<std::string, std::string>;
std::string refusal(const std::string& driver, Options options) {
  const auto plan = log_plan({driver, std::move(options)});
  return plan ? "" : plan.error().message;
}
LogLimits limits(const std::string& driver, Options options) {
  return log_plan({driver, std::move(options)}).value().limits;
}

}  // namespace

TEST_CASE("log options: nothing is unbounded unless asked for") {
  for (const auto* driver : {"json-file", "local", "journald", "syslog"}) {
    const auto l = limits(driver, {});
    CHECK(l.max_size_bytes == 20'000'000);
    CHECK(l.max_files == 5);
    CHECK(l.compress == (std::string(driver) != "json-file"));
  }
  CHECK(limits("json-file", {{"max-size", "-1"}}).max_size_bytes == 0);
  CHECK(!log_plan({"none", {{"whatever", "x"}}})->kept);
}

TEST_CASE("log options: sizes are decimal, as Docker's for logs") {
  CHECK(limits("json-file", {{"max-size", "100k"}}).max_size_bytes == 100'000);
  CHECK(limits("json-file", {{"max-size", "1.5m"}}).max_size_bytes == 1'500'000);
  CHECK(limits("json-file", {{"max-size", "2GB"}}).max_size_bytes == 2'000'000'000);
  CHECK(limits("json-file", {{"max-size", "10 MiB"}}).max_size_bytes == 10'000'000);
  CHECK(limits("json-file", {{"max-size", "512"}}).max_size_bytes == 512);
  CHECK(limits("json-file", {{"max-size", "1m"}}).max_files == 1);
  CHECK(limits("json-file", {{"max-size", "1m"}, {"max-file", "3"}, {"compress", "true"}}).compress);
  CHECK(limits("journald", {{"cache-max-size", "1m"}, {"cache-max-file", "2"}}).max_size_bytes == 1'000'000);
  for (const auto* text : {"", "x", "1x", "m", "1mm", "1 2"})
    CHECK_MESSAGE(refusal("json-file", {{"max-size", text}}) == "invalid size: '" + std::string(text) + "'",
                  std::string(text));
}

TEST_CASE("log options: refused with Docker's words") {
  CHECK(refusal("nosuch", {}) == "logger: no log driver named 'nosuch' is registered");
  CHECK(refusal("json-file", {{"nonsense", "1"}}) == "unknown log opt 'nonsense' for json-file log driver");
  CHECK(refusal("local", {{"nonsense", "1"}}) == "unknown log opt 'nonsense' for log driver local");
  CHECK(refusal("syslog", {{"max-size", "1m"}}) == "unknown log opt 'max-size' for syslog log driver");
  CHECK(refusal("json-file", {{"max-size", "0"}}) == "max-size must be a positive number");
  CHECK(refusal("json-file", {{"max-file", "0"}}) == "max-file cannot be less than 1");
  CHECK(refusal("json-file", {{"max-file", "x"}}) == "strconv.Atoi: parsing \"x\": invalid syntax");
  CHECK(refusal("json-file", {{"compress", "true"}}) ==
        "compress cannot be true when max-file is less than 2 or max-size is not set");
  CHECK(refusal("json-file", {{"compress", "maybe"}}) ==
        "strconv.ParseBool: parsing \"maybe\": invalid syntax");
  CHECK(refusal("json-file", {{"mode", "sometimes"}}) == "logger: logging mode not supported: sometimes");
  CHECK(refusal("json-file", {{"max-buffer-size", "1m"}}) ==
        "logger: max-buffer-size option is only supported with 'mode=non-blocking'");
  CHECK(refusal("json-file", {{"mode", "non-blocking"}, {"max-buffer-size", "1m"}}) == "");
  CHECK(refusal("syslog", {{"syslog-address", "http://x"}}) == "unsupported scheme: 'http'");
  CHECK(refusal("syslog", {{"syslog-facility", "nope"}}) == "invalid syslog facility");
  CHECK(refusal("syslog", {{"syslog-format", "nope"}}) == "Invalid syslog format");
  for (const char* bad : {"(", "a++", "a+++++++++++++++++++++++++++++++",
                          "((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+", "(a{1000}){1000}", "a{,5000}"})
    CHECK_MESSAGE(refusal("json-file", {{"labels-regex", bad}})
                      .starts_with("log opt labels-regex: not a regular expression"),
                  std::string(bad));
  CHECK(refusal("json-file", {{"labels-regex", "^(prod|test)[a-z]+-[0-9]{1,3}\\.?.*$"}}) == "");
  CHECK(refusal("json-file", {{"tag", "{{.Nope}}"}}).starts_with("log opt tag: {{.Nope}} is not supported"));
}

TEST_CASE("syslog over TLS") {
  const std::string at = "tcp+tls://logs.example:6514";
  CHECK(refusal("syslog", {{"syslog-address", at}}) == "");
  CHECK(refusal("syslog", {{"syslog-address", "tcp://x"}, {"syslog-tls-ca-cert", "/ca"}}) ==
        "log opt syslog-tls-ca-cert needs a syslog-address that begins with tcp+tls://");
  CHECK(refusal("syslog", {{"syslog-address", at}, {"syslog-tls-cert", "/c"}}) ==
        "log opt syslog-tls-cert and syslog-tls-key go together");
  CHECK(refusal("syslog", {{"syslog-address", at}, {"syslog-tls-skip-verify", "perhaps"}}) ==
        "strconv.ParseBool: parsing \"perhaps\": invalid syntax");
  CHECK(refusal("syslog", {{"syslog-address", at}, {"syslog-tls-nothing", ""}}) ==
        "unknown log opt 'syslog-tls-nothing' for syslog log driver");
  const auto address = syslog_address({{"syslog-address", "tcp+tls://[::1]"},
                                       {"syslog-tls-ca-cert", "/ca"},
                                       {"syslog-tls-cert", "/c"},
                                       {"syslog-tls-key", "/k"},
                                       {"syslog-tls-skip-verify", ""},
                                       {"syslog-format", "rfc5424"}});
  REQUIRE(address.has_value());
  CHECK(address->target == "[::1]:514");
  CHECK(address->ca_file + address->certificate_file + address->key_file == "/ca/c/k");
  CHECK(address->skip_verify);
  CHECK(address->counted);
  CHECK(!syslog_address({{"syslog-address", at}, {"syslog-tls-skip-verify", "false"}})->skip_verify);
  CHECK(!syslog_address({{"syslog-address", at}})->counted);
}

TEST_CASE("syslog addresses and facilities") {
  CHECK(parse_syslog_address("")->target == "/dev/log");
  CHECK(parse_syslog_address("udp://host")->target == "host:514");
  CHECK(parse_syslog_address("tcp://1.2.3.4:1514")->target == "1.2.3.4:1514");
  CHECK(parse_syslog_address("tcp://[::1]")->target == "[::1]:514");
  CHECK(parse_syslog_address("unixgram:///run/x")->target == "/run/x");
  CHECK(!parse_syslog_address("udp://host:port"));
  CHECK(!parse_syslog_address("unix://relative"));
  CHECK(parse_syslog_facility("").value() == 3);
  CHECK(parse_syslog_facility("local7").value() == 23);
  CHECK(parse_syslog_facility("16").value() == 16);
  CHECK(!parse_syslog_facility("24"));
}

TEST_CASE("attributes of a log: what labels, env, their expressions and tag choose") {
  Container c;
  c.id = std::string(64, 'a'), c.name = "web", c.image_ref = "nginx",
  c.image_id = "sha256:" + std::string(64, 'b'), c.path = "sh", c.args = {"-c", "x"};
  c.config.labels = {{"team", "red"}, {"prod.a", "1"}, {"prod.b", "2"}},
  c.config.env = {"HOME=/", "LANG=C", "OS=x y"};
  c.host.log_config.config = {{"labels", "team,none"},
                              {"labels-regex", "^prod"},
                              {"env", "OS"},
                              {"env-regex", "^LA"},
                              {"tag", "{{.Name}}/{{ .ImageName }}/{{.ID}}"}};
  CHECK(log_attributes(c) == Options{{"team", "red"},
                                     {"prod.a", "1"},
                                     {"prod.b", "2"},
                                     {"OS", "x y"},
                                     {"LANG", "C"},
                                     {"tag", "web/nginx/aaaaaaaaaaaa"}});
  CHECK(details_text({{"a", "x y"}, {"b/c", "1"}}) == "a=x+y,b%2fc=1");
  CHECK(log_tag("{{.FullID}}-{{.ImageID}} {{.Command}} {{.DaemonName}}", c).value() ==
        c.id + "-bbbbbbbbbbbb sh -c x docker");
  CHECK(!log_tag("{{.ID", c));
}

}  // namespace panal
