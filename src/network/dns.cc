#include "network/dns.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace panal {

static uint16_t u16(std::string_view p, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(p[at]) << 8 | static_cast<uint8_t>(p[at + 1]));
}
static void put16(std::string& out, unsigned v) {
  out += static_cast<char>(v >> 8);
  out += static_cast<char>(v);
}

// End of the question section's only name, or npos.
static size_t read_name(std::string_view packet, size_t at, std::string& name) {
  while (at < packet.size()) {
    const auto length = static_cast<uint8_t>(packet[at]);
    if (length == 0) return at + 1;
    if (length > 63 || at + 1 + length > packet.size() || name.size() > 255)
      return std::string_view::npos;  // no compression in a question
    if (!name.empty()) name += '.';
    name += packet.substr(at + 1, length);
    at += 1u + length;
  }
  return std::string_view::npos;
}

std::optional<DnsQuestion> parse_dns_query(std::string_view packet) {
  if (packet.size() < 12 || (static_cast<uint8_t>(packet[2]) & 0xf8) != 0 || u16(packet, 4) != 1)
    return std::nullopt;
  DnsQuestion q;
  std::string name;
  const size_t end = read_name(packet, 12, name);
  if (end == std::string_view::npos || end + 4 > packet.size()) return std::nullopt;
  q.name = lower(name), q.type = u16(packet, end), q.klass = u16(packet, end + 2);
  return q;
}

static std::string reply_head(std::string_view query, int rcode, unsigned answers) {
  std::string out(query.substr(0, 2));
  out += static_cast<char>(0x80 | (static_cast<uint8_t>(query[2]) & 0x01));  // QR, RD as asked
  out += static_cast<char>(0x80 | rcode);                                    // RA
  put16(out, 1), put16(out, answers), put16(out, 0), put16(out, 0);
  std::string name;
  const size_t end = read_name(query, 12, name);
  if (end != std::string_view::npos && end + 4 <= query.size())
    out += query.substr(12, end + 4 - 12);
  else
    out[5] = 0;
  return out;
}

static void put_record(std::string& out, uint16_t type, std::string_view data) {
  put16(out, 0xc00c), put16(out, type), put16(out, 1), put16(out, 0), put16(out, 600);
  put16(out, static_cast<unsigned>(data.size()));
  out += data;
}

std::string dns_answer(std::string_view query, const std::vector<std::string>& addresses) {
  std::string out = reply_head(query, 0, static_cast<unsigned>(addresses.size()));
  for (const auto& address : addresses) {
    const bool six = address.find(':') != std::string::npos;
    std::array<char, 16> bytes{};
    ::inet_pton(six ? AF_INET6 : AF_INET, address.c_str(), bytes.data());
    put_record(out, six ? kDnsAaaa : kDnsA, {bytes.data(), six ? 16u : 4u});
  }
  return out;
}

std::string dns_ptr_answer(std::string_view query, const std::string& name) {
  std::string out = reply_head(query, 0, 1), data;
  for (const auto& label : split(name, '.')) {
    data += static_cast<char>(std::min<size_t>(label.size(), 63));
    data += label.substr(0, 63);
  }
  data += '\0';
  put_record(out, kDnsPtr, data);
  return out;
}

std::string dns_error(std::string_view query, int rcode) {
  if (query.size() < 12) return {};
  return reply_head(query, rcode, 0);
}

namespace {

/// Ends of the records after the question, and where the OPT record's size field stands.
struct Walk {
  size_t answers_end = 0;  // of the question, or the last whole answer inside the room
  unsigned answers = 0;
  std::optional<uint16_t> udp_size;
};

size_t skip_name(std::string_view p, size_t at) {
  while (at < p.size()) {
    const auto length = static_cast<uint8_t>(p[at]);
    if (length == 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    if (length > 63) break;
    at += 1u + length;
  }
  return std::string_view::npos;
}

std::optional<Walk> walk(std::string_view p, size_t room) {
  if (p.size() < 12) return std::nullopt;
  Walk out;
  size_t at = 12;
  for (unsigned i = 0; i < u16(p, 4); ++i) {
    at = skip_name(p, at);
    if (at == std::string_view::npos || at + 4 > p.size()) return std::nullopt;
    at += 4;
  }
  out.answers_end = at;
  const unsigned answers = u16(p, 6), records = answers + u16(p, 8) + u16(p, 10);
  for (unsigned i = 0; i < records; ++i) {
    at = skip_name(p, at);
    if (at == std::string_view::npos || at + 10 > p.size()) break;
    if (u16(p, at) == kDnsOpt) out.udp_size = u16(p, at + 2);
    at += 10u + u16(p, at + 8);
    if (at > p.size()) break;
    if (i < answers && at <= room) out.answers_end = at, out.answers = i + 1;
  }
  return out;
}

}  // namespace

size_t dns_udp_room(std::string_view query) {
  const auto w = walk(query, query.size());
  return w && w->udp_size ? std::clamp<size_t>(*w->udp_size, 512, 4096) : 512;
}

std::string dns_cut(std::string reply, size_t room) {
  if (reply.size() <= room) return reply;
  const auto w = walk(reply, room);
  reply.resize(w && w->answers_end <= room ? w->answers_end : 12);
  reply[2] = static_cast<char>(reply[2] | 0x02);
  for (size_t i = 6; i < 12; ++i) reply[i] = 0;
  if (reply.size() == 12)
    reply[4] = reply[5] = 0;
  else
    reply[6] = static_cast<char>(w->answers >> 8), reply[7] = static_cast<char>(w->answers);
  return reply;
}

std::optional<std::string> reverse_name(std::string_view name) {
  static constexpr std::string_view kSuffix = ".in-addr.arpa", kSuffix6 = ".ip6.arpa";
  if (name.ends_with(kSuffix6)) {
    const auto digits = split(name.substr(0, name.size() - kSuffix6.size()), '.');
    if (digits.size() != 32) return std::nullopt;
    std::string text;
    for (size_t i = 32; i-- > 0;) {
      if (digits[i].size() != 1) return std::nullopt;
      text += digits[i];
      if (i % 4 == 0 && i != 0) text += ':';
    }
    in6_addr a{};
    std::array<char, INET6_ADDRSTRLEN> out{};
    if (::inet_pton(AF_INET6, text.c_str(), &a) != 1) return std::nullopt;
    return ::inet_ntop(AF_INET6, &a, out.data(), out.size());
  }
  if (!name.ends_with(kSuffix)) return std::nullopt;
  auto parts = split(name.substr(0, name.size() - kSuffix.size()), '.');
  if (parts.size() != 4) return std::nullopt;
  return parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0];
}

}  // namespace panal
