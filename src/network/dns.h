// DNS messages (RFC 1035): just enough to answer names of the engine and to recognise what must be forwarded. Pure.
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

constexpr uint16_t kDnsA = 1, kDnsPtr = 12, kDnsAaaa = 28;

/// The single question of a query; nullopt when it is none we understand (then it is answered with FORMERR).
std::optional<DnsQuestion> parse_dns_query(std::string_view packet);
/// Answer with A records (dotted quads), TTL 600 s as Docker's; no records: an empty NOERROR answer.
std::string dns_answer(std::string_view query, const std::vector<std::string>& addresses);
std::string dns_ptr_answer(std::string_view query, const std::string& name);
/// rcode: 1 FORMERR, 2 SERVFAIL, 3 NXDOMAIN.
std::string dns_error(std::string_view query, int rcode);
/// "4.3.2.1.in-addr.arpa" -> "1.2.3.4".
std::optional<std::string> reverse_name(std::string_view name);

}  // namespace panal
