#include "network/address.h"

#include <doctest/doctest.h>

namespace panal {

static Cidr cidr(const char* text) { return parse_cidr(text).value(); }

TEST_CASE("addresses both ways") {
  for (const auto* text : {"0.0.0.0", "10.0.0.1", "255.255.255.255"})
    CHECK(ip4_text(parse_ip4(text).value()) == text);
  for (const auto* text : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.-1", "1.2.3.-0", "1..2.3",
                           "1.2.3.4 ", "a.b.c.d", "0001.2.3.4"})
    CHECK_MESSAGE(!parse_ip4(text), std::string(text));
  CHECK(mac_of(*parse_ip4("172.17.0.2")) == "02:42:ac:11:00:02");
  CHECK(normal_mac("02:42:AC:11:00:02") == "02:42:ac:11:00:02");
  CHECK(normal_mac("02-42-ac-11-00-02") == "02:42:ac:11:00:02");
  for (const char* text : {"", "02:42:ac:11:00", "02:42:ac:11:00:0g", "02:42-ac:11:00:02",
                           "02:42:ac:11:00:02:", "0:242:ac:11:00:02"})
    CHECK_MESSAGE(!normal_mac(text), std::string(text));
}

TEST_CASE("networks") {
  const Cidr c = cidr("10.1.2.3/24");
  CHECK(cidr_text(c) == "10.1.2.0/24");
  CHECK(c.base == parse_ip4("10.1.2.3"));
  CHECK(c.contains(*parse_ip4("10.1.2.255")));
  CHECK(!c.contains(*parse_ip4("10.1.3.0")));
  CHECK(cidr("0.0.0.0/0").contains(~0u));
  CHECK(cidr("0.0.0.0/0").last() == ~0u);
  CHECK(cidr("1.2.3.4/32").first() == cidr("1.2.3.4/32").last());
  CHECK(cidr("10.0.0.0/8").overlaps(c));
  CHECK(c.overlaps(cidr("10.0.0.0/8")));
  CHECK(!c.overlaps(cidr("10.1.3.0/24")));
  for (const auto* text : {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0/8", "10.0.0.0/8/8"})
    CHECK_MESSAGE(!parse_cidr(text), std::string(text));
}

TEST_CASE("free subnets go round what is taken, pool after pool") {
  const std::vector<Cidr> pools = {cidr("10.0.0.0/23"), cidr("192.168.0.0/24")};
  std::vector<Cidr> taken;
  std::vector<std::string> got;
  while (auto next = free_subnet(pools, 24, taken)) taken.push_back(*next), got.push_back(cidr_text(*next));
  CHECK(got == std::vector<std::string>{"10.0.0.0/24", "10.0.1.0/24", "192.168.0.0/24"});
  CHECK(cidr_text(free_subnet(pools, 24, {cidr("10.0.0.128/25")}).value()) == "10.0.1.0/24");
  CHECK(!free_subnet(pools, 16, {}));
  CHECK(!free_subnet({cidr("255.255.255.0/24")}, 24, {cidr("0.0.0.0/0")}));
  CHECK(cidr_text(free_subnet({cidr("255.255.255.0/24")}, 25, {cidr("255.255.255.0/25")}).value()) ==
        "255.255.255.128/25");
}

TEST_CASE("free addresses: each host once, round robin, never network or broadcast") {
  const Cidr c = cidr("10.0.0.0/29");
  std::set<Ip4> taken;
  Ip4 last = 0;
  while (auto ip = free_address(c, taken, last)) {
    CHECK(taken.insert(*ip).second);
    CHECK(*ip > c.first());
    CHECK(*ip < c.last());
    last = *ip;
  }
  CHECK(taken.size() == 6);
  taken.erase(c.first() + 2);
  CHECK(free_address(c, taken, last) == c.first() + 2);
  CHECK(free_address(c, {}, c.first() + 3) == c.first() + 4);
  CHECK(free_address(c, {}, c.last()) == c.first() + 1);
  CHECK(!free_address(cidr("10.0.0.0/32"), {}));
  CHECK(!free_address(cidr("10.0.0.0/31"), {}));
  CHECK(free_address(cidr("255.255.255.252/30"), {}, ~0u).has_value());
}

TEST_CASE("ranges of ports") {
  CHECK(parse_port_range("80") == std::pair<uint16_t, uint16_t>{80, 80});
  CHECK(parse_port_range("8000-8002") == std::pair<uint16_t, uint16_t>{8000, 8002});
  CHECK(parse_port_range("0") == std::pair<uint16_t, uint16_t>{0, 0});
  CHECK(parse_port_range("1-65535").has_value());
  for (const auto* text :
       {"", "-", "80-", "-80", "90-80", "65536", "80-65536", "0-80", "a", "80-90-100", "80 "})
    CHECK_MESSAGE(!parse_port_range(text), std::string(text));
}

}  // namespace panal
