#include "network/subnet.h"

#include <arpa/inet.h>

#include <array>

#include "base/text.h"

namespace panal {

using Bits = unsigned __int128;

static Bits host_mask(const IpSubnet& s) {
  const int host = s.bits() - s.prefix;
  return host >= 128 ? ~Bits{0} : (Bits{1} << host) - 1;
}
IpAddress IpSubnet::first() const { return {base.six, base.value & ~host_mask(*this)}; }
IpAddress IpSubnet::last() const { return {base.six, base.value | host_mask(*this)}; }

std::optional<IpAddress> parse_ip(std::string_view text) {
  std::array<uint8_t, 16> bytes{};
  const std::string whole(text);
  const bool six = text.find(':') != std::string_view::npos;
  if (::inet_pton(six ? AF_INET6 : AF_INET, whole.c_str(), bytes.data()) != 1) return std::nullopt;
  IpAddress ip{six, 0};
  for (size_t i = 0; i < (six ? 16u : 4u); ++i) ip.value = ip.value << 8 | bytes[i];
  return ip;
}

std::string ip_text(const IpAddress& ip) {
  std::array<uint8_t, 16> bytes{};
  const size_t size = ip.six ? 16 : 4;
  for (size_t i = 0; i < size; ++i) bytes[size - 1 - i] = static_cast<uint8_t>(ip.value >> (8 * i));
  std::array<char, INET6_ADDRSTRLEN> text{};
  return ::inet_ntop(ip.six ? AF_INET6 : AF_INET, bytes.data(), text.data(), text.size());
}

std::optional<IpSubnet> parse_subnet(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto ip = parse_ip(text.substr(0, slash));
  const auto prefix = parse_int(text.substr(slash + 1));
  if (!ip || !prefix || *prefix < 0 || *prefix > (ip->six ? 128 : 32)) return std::nullopt;
  return IpSubnet{*ip, static_cast<int>(*prefix)};
}

std::string subnet_text(const IpSubnet& s) { return ip_text(s.first()) + "/" + std::to_string(s.prefix); }

std::vector<SubnetPool> default_subnet_pools() {
  std::vector<SubnetPool> pools;
  for (const char* base :
       {"172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/14", "172.24.0.0/14", "172.28.0.0/14"})
    pools.push_back({*parse_subnet(base), 16});
  pools.push_back({*parse_subnet("192.168.0.0/16"), 20});
  return pools;
}

std::optional<IpSubnet> free_subnet(const std::vector<SubnetPool>& pools, bool six,
                                    const std::vector<IpSubnet>& taken) {
  for (const auto& pool : pools) {
    if (pool.base.base.six != six || pool.prefix < pool.base.prefix || pool.prefix > pool.base.bits())
      continue;
    IpSubnet candidate{pool.base.first(), pool.prefix};
    while (pool.base.contains(candidate)) {
      const IpSubnet* blocker = nullptr;
      for (const auto& t : taken)
        if (candidate.overlaps(t)) blocker = &t;
      if (!blocker) return candidate;
      const IpSubnet behind{std::max(blocker->last(), candidate.last()),
                            pool.prefix};  // every step leaves one of `taken` behind
      const IpAddress next{six, behind.last().value + 1};
      if (next <= candidate.base) break;  // past the last address there is
      candidate.base = next;
    }
  }
  return std::nullopt;
}

std::optional<IpAddress> free_ip(const IpSubnet& subnet, const IpSubnet& range,
                                 const std::set<IpAddress>& taken, std::optional<IpAddress> after) {
  IpAddress low = range.first(), high = range.last();
  if (subnet.prefix <
      subnet.bits() - 1) {  // the ends of a subnet belong to nobody (RFC 3021 leaves the pairs)
    if (low == subnet.first()) ++low.value;
    if (high == subnet.last()) --high.value;
  }
  if (high < low) return std::nullopt;
  IpAddress next = low;
  if (after && low <= *after && *after < high) next.value = after->value + 1;
  for (size_t tries = 0; tries <= taken.size(); ++tries) {
    if (!taken.contains(next)) return next;
    if (next == high)
      next = low;
    else
      ++next.value;
  }
  return std::nullopt;
}

}  // namespace panal
