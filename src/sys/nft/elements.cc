#include "sys/nft/elements.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "base/fd.h"
#include "sys/netlink/attributes.h"

namespace panal::nft {

Bytes& Bytes::ip4(const std::string& address) {
  in_addr a{};
  ::inet_pton(AF_INET, address.c_str(), &a);
  data_.append(reinterpret_cast<const char*>(&a), 4);
  return *this;
}
Bytes& Bytes::port(uint16_t port) {
  const uint16_t n = htons(port);
  data_.append(reinterpret_cast<const char*>(&n), 2);
  return *this;
}
Bytes& Bytes::protocol(const std::string& name) {
  data_ += static_cast<char>(name == "udp" ? IPPROTO_UDP : name == "sctp" ? IPPROTO_SCTP : IPPROTO_TCP);
  return *this;
}
Bytes& Bytes::u32(uint32_t v) {
  data_.append(reinterpret_cast<const char*>(&v), 4);
  return *this;
}
Bytes& Bytes::u16(uint16_t v) {
  data_.append(reinterpret_cast<const char*>(&v), 2);
  return *this;
}
Bytes& Bytes::mac(const std::string& text) {
  std::array<uint8_t, 6> b{};
  std::sscanf(text.c_str(), "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]);
  data_.append(reinterpret_cast<const char*>(b.data()), 6);
  return *this;
}
Bytes& Bytes::ifname(const std::string& name) {
  std::string field = name.substr(0, 15);
  field.resize(16, '\0');
  data_ += field;
  return *this;
}
Bytes& Bytes::pad() {
  data_.resize((data_.size() + 3) / 4 * 4, '\0');
  return *this;
}

void Transaction::add(Family family, std::string table, std::string set, std::string key, std::string data) {
  items_.push_back({Item::Kind::kAdd, family, std::move(table), std::move(set), std::move(key), std::move(data), {}});
}
void Transaction::add_goto(Family family, std::string table, std::string map, std::string key, std::string chain) {
  items_.push_back({Item::Kind::kAdd, family, std::move(table), std::move(map), std::move(key), {}, std::move(chain)});
}
void Transaction::remove(Family family, std::string table, std::string set, std::string key) {
  items_.push_back({Item::Kind::kRemove, family, std::move(table), std::move(set), std::move(key), {}, {}});
}
void Transaction::flush(Family family, std::string table, std::string set) {
  items_.push_back({Item::Kind::kFlush, family, std::move(table), std::move(set), {}, {}, {}});
}

namespace {

class Socket {
 public:
  Socket() : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)) {
    const int size = 16 << 20;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  }
  int get() const { return fd_.get(); }

 private:
  Fd fd_;
};

nlmsghdr* put(std::string& out, size_t room) {
  const size_t at = out.size();
  out.resize(at + room);
  return mnl_nlmsg_put_header(out.data() + at);
}

void batch_edge(std::string& out, int type, uint32_t sequence) {
  nlmsghdr* h = put(out, MNL_NLMSG_HDRLEN + sizeof(nfgenmsg));
  h->nlmsg_type = static_cast<uint16_t>(type), h->nlmsg_flags = NLM_F_REQUEST, h->nlmsg_seq = sequence;
  auto* g = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(nfgenmsg)));
  g->nfgen_family = AF_UNSPEC, g->version = NFNETLINK_V0, g->res_id = htons(NFNL_SUBSYS_NFTABLES);
}

}  // namespace

Result<> Transaction::commit() {
  if (items_.empty()) return {};
  std::string out;
  uint32_t sequence = 1;
  batch_edge(out, NFNL_MSG_BATCH_BEGIN, sequence);
  for (const auto& item : items_) {
    const size_t start = out.size();
    nlmsghdr* h = put(out, 512 + item.key.size() + item.data.size());
    const bool adding = item.kind == Item::Kind::kAdd;
    h->nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | (adding ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM));
    h->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | (adding ? NLM_F_CREATE : 0));
    h->nlmsg_seq = ++sequence;
    auto* g = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(nfgenmsg)));
    g->nfgen_family = static_cast<uint8_t>(item.family), g->version = NFNETLINK_V0, g->res_id = 0;
    mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, item.table.c_str());
    mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, item.set.c_str());
    if (item.kind != Item::Kind::kFlush) {
      nlattr* list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
      nlattr* element = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
      nlattr* key = mnl_attr_nest_start(h, NFTA_SET_ELEM_KEY);
      mnl_attr_put(h, NFTA_DATA_VALUE, item.key.size(), item.key.data());
      mnl_attr_nest_end(h, key);
      if (!item.data.empty() || !item.chain.empty()) {
        nlattr* data = mnl_attr_nest_start(h, NFTA_SET_ELEM_DATA);
        if (item.chain.empty()) {
          mnl_attr_put(h, NFTA_DATA_VALUE, item.data.size(), item.data.data());
        } else {
          nlattr* verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);
          mnl_attr_put_u32(h, NFTA_VERDICT_CODE, htonl(static_cast<uint32_t>(NFT_GOTO)));
          mnl_attr_put_strz(h, NFTA_VERDICT_CHAIN, item.chain.c_str());
          mnl_attr_nest_end(h, verdict);
        }
        mnl_attr_nest_end(h, data);
      }
      mnl_attr_nest_end(h, element);
      mnl_attr_nest_end(h, list);
    }
    out.resize(start + MNL_ALIGN(h->nlmsg_len));
  }
  batch_edge(out, NFNL_MSG_BATCH_END, ++sequence);

  Socket socket;
  sockaddr_nl kernel{.nl_family = AF_NETLINK};
  if (::sendto(socket.get(), out.data(), out.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel) < 0) return fail(sys_error(errno, "nftables"));
  // The kernel has run the whole batch inside sendto(); what it queued are errors only.
  std::array<char, 65536> answer;
  for (;;) {
    const ssize_t n = ::recv(socket.get(), answer.data(), answer.size(), MSG_DONTWAIT);
    if (n <= 0) return {};
    int left = static_cast<int>(n);
    for (auto* h = reinterpret_cast<nlmsghdr*>(answer.data()); mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
      if (h->nlmsg_type != NLMSG_ERROR) continue;
      const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(h));
      if (error->error == 0) continue;
      const size_t at = error->msg.nlmsg_seq >= 2 ? error->msg.nlmsg_seq - 2 : 0;
      const std::string object = at < items_.size() ? items_[at].table + "." + items_[at].set : "";
      return fail(sys_error(-error->error, "nftables", object));
    }
  }
}

