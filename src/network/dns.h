// DNS messages (RFC 1035): just enough to answer names of the engine and to recognise what must be forwarded.
// Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace panal {

struct DnsQuestion {
  std::string name;  // lower case, without the final dot
  uint16_t type = 0, klass = 0;
};

constexpr uint16_t kDnsA = 1, kDnsPtr = 12, kDnsAaaa = 28, kDnsOpt = 41;

/// The single question of a query; nullopt when it is none we understand (then it is answered with FORMERR).
std::optional<DnsQuestion> parse_dns_query(std::string_view packet);
/// Answer with an A or AAAA record for each address, TTL 600 s as Docker's; none: an empty NOERROR answer.
std::string dns_answer(std::string_view query, const std::vector<std::string>& addresses);
std::string dns_ptr_answer(std::string_view query, const std::string& name);
/// rcode: 1 FORMERR, 2 SERVFAIL, 3 NXDOMAIN.
std::string dns_error(std::string_view query, int rcode);
/// How long a datagram to this client may be: what its EDNS record says, else 512.
size_t dns_udp_room(std::string_view query);
/// A reply that is longer than `room` keeps the whole answers that fit and the mark that there are more (the
/// client asks again over TCP).
std::string dns_cut(std::string reply, size_t room);
/// "4.3.2.1.in-addr.arpa" -> "1.2.3.4", and the 32 digits before ".ip6.arpa".
std::optional<std::string> reverse_name(std::string_view name);

}  // namespace panal
