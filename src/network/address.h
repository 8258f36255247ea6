// IPv4 addresses and pools as numbers; pure.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace panal {

using Ip4 = uint32_t;  // host order

struct Cidr {
  Ip4 base = 0;
  int prefix = 32;
  Ip4 mask() const { return prefix == 0 ? 0 : ~0u << (32 - prefix); }
  Ip4 first() const { return base & mask(); }
  Ip4 last() const { return first() | ~mask(); }
  bool contains(Ip4 ip) const { return (ip & mask()) == first(); }
  bool overlaps(const Cidr& o) const { return contains(o.first()) || o.contains(first()); }
};

std::optional<Ip4> parse_ip4(std::string_view text);
std::string ip4_text(Ip4 ip);
/// "10.0.0.5/24"; the host part is kept in `base`.
std::optional<Cidr> parse_cidr(std::string_view text);
std::string cidr_text(const Cidr& cidr);
/// "02:42:" and the address, as Docker makes MACs.
std::string mac_of(Ip4 ip);
/// "02-42-AC-11-00-02" -> "02:42:ac:11:00:02"; nullopt when it is no address of Ethernet.
std::optional<std::string> normal_mac(std::string_view text);

/// "80" or "8000-8002": first and last port; nullopt when it is no such thing. "0" stands for any.
std::optional<std::pair<uint16_t, uint16_t>> parse_port_range(std::string_view text);

/// First free subnet of `prefix` bits from `pools` that overlaps none of `taken`.
std::optional<Cidr> free_subnet(const std::vector<Cidr>& pools, int prefix, const std::vector<Cidr>& taken);
/// Next free host address of `subnet` after `after` (round robin), leaving out network, broadcast and
/// `taken`.
std::optional<Ip4> free_address(const Cidr& subnet, const std::set<Ip4>& taken, Ip4 after = 0);

/// Docker's default local pools (172.17-31.0.0/16, then 192.168.0.0/20s).
std::vector<std::pair<Cidr, int>> default_local_pools();

}  // namespace panal
