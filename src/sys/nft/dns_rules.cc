#include "sys/nft/dns_rules.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include "sys/nft/batch.h"

namespace panal::nft {

namespace {

constexpr const char* kTable = "panal-dns";
constexpr uint32_t kAddressFrom = 12, kAddressTo = 16;  // in the IPv4 header

/// One rule's expressions: all on register 1.
class Rule {
 public:
  explicit Rule(nlmsghdr* h) : h_(h) {
    mnl_attr_put_strz(h, NFTA_RULE_TABLE, kTable);
    mnl_attr_put_strz(h, NFTA_RULE_CHAIN, "output");
    list_ = mnl_attr_nest_start(h, NFTA_RULE_EXPRESSIONS);
  }
  void end() { mnl_attr_nest_end(h_, list_); }

  Rule& address(uint32_t offset) {
    in_addr resolver{};
    ::inet_pton(AF_INET, "127.0.0.11", &resolver);
    return load(NFT_PAYLOAD_NETWORK_HEADER, offset, 4).equals(&resolver, 4);
  }
  Rule& protocol(uint8_t number) {
    expression("meta", [&] {
      u32(NFTA_META_DREG, NFT_REG_1);
      u32(NFTA_META_KEY, NFT_META_L4PROTO);
    });
    return equals(&number, 1);
  }
  Rule& byte(uint32_t offset, uint8_t value) {
    return load(NFT_PAYLOAD_TRANSPORT_HEADER, offset, 1).equals(&value, 1);
  }
  /// Where `from` stands `to` is written, the checksum at `checksum` corrected.
  Rule& rewrite(uint32_t offset, uint16_t from, uint16_t to, uint32_t checksum) {
    const uint16_t old_port = htons(from), new_port = htons(to);
    load(NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2).equals(&old_port, 2);
    expression("immediate", [&] {
      u32(NFTA_IMMEDIATE_DREG, NFT_REG_1);
      data(NFTA_IMMEDIATE_DATA, &new_port, 2);
    });
    expression("payload", [&] {
      u32(NFTA_PAYLOAD_SREG, NFT_REG_1);
      u32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER), u32(NFTA_PAYLOAD_OFFSET, offset),
          u32(NFTA_PAYLOAD_LEN, 2);
      u32(NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET), u32(NFTA_PAYLOAD_CSUM_OFFSET, checksum),
          u32(NFTA_PAYLOAD_CSUM_FLAGS, 0);
    });
    return *this;
  }

 private:
  template <class F>
  void expression(const char* name, F fill) {
    nlattr* element = mnl_attr_nest_start(h_, NFTA_LIST_ELEM);
    mnl_attr_put_strz(h_, NFTA_EXPR_NAME, name);
    nlattr* content = mnl_attr_nest_start(h_, NFTA_EXPR_DATA);
    fill();
    mnl_attr_nest_end(h_, content);
    mnl_attr_nest_end(h_, element);
  }
  void u32(uint16_t attribute, uint32_t value) { mnl_attr_put_u32(h_, attribute, htonl(value)); }
  void data(uint16_t attribute, const void* bytes, size_t size) {
    nlattr* nest = mnl_attr_nest_start(h_, attribute);
    mnl_attr_put(h_, NFTA_DATA_VALUE, size, bytes);
    mnl_attr_nest_end(h_, nest);
  }
  Rule& load(uint32_t base, uint32_t offset, uint32_t size) {
    expression("payload", [&] {
      u32(NFTA_PAYLOAD_DREG, NFT_REG_1);
      u32(NFTA_PAYLOAD_BASE, base), u32(NFTA_PAYLOAD_OFFSET, offset), u32(NFTA_PAYLOAD_LEN, size);
    });
    return *this;
  }
  Rule& equals(const void* bytes, size_t size) {
    expression("cmp", [&] {
      u32(NFTA_CMP_SREG, NFT_REG_1), u32(NFTA_CMP_OP, NFT_CMP_EQ);
      data(NFTA_CMP_DATA, bytes, size);
    });
    return *this;
  }

  nlmsghdr* h_;
  nlattr* list_;
};

}  // namespace

static std::expected<void, Batch::Refusal> load_rules(uint16_t udp_port, uint16_t tcp_port, bool replace) {
  Batch batch;
  const auto table = [&](int type, int flags) {
    batch.add(type, flags, Family::kIp, 64,
              [](nlmsghdr* h) { mnl_attr_put_strz(h, NFTA_TABLE_NAME, kTable); });
  };
  if (replace)
    table(NFT_MSG_NEWTABLE, NLM_F_CREATE), table(NFT_MSG_DELTABLE, 0), table(NFT_MSG_NEWTABLE, NLM_F_CREATE);
  else
    table(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
  batch.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, Family::kIp, 256, [](nlmsghdr* h) {
    mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, kTable);
    mnl_attr_put_strz(h, NFTA_CHAIN_NAME, "output");
    mnl_attr_put_strz(h, NFTA_CHAIN_TYPE, "filter");
    nlattr* hook = mnl_attr_nest_start(h, NFTA_CHAIN_HOOK);
    mnl_attr_put_u32(h, NFTA_HOOK_HOOKNUM, htonl(NF_INET_LOCAL_OUT));
    mnl_attr_put_u32(
        h, NFTA_HOOK_PRIORITY,
        htonl(static_cast<uint32_t>(-350)));  // before any connection tracking of the container's own
    mnl_attr_nest_end(h, hook);
  });
  const auto rule = [&](auto fill) {
    batch.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, Family::kIp, 1400, [&](nlmsghdr* h) {
      Rule r(h);
      fill(r);
      r.end();
    });
  };
  constexpr uint32_t kUdpChecksum = 6, kTcpChecksum = 16, kIcmpChecksum = 2;
  rule([&](Rule& r) { r.address(kAddressTo).protocol(IPPROTO_UDP).rewrite(2, 53, udp_port, kUdpChecksum); });
  rule([&](Rule& r) { r.address(kAddressTo).protocol(IPPROTO_TCP).rewrite(2, 53, tcp_port, kTcpChecksum); });
  rule(
      [&](Rule& r) { r.address(kAddressFrom).protocol(IPPROTO_UDP).rewrite(0, udp_port, 53, kUdpChecksum); });
  rule(
      [&](Rule& r) { r.address(kAddressFrom).protocol(IPPROTO_TCP).rewrite(0, tcp_port, 53, kTcpChecksum); });
  // "Port unreachable" quotes the datagram: its sender must recognise it, or it waits while no daemon runs.
  constexpr uint32_t kQuotedPort = 8 + 20 + 2;
  rule([&](Rule& r) {
    r.address(kAddressFrom)
        .protocol(IPPROTO_ICMP)
        .byte(0, 3)
        .rewrite(kQuotedPort, udp_port, 53, kIcmpChecksum);
  });
  return batch.commit();
}

// A removal makes the kernel wait for all processors (10 to 20 ms); a new namespace has nothing to remove.
Result<> redirect_dns(uint16_t udp_port, uint16_t tcp_port) {
  auto done = load_rules(udp_port, tcp_port, false);
  if (!done && done.error().message == 0) done = load_rules(udp_port, tcp_port, true);  // the table is there
  if (!done) return fail(wrap("redirect 127.0.0.11:53", done.error().error));
  return {};
}

}  // namespace panal::nft
