#include "sys/nft/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <array>
#include <vector>

#include "sys/nft/batch.h"

namespace panal::nft {

namespace {

struct Tuple {
  std::string source;  // raw bytes
  uint8_t protocol = 0;
  uint16_t destination_port = 0;
};

struct Flow {
  uint8_t family = AF_INET;
  std::string original;  // the whole CTA_TUPLE_ORIG attribute
  std::string zone, id;
  Tuple there, back;
  uint32_t status = 0;
};

Tuple tuple_of(const nlattr* attribute) {
  Tuple t;
  each_nested(attribute, [&](const nlattr* part) {
    const int kind = mnl_attr_get_type(part);
    each_nested(part, [&](const nlattr* leaf) {
      const int type = mnl_attr_get_type(leaf);
      if (kind == CTA_TUPLE_IP && (type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC))
        t.source.assign(static_cast<const char*>(mnl_attr_get_payload(leaf)), mnl_attr_get_payload_len(leaf));
      if (kind == CTA_TUPLE_PROTO && type == CTA_PROTO_NUM) t.protocol = mnl_attr_get_u8(leaf);
      if (kind == CTA_TUPLE_PROTO && type == CTA_PROTO_DST_PORT)
        t.destination_port = ntohs(mnl_attr_get_u16(leaf));
    });
  });
  return t;
}

Flow flow_of(const nlmsghdr* h) {
  Flow flow;
  flow.family = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(h))->nfgen_family;
  each_attribute(h, sizeof(nfgenmsg), [&](const nlattr* a) {
    const auto whole = [&] { return std::string(reinterpret_cast<const char*>(a), MNL_ALIGN(a->nla_len)); };
    switch (mnl_attr_get_type(a)) {
      case CTA_TUPLE_ORIG:
        flow.original = whole(), flow.there = tuple_of(a);
        break;
      case CTA_TUPLE_REPLY:
        flow.back = tuple_of(a);
        break;
      case CTA_ZONE:
        flow.zone = whole();
        break;
      case CTA_ID:
        flow.id = whole();
        break;
      case CTA_STATUS:
        flow.status = ntohl(mnl_attr_get_u32(a));
        break;
    }
  });
  return flow;
}

template <class F>
Result<> purge(Family family, F wanted) {
  std::vector<Flow> flows;
  TRYV(dump(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, family, [&](const nlmsghdr* h) {
    Flow flow = flow_of(h);
    if (wanted(flow)) flows.push_back(std::move(flow));
  }));
  if (flows.empty()) return {};
  TRY(const Fd socket, netfilter_socket());
  const sockaddr_nl kernel{.nl_family = AF_NETLINK};
  for (const auto& flow : flows) {
    alignas(8) std::array<char, 512> message;
    nlmsghdr* h = mnl_nlmsg_put_header(message.data());
    h->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK, h->nlmsg_seq = 1;
    auto* g = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(nfgenmsg)));
    g->nfgen_family = flow.family, g->version = NFNETLINK_V0, g->res_id = 0;
    std::string out(message.data(), h->nlmsg_len);
    out += flow.original + flow.zone + flow.id;
    reinterpret_cast<nlmsghdr*>(out.data())->nlmsg_len = static_cast<uint32_t>(out.size());
    if (::sendto(socket.get(), out.data(), out.size(), 0, reinterpret_cast<const sockaddr*>(&kernel),
                 sizeof kernel) < 0)
      return fail(sys_error(errno, "conntrack delete"));
    (void)::recv(socket.get(), message.data(), message.size(), 0);  // gone already is fine
  }
  return {};
}

}  // namespace

Result<> purge_conntrack(const std::string& address) {
  const bool six = address.find(':') != std::string::npos;
  std::string wanted(six ? 16 : 4, '\0');
  if (::inet_pton(six ? AF_INET6 : AF_INET, address.c_str(), wanted.data()) != 1)
    return fail(Code::kInvalid, "invalid address: " + address);
  return purge(six ? Family::kIp6 : Family::kIp, [&](const Flow& f) {
    return f.back.source == wanted && (f.there.protocol == IPPROTO_UDP || !(f.status & IPS_SEEN_REPLY));
  });
}

Result<> purge_udp_port(uint16_t port) {
  return purge(Family::kAny, [&](const Flow& f) {
    return f.there.protocol == IPPROTO_UDP && f.there.destination_port == port;
  });
}

}  // namespace panal::nft
