#include "sys/nft/ruleset.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "sys/nft/tables.h"

namespace panal::nft {

namespace {

int type_of(const nlmsghdr* h) {
  return (h->nlmsg_type >> 8) == NFNL_SUBSYS_NFTABLES ? h->nlmsg_type & 0xff : -1;
}

TableName table_of(const nlmsghdr* h) {
  TableName out{static_cast<Family>(static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(h))->nfgen_family),
                ""};
  each_attribute(h, sizeof(nfgenmsg), [&](const nlattr* a) {
    if (mnl_attr_get_type(a) == 1 && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
      out.second = mnl_attr_get_str(a);  // attribute 1 names the table in every message
  });
  return out;
}

const char* family_text(Family family) {
  return family == Family::kInet ? "inet" : family == Family::kIp6 ? "ip6" : "ip";
}

}  // namespace

std::optional<std::string> table_comment(const TableName& table) {
  std::optional<std::string> out;
  (void)dump(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE, table.first, [&](const nlmsghdr* h) {
    if (table_of(h) != table) return;
    out = "";
    each_attribute(h, sizeof(nfgenmsg), [&](const nlattr* a) {
      if (mnl_attr_get_type(a) != NFTA_TABLE_USERDATA || mnl_attr_get_payload_len(a) < 3) return;
      const auto* data =
          static_cast<const char*>(mnl_attr_get_payload(a));  // type 0 (comment), length, text with its end
      const size_t length = std::min<size_t>(static_cast<uint8_t>(data[1]), mnl_attr_get_payload_len(a) - 2u);
      if (data[0] == 0 && length > 0) out = std::string(data + 2, length - 1);
    });
  });
  return out;
}

Result<Fd> hear_changes() { return netfilter_socket(1u << (NFNLGRP_NFTABLES - 1)); }

News news_in(std::string_view messages, const std::set<TableName>& ours) {
  News news;
  int left = static_cast<int>(messages.size());
  for (const auto* h = reinterpret_cast<const nlmsghdr*>(messages.data()); mnl_nlmsg_ok(h, left);
       h = mnl_nlmsg_next(h, &left)) {
    const int type = type_of(h);
    if (type < 0 || type == NFT_MSG_NEWGEN || h->nlmsg_len < sizeof(nlmsghdr) + sizeof(nfgenmsg)) continue;
    if ((h->nlmsg_pid & kOurPortMask) == kOurPort) continue;
    if (ours.contains(table_of(h)))
      news.damage = true;
    else if (type == NFT_MSG_NEWCHAIN || type == NFT_MSG_DELCHAIN || type == NFT_MSG_NEWRULE ||
             type == NFT_MSG_DELRULE)
      news.chains = true;
  }
  return news;
}

News read_changes(int fd, const std::set<TableName>& ours) {
  News news;
  alignas(8) std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && errno == ENOBUFS) {  // more came than was read: anything may have happened
      news.damage = news.chains = true;
      continue;
    }
    if (n <= 0) return news;
    const News more = news_in({buffer.data(), static_cast<size_t>(n)}, ours);
    news.damage |= more.damage, news.chains |= more.chains;
  }
}

