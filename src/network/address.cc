#include "network/address.h"

#include "base/text.h"

namespace panal {

std::optional<Ip4> parse_ip4(std::string_view text) {
  const auto parts = split(text, '.');
  if (parts.size() != 4) return std::nullopt;
  Ip4 ip = 0;
  for (const auto& part : parts) {
    const auto n = parse_int(part);
    if (!n || *n < 0 || *n > 255 || part.size() > 3 || part[0] == '-') return std::nullopt;
    ip = ip << 8 | static_cast<Ip4>(*n);
  }
  return ip;
}

std::string ip4_text(Ip4 ip) {
  return std::to_string(ip >> 24) + "." + std::to_string(ip >> 16 & 255) + "." +
         std::to_string(ip >> 8 & 255) + "." + std::to_string(ip & 255);
}

std::optional<Cidr> parse_cidr(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto ip = parse_ip4(text.substr(0, slash));
  const auto prefix = parse_int(text.substr(slash + 1));
  if (!ip || !prefix || *prefix < 0 || *prefix > 32) return std::nullopt;
  return Cidr{*ip, static_cast<int>(*prefix)};
}

std::string cidr_text(const Cidr& cidr) { return ip4_text(cidr.first()) + "/" + std::to_string(cidr.prefix); }

std::string mac_of(Ip4 ip) {
  char text[18];
  std::snprintf(text, sizeof text, "02:42:%02x:%02x:%02x:%02x", ip >> 24, ip >> 16 & 255, ip >> 8 & 255,
                ip & 255);
  return text;
}

std::optional<std::string> normal_mac(std::string_view text) {
  if (text.size() != 17 || (text[2] != ':' && text[2] != '-')) return std::nullopt;
  std::string out = lower(text);
  for (size_t i = 0; i < out.size(); ++i) {
    const bool digit = (out[i] >= '0' && out[i] <= '9') || (out[i] >= 'a' && out[i] <= 'f');
    if (i % 3 == 2 ? text[i] != text[2] : !digit) return std::nullopt;
    if (i % 3 == 2) out[i] = ':';
  }
  return out;
}

std::optional<std::pair<uint16_t, uint16_t>> parse_port_range(std::string_view text) {
  const size_t dash = text.find('-');
  const auto first = parse_int(text.substr(0, dash)),
             last = dash == std::string_view::npos ? first : parse_int(text.substr(dash + 1));
  if (!first || !last || *first < 0 || *last < *first || *last > 65535 || (*first == 0 && *last != 0))
    return std::nullopt;
  return std::pair{static_cast<uint16_t>(*first), static_cast<uint16_t>(*last)};
}

std::optional<Cidr> free_subnet(const std::vector<Cidr>& pools, int prefix, const std::vector<Cidr>& taken) {
  for (const auto& pool : pools) {
    const uint64_t step = 1ull << (32 - prefix);
    for (uint64_t base = pool.first(); base + step - 1 <= pool.last(); base += step) {
      const Cidr candidate{static_cast<Ip4>(base), prefix};
      bool free = true;
      for (const auto& t : taken) free &= !candidate.overlaps(t);
      if (free) return candidate;
    }
  }
  return std::nullopt;
}

std::optional<Ip4> free_address(const Cidr& subnet, const std::set<Ip4>& taken, Ip4 after) {
  const uint64_t low = static_cast<uint64_t>(subnet.first()) + 1,
                 high = subnet.last();  // high itself is the broadcast address
  if (low >= high) return std::nullopt;
  const uint64_t count = high - low;
  uint64_t start = after >= low && after < high - 1 ? after + 1ull : low;
  for (uint64_t i = 0; i < count; ++i) {
    const Ip4 candidate = static_cast<Ip4>(low + (start - low + i) % count);
    if (!taken.contains(candidate)) return candidate;
  }
  return std::nullopt;
}

std::vector<std::pair<Cidr, int>> default_local_pools() {
  std::vector<std::pair<Cidr, int>> pools;
  for (Ip4 second = 17; second <= 31; ++second) pools.push_back({Cidr{172u << 24 | second << 16, 16}, 16});
  pools.push_back({Cidr{192u << 24 | 168u << 16, 16}, 20});
  return pools;
}

}  // namespace panal
