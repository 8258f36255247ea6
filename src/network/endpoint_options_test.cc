#include "network/endpoint_options.h"

#include <doctest/doctest.h>

namespace panal {

TEST_CASE("options of an endpoint") {
  const auto with = [](const char* key, std::string value) {
    return read_endpoint_options({{std::string("com.docker.network.endpoint.") + key, std::move(value)}});
  };
  CHECK(read_endpoint_options({})->interface.empty());
  CHECK(with("ifname", "front0")->interface == "front0");
  for (const char* name : {"", "lo", "..", "a/b", "a b", "a:1", "sixteen-letters-"})
    CHECK_MESSAGE(!with("ifname", name), std::string(name));
  const auto two = with("sysctls", "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.accept_ra=0");
  REQUIRE(two);
  CHECK(two->sysctls.at(0) == std::pair<std::string, std::string>("net/ipv4/conf/IFNAME/log_martians", "1"));
  CHECK(two->sysctls.at(1).first == "net/ipv6/conf/IFNAME/accept_ra");
  for (const char* text :
       {"", "net.ipv4.conf.eth0.x=1", "net.ipv4.conf.IFNAME.x", "net.core.conf.IFNAME.x=1",
        "net.ipv4.../conf.IFNAME.x=1", "net.ipv4.conf.IFNAME../x=1", "a,net.ipv4.conf.IFNAME.x=1"}) {
    const auto got = with("sysctls", text);
    REQUIRE_MESSAGE(!got, std::string(text));
    CHECK(got.error().message.find("unrecognised network interface sysctl") != std::string::npos);
  }
  CHECK(with("other", "x").error().code == Code::kUnsupported);
}

}  // namespace panal
