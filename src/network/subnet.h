// Addresses and subnets of both families as numbers, and what is free among them; pure. network/address.h is
// the overlay's IPv4.
#pragma once
#include <compare>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace panal {

struct IpAddress {
  bool six = false;
  unsigned __int128 value = 0;  // host order
  auto operator<=>(const IpAddress&) const = default;
};

struct IpSubnet {
  IpAddress base;
  int prefix = 32;
  int bits() const { return base.six ? 128 : 32; }
  IpAddress first() const;
  IpAddress last() const;
  bool contains(const IpAddress& ip) const { return ip.six == base.six && first() <= ip && ip <= last(); }
  bool contains(const IpSubnet& o) const { return contains(o.first()) && contains(o.last()); }
  bool overlaps(const IpSubnet& o) const { return contains(o.first()) || o.contains(first()); }
};

std::optional<IpAddress> parse_ip(std::string_view text);
std::string ip_text(const IpAddress& ip);
/// "10.0.0.5/24", "fd00::1/64"; the host part is kept in `base`.
std::optional<IpSubnet> parse_subnet(std::string_view text);
/// The subnet's own spelling, without a host part.
std::string subnet_text(const IpSubnet& subnet);

/// A supply of subnets: those of `prefix` bits inside `base`.
struct SubnetPool {
  IpSubnet base;
  int prefix = 0;
};
std::vector<SubnetPool> default_subnet_pools();
/// First subnet of that family from `pools` that overlaps none of `taken`.
std::optional<IpSubnet> free_subnet(const std::vector<SubnetPool>& pools, bool six,
                                    const std::vector<IpSubnet>& taken);

/// Next free address of `range` after `after` (round robin): never in `taken`, nor the ends of `subnet`.
std::optional<IpAddress> free_ip(const IpSubnet& subnet, const IpSubnet& range,
                                 const std::set<IpAddress>& taken, std::optional<IpAddress> after);

}  // namespace panal