bool table_exists(Family family, const std::string& table) {
  Socket socket;
  std::string out;
  nlmsghdr* h = put(out, 512);
  h->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK, h->nlmsg_seq = 1;
  auto* g = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(nfgenmsg)));
  g->nfgen_family = static_cast<uint8_t>(family), g->version = NFNETLINK_V0, g->res_id = 0;
  mnl_attr_put_strz(h, NFTA_TABLE_NAME, table.c_str());
  sockaddr_nl kernel{.nl_family = AF_NETLINK};
  if (::sendto(socket.get(), h, h->nlmsg_len, 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel) < 0) return false;
  std::array<char, 8192> answer;
  const ssize_t n = ::recv(socket.get(), answer.data(), answer.size(), 0);
  if (n < static_cast<ssize_t>(sizeof(nlmsghdr))) return false;
  const auto* reply = reinterpret_cast<const nlmsghdr*>(answer.data());
  return reply->nlmsg_type != NLMSG_ERROR || static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(reply))->error == 0;
}

namespace {

struct Flow {
  std::string original;  // the whole CTA_TUPLE_ORIG attribute
  std::string zone, id;
};

// Does this entry answer from `address`, and may it go?
bool matches(const nlmsghdr* h, uint32_t address, bool all, Flow& flow) {
  bool from = false, udp = false;
  uint32_t status = 0;
  each_attribute(h, sizeof(nfgenmsg), [&](const nlattr* a) {
    const auto whole = [&] { return std::string(reinterpret_cast<const char*>(a), MNL_ALIGN(a->nla_len)); };
    switch (mnl_attr_get_type(a)) {
      case CTA_TUPLE_ORIG: flow.original = whole(); break;
      case CTA_ZONE: flow.zone = whole(); break;
      case CTA_ID: flow.id = whole(); break;
      case CTA_STATUS: status = ntohl(mnl_attr_get_u32(a)); break;
      case CTA_TUPLE_REPLY: {
        each_nested(a, [&](const nlattr* part) {
          each_nested(part, [&](const nlattr* leaf) {
            if (mnl_attr_get_type(part) == CTA_TUPLE_IP && mnl_attr_get_type(leaf) == CTA_IP_V4_SRC) from = mnl_attr_get_u32(leaf) == address;
            if (mnl_attr_get_type(part) == CTA_TUPLE_PROTO && mnl_attr_get_type(leaf) == CTA_PROTO_NUM) udp = mnl_attr_get_u8(leaf) == IPPROTO_UDP;
          });
        });
        break;
      }
    }
  });
  return from && (all || udp || !(status & IPS_SEEN_REPLY));
}

}  // namespace

Result<> purge_conntrack(const std::string& address, bool all) {
  in_addr wanted{};
  if (::inet_pton(AF_INET, address.c_str(), &wanted) != 1) return fail(Code::kInvalid, "invalid address: " + address);
  Socket socket;
  sockaddr_nl kernel{.nl_family = AF_NETLINK};
  const auto request = [&](int type, int flags, const std::string& attributes) {
    std::string out;
    nlmsghdr* h = put(out, 64);
    h->nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type), h->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags), h->nlmsg_seq = 1;
    auto* g = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(nfgenmsg)));
    g->nfgen_family = AF_INET, g->version = NFNETLINK_V0, g->res_id = 0;
    out.resize(h->nlmsg_len);
    out += attributes;
    reinterpret_cast<nlmsghdr*>(out.data())->nlmsg_len = static_cast<uint32_t>(out.size());
    return ::sendto(socket.get(), out.data(), out.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel) >= 0;
  };
  if (!request(IPCTNL_MSG_CT_GET, NLM_F_DUMP, {})) return fail(sys_error(errno, "conntrack dump"));
  std::vector<Flow> flows;
  std::array<char, 65536> buffer;
  for (bool more = true; more;) {
    const ssize_t n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (n <= 0) break;
    int left = static_cast<int>(n);
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
      if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
        more = false;
        break;
      }
      Flow flow;
      if (matches(h, wanted.s_addr, all, flow)) flows.push_back(std::move(flow));
    }
  }
  for (const auto& flow : flows) {
    if (!request(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, flow.original + flow.zone + flow.id)) return fail(sys_error(errno, "conntrack delete"));
    (void)::recv(socket.get(), buffer.data(), buffer.size(), 0);  // gone already is fine
  }
  return {};
}

}  // namespace panal::nft
