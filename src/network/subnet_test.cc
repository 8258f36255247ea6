#include "network/subnet.h"

#include <doctest/doctest.h>

namespace panal {

static IpSubnet net(const char* text) { return *parse_subnet(text); }
static std::string take(const char* subnet, const char* range, std::set<IpAddress> taken,
                        std::optional<IpAddress> after = {}) {
  const auto ip = free_ip(net(subnet), net(range), taken, after);
  return ip ? ip_text(*ip) : "none";
}

TEST_CASE("addresses and subnets are read and written in both families") {
  for (const char* text :
       {"10.0.0.1", "0.0.0.0", "255.255.255.255", "::", "::1", "fd00:1:2::3", "2001:db8::ffff"})
    CHECK(ip_text(*parse_ip(text)) == text);
  for (const char* text : {"", "10.0.0", "10.0.0.256", "10.0.0.1 ", ":::", "fd00::g", "1.2.3.4:"})
    CHECK(!parse_ip(text));
  for (const char* text :
       {"10.0.0.0/33", "10.0.0.0", "10.0.0.0/", "fd00::/129", "fd00::/x", "/24", "10.0.0.0/-1"})
    CHECK(!parse_subnet(text));
  CHECK(subnet_text(net("10.1.2.3/24")) == "10.1.2.0/24");
  CHECK(subnet_text(net("fd00::1:0:0:0:1/64")) == "fd00:0:0:1::/64");
  CHECK(subnet_text(net("::/0")) == "::/0");
  CHECK(ip_text(net("0.0.0.0/0").last()) == "255.255.255.255");
  CHECK(ip_text(net("::/0").last()) == "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

TEST_CASE("containing and overlapping never cross the families") {
  CHECK(net("10.0.0.0/8").contains(net("10.9.0.0/16")));
  CHECK(!net("10.9.0.0/16").contains(net("10.0.0.0/8")));
  CHECK(net("10.9.0.0/16").overlaps(net("10.0.0.0/8")));
  CHECK(!net("::/0").overlaps(net("10.0.0.0/8")));
  CHECK(!net("0.0.0.0/0").contains(*parse_ip("::1")));
}

TEST_CASE("a free subnet is the first that nothing stands in") {
  const auto pools = default_subnet_pools();
  CHECK(subnet_text(*free_subnet(pools, false, {})) == "172.17.0.0/16");
  CHECK(subnet_text(*free_subnet(pools, false, {net("172.16.0.0/14")})) == "172.20.0.0/16");
  CHECK(subnet_text(*free_subnet(pools, false, {net("172.17.3.0/24"), net("172.18.0.0/32")})) ==
        "172.19.0.0/16");
  CHECK(subnet_text(*free_subnet(pools, false, {net("172.16.0.0/12")})) == "192.168.0.0/20");
  CHECK(!free_subnet(pools, false, {net("172.16.0.0/12"), net("192.168.0.0/16")}));
  CHECK(!free_subnet(pools, true, {}));
  CHECK(subnet_text(*free_subnet({{net("fd00::/8"), 64}}, true, {net("fd00::/9")})) == "fd80::/64");
  CHECK(!free_subnet({{net("ff00::/8"), 64}}, true, {net("ff00::/8")}));
  CHECK(!free_subnet({{net("10.0.0.0/24"), 16}}, false, {}));
  CHECK(!free_subnet({{net("255.255.255.0/24"), 25}}, false,
                     {net("255.255.255.0/25"), net("255.255.255.128/25")}));
}

TEST_CASE("addresses go round and never repeat while taken") {
  CHECK(take("10.0.0.0/24", "10.0.0.0/24", {}) == "10.0.0.1");
  CHECK(take("10.0.0.0/24", "10.0.0.0/24", {*parse_ip("10.0.0.1")}) == "10.0.0.2");
  CHECK(take("10.0.0.0/24", "10.0.0.0/24", {}, parse_ip("10.0.0.7")) == "10.0.0.8");
  CHECK(take("10.0.0.0/24", "10.0.0.0/24", {}, parse_ip("10.0.0.254")) == "10.0.0.1");
  CHECK(take("10.0.0.0/24", "10.0.0.128/25", {}) == "10.0.0.128");
  CHECK(take("10.0.0.0/24", "10.0.0.128/25", {}, parse_ip("10.0.0.5")) == "10.0.0.128");
  CHECK(take("10.0.0.0/30", "10.0.0.0/30", {*parse_ip("10.0.0.1")}) == "10.0.0.2");
  CHECK(take("10.0.0.0/30", "10.0.0.0/30", {*parse_ip("10.0.0.1"), *parse_ip("10.0.0.2")}) == "none");
  CHECK(take("10.0.0.0/31", "10.0.0.0/31", {}) == "10.0.0.0");
  CHECK(take("10.0.0.9/32", "10.0.0.9/32", {*parse_ip("10.0.0.9")}) == "none");
  CHECK(take("fd00::/64", "fd00::/64", {*parse_ip("fd00::1")}) == "fd00::2");
}

}  // namespace panal
