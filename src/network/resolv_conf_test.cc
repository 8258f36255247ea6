#include "network/resolv_conf.h"

#include <doctest/doctest.h>

namespace panal {

TEST_CASE("resolv.conf is read as the resolver reads it") {
  const auto c = parse_resolv_conf(
      "# made by hand\nnameserver 192.0.2.53\nnameserver\t2001:db8::53 ; second\nsearch a.example\ndomain "
      "b.example\nsearch c.example d.example\noptions edns0 ndots:2\noptions rotate\nsortlist "
      "1\nnameserver\n");
  CHECK(c.servers == std::vector<std::string>{"192.0.2.53", "2001:db8::53"});
  CHECK(c.search == std::vector<std::string>{"c.example", "d.example"});
  CHECK(c.options == std::vector<std::string>{"edns0", "ndots:2", "rotate"});
  CHECK(parse_resolv_conf("") == ResolvConf{});
}

TEST_CASE("a server on the host's loopback is none for a container") {
  CHECK(beyond_loopback({"127.0.0.53", "192.0.2.1", "::1", "fe80::1%eth0"}) ==
        std::vector<std::string>{"192.0.2.1", "fe80::1%eth0"});
}

TEST_CASE("the container's wish goes before the daemon's, that before the host's") {
  const ResolvConf host{{"127.0.0.53", "192.0.2.1"}, {"host.example"}, {"edns0"}};
  CHECK(container_resolv_conf(host, {}, {}, false) ==
        "nameserver 192.0.2.1\nsearch host.example\noptions edns0\n");
  CHECK(container_resolv_conf(host, {}, {}, true) ==
        "nameserver 127.0.0.11\nsearch host.example\noptions edns0 ndots:0\n");
  CHECK(container_resolv_conf(host, {{"198.51.100.1"}, {}, {"rotate"}}, {}, false) ==
        "nameserver 198.51.100.1\nsearch host.example\noptions rotate\n");
  CHECK(container_resolv_conf(host, {{"198.51.100.1"}, {}, {}},
                              {{"198.51.100.2"}, {"own.example"}, {"ndots:3"}},
                              true) == "nameserver 127.0.0.11\nsearch own.example\noptions ndots:3\n");
  CHECK(container_resolv_conf(host, {}, {{}, {"."}, {}}, false) == "nameserver 192.0.2.1\noptions edns0\n");
  CHECK(container_resolv_conf({}, {}, {}, false).empty());
}

}  // namespace panal