namespace {

constexpr int kInSide = 1, kOutSide = 2;

struct ForwardChain {
  TableName table;
  std::string name;
  bool drops = false;
  bool last_rule_ends = false;  // the last rule stops everything that came so far
  int accepted = 0;             // sides of our bridges that a rule accepts
};

struct RuleSense {
  bool ends = false;  // drops or rejects whatever comes
  int accepted = 0;   // sides of our bridges it accepts
};

void each_expression(const nlattr* expressions,
                     const std::function<void(const std::string& name, const nlattr* content)>& each) {
  each_nested(expressions, [&](const nlattr* element) {
    std::string name;
    each_nested(element, [&](const nlattr* a) {
      if (mnl_attr_get_type(a) == NFTA_EXPR_NAME) name = mnl_attr_get_str(a);
      if (mnl_attr_get_type(a) == NFTA_EXPR_DATA) each(name, a);
    });
  });
}

const nlattr* find(const nlattr* nest, int type) {
  const nlattr* out = nullptr;
  if (nest) each_nested(nest, [&](const nlattr* a) { out = mnl_attr_get_type(a) == type ? a : out; });
  return out;
}

// An interface group is compared as an nft expression, or inside iptables' match of that name.
RuleSense sense_of(const nlattr* expressions) {
  RuleSense out;
  bool conditions = false, stops = false, accepts = false;
  int side = 0, ours = 0;
  each_expression(expressions, [&](const std::string& name, const nlattr* content) {
    if (name == "counter" || name == "log") return;
    if (name == "reject") {
      stops = true;
    } else if (name == "immediate") {
      const nlattr* code =
          find(find(find(content, NFTA_IMMEDIATE_DATA), NFTA_DATA_VERDICT), NFTA_VERDICT_CODE);
      stops |= code && ntohl(mnl_attr_get_u32(code)) == NF_DROP,
          accepts |= code && ntohl(mnl_attr_get_u32(code)) == NF_ACCEPT;
    } else {
      conditions = true;
      if (name == "meta") {
        const nlattr* key = find(content, NFTA_META_KEY);
        const uint32_t what = key ? ntohl(mnl_attr_get_u32(key)) : 0;
        side = what == NFT_META_IIFGROUP ? kInSide : what == NFT_META_OIFGROUP ? kOutSide : 0;
      } else if (name == "cmp") {
        const nlattr* value = find(find(content, NFTA_CMP_DATA), NFTA_DATA_VALUE);
        if (value && mnl_attr_get_payload_len(value) == 4 && mnl_attr_get_u32(value) == kBridgeGroup)
          ours |= side;
      } else if (name == "match") {
        const nlattr *match = find(content, NFTA_MATCH_NAME), *info = find(content, NFTA_MATCH_INFO);
        if (!match || !info || std::string_view(mnl_attr_get_str(match)) != "devgroup" ||
            mnl_attr_get_payload_len(info) < 20)
          return;
        std::array<uint32_t, 5>
            v;  // struct xt_devgroup_info: flags, source group and mask, destination group and mask
        std::memcpy(v.data(), mnl_attr_get_payload(info), sizeof v);
        if ((v[0] & 1) && v[1] == kBridgeGroup) ours |= kInSide;
        if ((v[0] & 4) && v[3] == kBridgeGroup) ours |= kOutSide;
      }
    }
  });
  out.ends = stops && !conditions, out.accepted = accepts ? ours : 0;
  return out;
}

}  // namespace

Result<std::vector<ClosedChain>> closed_forward_chains(const std::set<TableName>& ours) {
  std::vector<ForwardChain> chains;
  TRYV(dump(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN, Family::kAny, [&](const nlmsghdr* h) {
    ForwardChain c{table_of(h), "", false, false};
    bool forwards = false;
    each_attribute(h, sizeof(nfgenmsg), [&](const nlattr* a) {
      if (mnl_attr_get_type(a) == NFTA_CHAIN_NAME) c.name = mnl_attr_get_str(a);
      if (mnl_attr_get_type(a) == NFTA_CHAIN_POLICY) c.drops = ntohl(mnl_attr_get_u32(a)) == NF_DROP;
      const nlattr* number = mnl_attr_get_type(a) == NFTA_CHAIN_HOOK ? find(a, NFTA_HOOK_HOOKNUM) : nullptr;
      forwards |= number && ntohl(mnl_attr_get_u32(number)) == NF_INET_FORWARD;
    });
    const bool routed =
        c.table.first == Family::kInet || c.table.first == Family::kIp || c.table.first == Family::kIp6;
    if (forwards && routed && !ours.contains(c.table)) chains.push_back(std::move(c));
  }));
  if (chains.empty()) return std::vector<ClosedChain>{};
  TRYV(dump(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE, Family::kAny, [&](const nlmsghdr* h) {
    const TableName table = table_of(h);
    std::string chain;
    RuleSense sense;
    each_attribute(h, sizeof(nfgenmsg), [&](const nlattr* a) {
      if (mnl_attr_get_type(a) == NFTA_RULE_CHAIN) chain = mnl_attr_get_str(a);
      if (mnl_attr_get_type(a) == NFTA_RULE_EXPRESSIONS) sense = sense_of(a);
    });
    for (auto& c : chains)
      if (c.table == table && c.name == chain) c.last_rule_ends = sense.ends, c.accepted |= sense.accepted;
  }));
  std::vector<ClosedChain> out;
  for (const auto& c : chains) {
    if ((!c.drops && !c.last_rule_ends) || c.accepted == (kInSide | kOutSide)) continue;
    const std::string family = family_text(c.table.first), table = family + " " + c.table.second;
    const bool iptables = c.table.second == "filter" && c.name == "FORWARD" && c.table.first != Family::kInet;
    std::string remedy;
    for (const std::string side : {"in", "out"}) {
      if (!remedy.empty()) remedy += "; ";
      if (iptables)
        remedy += fmt::format("{} -I FORWARD -m devgroup --{}-group 0x{:x} -j ACCEPT",
                              family == "ip6" ? "ip6tables" : "iptables", side == "in" ? "src" : "dst",
                              kBridgeGroup);
      else
        remedy += fmt::format("nft insert rule {} {} {} 0x{:x} accept", table, c.name,
                              side == "in" ? "iifgroup" : "oifgroup", kBridgeGroup);
    }
    out.push_back({c.name + " of table " + table + (c.drops ? " (policy drop)" : " (its last rule refuses)"),
                   std::move(remedy)});
  }
  return out;
}

}  // namespace panal::nft
