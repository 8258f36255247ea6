#include "network/dns.h"

#include <doctest/doctest.h>

namespace panal {

static std::string query(const std::string& labels, uint16_t type = kDnsA) {
  std::string out("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  out += labels;
  out += '\0';
  out += static_cast<char>(type >> 8), out += static_cast<char>(type), out += '\0', out += '\1';
  return out;
}
static int rcode(const std::string& answer) { return answer[3] & 15; }

TEST_CASE("a query is read, in lower case") {
  const auto q = parse_dns_query(query("\3Web\7example"));
  REQUIRE(q.has_value());
  CHECK(q->name == "web.example");
  CHECK(q->type == kDnsA);
  CHECK(q->klass == 1);
  CHECK(parse_dns_query(query(""))->name.empty());
  CHECK(parse_dns_query(query("\3web") + "EDNS and more").has_value());
}

TEST_CASE("what is no single question is none, at any length") {
  const std::string whole = query("\3web");
  for (size_t size = 0; size < whole.size(); ++size) CHECK(!parse_dns_query(whole.substr(0, size)));
  std::string answer = whole;
  answer[2] = static_cast<char>(0x80);
  CHECK(!parse_dns_query(answer));
  std::string two = whole;
  two[5] = 2;
  CHECK(!parse_dns_query(two));
  CHECK(!parse_dns_query(query("\xc0\x0c")));
  CHECK(!parse_dns_query(query("\x40" + std::string(64, 'a'))));
  std::string endless;
  for (int i = 0; i < 200; ++i) endless += "\1a";
  CHECK(!parse_dns_query(query(endless)));
}

TEST_CASE("answers carry id, question and addresses") {
  const std::string q = query("\3web");
  const std::string a = dns_answer(q, {"10.0.0.2", "10.0.0.3"});
  CHECK(a.substr(0, 2) == q.substr(0, 2));
  CHECK((static_cast<uint8_t>(a[2]) & 0x80) != 0);
  CHECK((a[2] & 1) == 1);
  CHECK(a[5] == 1);
  CHECK(a[7] == 2);
  CHECK(a.substr(12, q.size() - 12) == q.substr(12));
  CHECK(a.size() == q.size() + 2 * 16);
  CHECK(a.substr(a.size() - 4) == std::string("\x0a\x00\x00\x03", 4));
  CHECK(dns_answer(q, {}).size() == q.size());
  CHECK(rcode(dns_answer(q, {})) == 0);
  const std::string p = dns_ptr_answer(q, "web.1.net");
  CHECK(
      p.ends_with(std::string("\3web\1"
                              "1\3net\0",
                              11)));
}

TEST_CASE("errors answer what can be answered") {
  CHECK(rcode(dns_error(query("\3web"), 3)) == 3);
  CHECK(rcode(dns_error(query("\3web").substr(0, 12), 1)) == 1);
  CHECK(dns_error(query("\3web").substr(0, 13), 1).size() == 12);
  CHECK(dns_error(query("\3web").substr(0, 13), 1)[5] == 0);
  CHECK(dns_error("short", 1).empty());
}

TEST_CASE("reverse names") {
  CHECK(reverse_name("4.3.2.1.in-addr.arpa") == "1.2.3.4");
  CHECK(!reverse_name("3.2.1.in-addr.arpa"));
  CHECK(!reverse_name("web"));
  CHECK(reverse_name("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa") ==
        "fd00:0:0:1::2");
  CHECK(!reverse_name("2.0.0.0.ip6.arpa"));
  CHECK(!reverse_name("g.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa"));
}

TEST_CASE("IPv6 addresses are AAAA records") {
  const std::string q = query("\3web", kDnsAaaa), a = dns_answer(q, {"fd00::2"});
  CHECK(a.size() == q.size() + 12 + 16);
  CHECK(a.substr(q.size() + 2, 2) == std::string("\0\x1c", 2));
  CHECK(a.ends_with(std::string("\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2", 16)));
}

TEST_CASE("a client gets as much in a datagram as it said it takes") {
  const auto with_edns = [](unsigned size) {
    std::string q = query("\3web");
    q[11] = 1;
    return q + std::string("\0\0\x29", 3) + static_cast<char>(size >> 8) + static_cast<char>(size) +
           std::string(6, '\0');
  };
  CHECK(dns_udp_room(query("\3web")) == 512);
  CHECK(dns_udp_room(with_edns(1232)) == 1232);
  CHECK(dns_udp_room(with_edns(65535)) == 4096);
  CHECK(dns_udp_room(with_edns(100)) == 512);
  CHECK(dns_udp_room("x") == 512);
}

TEST_CASE("a long reply is cut between two answers, and says so") {
  const std::string q = query("\4pool");
  const std::string whole = dns_answer(q, std::vector<std::string>(100, "10.0.0.1"));
  CHECK(dns_cut(whole, whole.size()) == whole);
  const std::string cut = dns_cut(whole, 512);
  const size_t fit = (512 - q.size()) / 16;
  CHECK(cut.size() == q.size() + fit * 16);
  CHECK((cut[2] & 2) == 2);
  CHECK(static_cast<size_t>(static_cast<uint8_t>(cut[7])) == fit);
  CHECK(cut.substr(12) == whole.substr(12, cut.size() - 12));
  for (size_t size = 12; size < whole.size(); size += 7)
    CHECK(dns_cut(whole.substr(0, size), 12).size() <= 12);
}

}  // namespace panal
