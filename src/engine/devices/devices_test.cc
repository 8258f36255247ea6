#include "engine/devices/devices.h"

#include <doctest/doctest.h>

#include "engine/links.h"

namespace panal {

TEST_CASE("device rules") {
  const auto rule = parse_device_rule("c 10:* rwm").value();
  CHECK(rule.type == 'c');
  CHECK(rule.major == 10);
  CHECK(!rule.minor);
  CHECK(rule.access == "rwm");
  CHECK(parse_device_rule("a *:* r").has_value());
  for (const auto* text : {"", "c", "c 1:1", "x 1:1 r", "c 1 r", "c 1:1 q", "c 1:1 rr", "c -1:1 r",
                           "c 1:99999999999 r", "c 1:1 r extra", "cc 1:1 r"})
    CHECK_MESSAGE(parse_device_rule(text).error().message ==
                      "invalid device cgroup rule format: '" + std::string(text) + "'",
                  std::string(text));
}

TEST_CASE("links and their variables") {
  CHECK(parse_link("db:store").value().alias == "store");
  CHECK(parse_link("db").value().alias == "db");
  const Link shown = parse_link("/db:/web/store").value();
  CHECK(shown.target == "db");
  CHECK(shown.alias == "store");
  for (const auto* text : {"", "a:b:c", ":x", "x:", "a/b"})
    CHECK_MESSAGE(!parse_link(text), std::string(text));
  ContainerConfig c;
  c.exposed_ports = {{"53/udp", {}}, {"80/tcp", {}}, {"9/tcp", {}}}, c.env = {"PATH=/", "A=1=2"};
  CHECK(link_variables("web", "my-db", "172.17.0.2", c) ==
        std::vector<std::string>{"MY_DB_PORT=tcp://172.17.0.2:9", "MY_DB_PORT_9_TCP=tcp://172.17.0.2:9",
                                 "MY_DB_PORT_9_TCP_ADDR=172.17.0.2", "MY_DB_PORT_9_TCP_PORT=9",
                                 "MY_DB_PORT_9_TCP_PROTO=tcp", "MY_DB_PORT_80_TCP=tcp://172.17.0.2:80",
                                 "MY_DB_PORT_80_TCP_ADDR=172.17.0.2", "MY_DB_PORT_80_TCP_PORT=80",
                                 "MY_DB_PORT_80_TCP_PROTO=tcp", "MY_DB_PORT_53_UDP=udp://172.17.0.2:53",
                                 "MY_DB_PORT_53_UDP_ADDR=172.17.0.2", "MY_DB_PORT_53_UDP_PORT=53",
                                 "MY_DB_PORT_53_UDP_PROTO=udp", "MY_DB_NAME=/web/my-db", "MY_DB_ENV_A=1=2"});
}

}  // namespace panal
