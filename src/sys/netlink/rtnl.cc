#include "sys/netlink/rtnl.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>

#include <array>
#include <cstring>

#include "base/text.h"
#include "sys/netlink/attributes.h"

namespace panal {

Result<InNamespace> InNamespace::enter(const std::string& path) {
  if (path.empty()) return InNamespace(Fd());
  Fd home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home) return fail(sys_error(errno, "open", "/proc/thread-self/ns/net"));
  Fd target(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!target) return fail(sys_error(errno, "open", path));
  if (::setns(target.get(), CLONE_NEWNET) != 0) return fail(sys_error(errno, "setns", path));
  return InNamespace(std::move(home));
}

InNamespace::~InNamespace() {
  if (home_ && ::setns(home_.get(), CLONE_NEWNET) != 0)
    std::abort();  // a thread lost in a namespace must not go on
}

bool is_namespace(const std::string& path) {
  struct statfs s{};
  return ::statfs(path.c_str(), &s) == 0 && s.f_type == 0x6e736673;  // NSFS_MAGIC
}

Result<> sysctl(const std::string& key, const std::string& value) {
  return write_file("/proc/sys/" + key, value);
}

Result<> create_net_namespace(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
  if (!file) return fail(sys_error(errno, "open", path));
  Fd home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home) return fail(sys_error(errno, "open", "/proc/thread-self/ns/net"));
  if (::unshare(CLONE_NEWNET) != 0) return fail(sys_error(errno, "unshare"));
  const int mounted = ::mount("/proc/thread-self/ns/net", path.c_str(), "", MS_BIND, nullptr);
  const int error = errno;
  if (::setns(home.get(), CLONE_NEWNET) != 0) std::abort();
  if (mounted != 0) return fail(sys_error(error, "mount", path));
  return {};
}

Result<> remove_net_namespace(const std::string& path) {
  if (::umount2(path.c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT)
    return fail(sys_error(errno, "umount", path));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(sys_error(errno, "unlink", path));
  return {};
}

Result<Rtnl> Rtnl::open() {
  mnl_socket* socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  if (!socket) return fail(sys_error(errno, "netlink socket"));
  Rtnl out(socket);
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) return fail(sys_error(errno, "netlink bind"));
  return out;
}
Rtnl::Rtnl(Rtnl&& other) noexcept
    : socket_(std::exchange(other.socket_, nullptr)), sequence_(other.sequence_) {}
Rtnl::~Rtnl() {
  if (socket_) mnl_socket_close(socket_);
}

int Rtnl::index(const std::string& name) { return static_cast<int>(::if_nametoindex(name.c_str())); }

namespace {

struct Message {
  alignas(8) std::array<char, 4096> buffer{};
  nlmsghdr* header;
  explicit Message(int type, int flags = 0) {
    header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = static_cast<uint16_t>(type);
    header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  }
  template <class T>
  T* body() {
    return static_cast<T*>(mnl_nlmsg_put_extra_header(header, sizeof(T)));
  }
};

struct Mac {
  std::array<uint8_t, 6> bytes{};
};
Mac parse_mac(const std::string& text) {
  Mac mac;
  std::sscanf(text.c_str(), "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac.bytes[0], &mac.bytes[1], &mac.bytes[2],
              &mac.bytes[3], &mac.bytes[4], &mac.bytes[5]);
  return mac;
}
std::string mac_text(const uint8_t* b) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
  return text;
}

struct Address {
  int family = AF_INET, prefix = 32;
  std::array<uint8_t, 16> bytes{};
  size_t size() const { return family == AF_INET ? 4 : 16; }
};
Result<Address> parse_address(const std::string& text) {
  Address a;
  const size_t slash = text.find('/');
  const std::string ip = text.substr(0, slash);
  if (::inet_pton(AF_INET, ip.c_str(), a.bytes.data()) == 1)
    a.family = AF_INET, a.prefix = 32;
  else if (::inet_pton(AF_INET6, ip.c_str(), a.bytes.data()) == 1)
    a.family = AF_INET6, a.prefix = 128;
  else
    return fail(Code::kInvalid, "invalid address: " + text);
  if (slash != std::string::npos) a.prefix = std::atoi(text.c_str() + slash + 1);
  return a;
}

}  // namespace

Result<> Rtnl::talk(nlmsghdr* message, std::string_view what, const std::string& object,
                    std::initializer_list<int> fine) {
  message->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_, message, message->nlmsg_len) < 0)
    return fail(sys_error(errno, what, object));
  std::array<char, 16384> buffer;
  const ssize_t n = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
  if (n < 0) return fail(sys_error(errno, what, object));
  if (mnl_cb_run(buffer.data(), static_cast<size_t>(n), sequence_, mnl_socket_get_portid(socket_), nullptr,
                 nullptr) < 0) {
    const int error = errno;
    for (const int f : fine)
      if (error == f) return {};
    return fail(sys_error(error, what, object));
  }
  return {};
}

template <class F>
Result<> Rtnl::dump(nlmsghdr* message, F each) {
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_, message, message->nlmsg_len) < 0)
    return fail(sys_error(errno, "netlink dump"));
  std::vector<char> buffer(32768);
  const auto callback = [](const nlmsghdr* h, void* data) -> int {
    (*static_cast<F*>(data))(h);
    return MNL_CB_OK;
  };
  for (;;) {
    const ssize_t n = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
    if (n < 0) return fail(sys_error(errno, "netlink dump"));
    const int code = mnl_cb_run(buffer.data(), static_cast<size_t>(n), sequence_,
                                mnl_socket_get_portid(socket_), callback, &each);
    if (code == MNL_CB_STOP) return {};
    if (code < 0) return fail(sys_error(errno, "netlink dump"));
  }
}

Result<> Rtnl::add_bridge(const std::string& name, uint32_t group, int mtu) {
  Message m(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  m.body<ifinfomsg>();
  mnl_attr_put_strz(m.header, IFLA_IFNAME, name.c_str());
  if (group) mnl_attr_put_u32(m.header, IFLA_GROUP, group);
  mnl_attr_put_u32(m.header, IFLA_MTU, static_cast<uint32_t>(mtu));
  nlattr* info = mnl_attr_nest_start(m.header, IFLA_LINKINFO);
  mnl_attr_put_strz(m.header, IFLA_INFO_KIND, "bridge");
  nlattr* data = mnl_attr_nest_start(m.header, IFLA_INFO_DATA);
  mnl_attr_put_u32(m.header, IFLA_BR_STP_STATE, 0);
  mnl_attr_put_u32(m.header, IFLA_BR_FORWARD_DELAY, 0);
  mnl_attr_put_u8(m.header, IFLA_BR_MCAST_SNOOPING, 0);
  mnl_attr_nest_end(m.header, data);
  mnl_attr_nest_end(m.header, info);
  return talk(m.header, "create bridge", name, {EEXIST});
}

Result<> Rtnl::add_veth(const std::string& name, const std::string& peer, int peer_ns,
                        const std::string& peer_mac, int mtu, const std::string& master) {
  Message m(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  m.body<ifinfomsg>()->ifi_flags = IFF_UP;
  mnl_attr_put_strz(m.header, IFLA_IFNAME, name.c_str());
  mnl_attr_put_u32(m.header, IFLA_MTU, static_cast<uint32_t>(mtu));
  if (!master.empty()) mnl_attr_put_u32(m.header, IFLA_MASTER, static_cast<uint32_t>(index(master)));
  nlattr* info = mnl_attr_nest_start(m.header, IFLA_LINKINFO);
  mnl_attr_put_strz(m.header, IFLA_INFO_KIND, "veth");
  nlattr* data = mnl_attr_nest_start(m.header, IFLA_INFO_DATA);
  nlattr* other = mnl_attr_nest_start(m.header, VETH_INFO_PEER);
  m.body<ifinfomsg>();  // the peer cannot be up before it is connected: its namespace does that
  mnl_attr_put_strz(m.header, IFLA_IFNAME, peer.c_str());
  mnl_attr_put_u32(m.header, IFLA_MTU, static_cast<uint32_t>(mtu));
  mnl_attr_put_u32(m.header, IFLA_NET_NS_FD, static_cast<uint32_t>(peer_ns));
  if (!peer_mac.empty()) mnl_attr_put(m.header, IFLA_ADDRESS, 6, parse_mac(peer_mac).bytes.data());
  mnl_attr_nest_end(m.header, other);
  mnl_attr_nest_end(m.header, data);
  mnl_attr_nest_end(m.header, info);
  return talk(m.header, "create veth", name);
}

Result<> Rtnl::add_vxlan(const std::string& name, uint32_t vni, uint16_t port, const std::string& local,
                         bool proxy, const std::string& mac) {
  Message m(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  m.body<ifinfomsg>();
  mnl_attr_put_strz(m.header, IFLA_IFNAME, name.c_str());
  if (!mac.empty()) mnl_attr_put(m.header, IFLA_ADDRESS, 6, parse_mac(mac).bytes.data());
  nlattr* info = mnl_attr_nest_start(m.header, IFLA_LINKINFO);
  mnl_attr_put_strz(m.header, IFLA_INFO_KIND, "vxlan");
  nlattr* data = mnl_attr_nest_start(m.header, IFLA_INFO_DATA);
  mnl_attr_put_u32(m.header, IFLA_VXLAN_ID, vni);
  mnl_attr_put_u16(m.header, IFLA_VXLAN_PORT, htons(port));
  mnl_attr_put_u8(m.header, IFLA_VXLAN_LEARNING, 0);
  if (proxy) mnl_attr_put_u8(m.header, IFLA_VXLAN_PROXY, 1);
  if (auto a = parse_address(local); a && a->family == AF_INET)
    mnl_attr_put(m.header, IFLA_VXLAN_LOCAL, 4, a->bytes.data());
  mnl_attr_nest_end(m.header, data);
  mnl_attr_nest_end(m.header, info);
  return talk(m.header, "create vxlan", name, {EEXIST});
}

Result<> Rtnl::move(const std::string& name, int ns, const std::string& new_name) {
  Message m(RTM_NEWLINK);
  m.body<ifinfomsg>()->ifi_index = index(name);
  mnl_attr_put_u32(m.header, IFLA_NET_NS_FD, static_cast<uint32_t>(ns));
  mnl_attr_put_strz(m.header, IFLA_IFNAME, new_name.c_str());
  return talk(m.header, "move link", name);
}

Result<> Rtnl::remove(const std::string& name) {
  Message m(RTM_DELLINK);
  const int at = index(name);
  if (at == 0) return {};
  m.body<ifinfomsg>()->ifi_index = at;
  return talk(m.header, "remove link", name, {ENODEV});
}

Result<> Rtnl::set_up(const std::string& name) {
  Message m(RTM_NEWLINK);
  auto* body = m.body<ifinfomsg>();
  body->ifi_index = index(name), body->ifi_flags = IFF_UP, body->ifi_change = IFF_UP;
  return talk(m.header, "set link up", name);
}

Result<> Rtnl::set_down(const std::string& name) {
  Message m(RTM_NEWLINK);
  auto* body = m.body<ifinfomsg>();
  body->ifi_index = index(name), body->ifi_flags = 0, body->ifi_change = IFF_UP;
  return talk(m.header, "set link down", name);
}

Result<> Rtnl::set_master(const std::string& name, const std::string& master) {
  Message m(RTM_NEWLINK);
  m.body<ifinfomsg>()->ifi_index = index(name);
  mnl_attr_put_u32(m.header, IFLA_MASTER, static_cast<uint32_t>(index(master)));
  return talk(m.header, "set master of", name);
}

Result<> Rtnl::set_mtu(const std::string& name, int mtu) {
  Message m(RTM_NEWLINK);
  m.body<ifinfomsg>()->ifi_index = index(name);
  mnl_attr_put_u32(m.header, IFLA_MTU, static_cast<uint32_t>(mtu));
  return talk(m.header, "set mtu of", name);
}

Result<> Rtnl::set_mac(const std::string& name, const std::string& mac) {
  Message m(RTM_NEWLINK);
  m.body<ifinfomsg>()->ifi_index = index(name);
  mnl_attr_put(m.header, IFLA_ADDRESS, 6, parse_mac(mac).bytes.data());
  return talk(m.header, "set address of", name);
}

Result<> Rtnl::set_isolated(const std::string& name) {
  Message m(RTM_SETLINK);
  auto* body = m.body<ifinfomsg>();
  body->ifi_family = AF_BRIDGE, body->ifi_index = index(name);
  nlattr* port = mnl_attr_nest_start(m.header, IFLA_PROTINFO | NLA_F_NESTED);
  mnl_attr_put_u8(m.header, IFLA_BRPORT_ISOLATED, 1);
  mnl_attr_nest_end(m.header, port);
  return talk(m.header, "isolate port", name);
}

Result<> Rtnl::add_address(const std::string& name, const std::string& cidr) {
  TRY(const Address a, parse_address(cidr));
  Message m(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  auto* body = m.body<ifaddrmsg>();
  body->ifa_family = static_cast<uint8_t>(a.family), body->ifa_prefixlen = static_cast<uint8_t>(a.prefix);
  body->ifa_index = static_cast<uint32_t>(index(name));
  if (a.family == AF_INET6) body->ifa_flags = IFA_F_NODAD;
  mnl_attr_put(m.header, IFA_LOCAL, a.size(), a.bytes.data());
  mnl_attr_put(m.header, IFA_ADDRESS, a.size(), a.bytes.data());
  if (a.family == AF_INET && a.prefix < 31) {
    uint32_t ip;
    std::memcpy(&ip, a.bytes.data(), 4);
    const uint32_t broadcast = ip | htonl(0xffffffffu >> a.prefix);
    mnl_attr_put(m.header, IFA_BROADCAST, 4, &broadcast);
  }
  return talk(m.header, "add address " + cidr + " to", name, {EEXIST});
}

static Result<> fill_route(Rtnl& rtnl, Message& m, const Route& route) {
  auto* body = m.body<rtmsg>();
  Address destination;
  destination.prefix = 0;
  if (!route.destination.empty()) {
    TRY(destination, parse_address(route.destination));
  } else if (!route.via.empty()) {
    TRY(const Address via, parse_address(route.via));
    destination.family = via.family;
  }
  body->rtm_family = static_cast<uint8_t>(destination.family),
  body->rtm_dst_len = static_cast<uint8_t>(destination.prefix);
  body->rtm_table = RT_TABLE_UNSPEC, body->rtm_protocol = RTPROT_STATIC;
  body->rtm_type = route.unreachable ? RTN_UNREACHABLE : RTN_UNICAST;
  body->rtm_scope = route.link_scope ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  if (route.onlink) body->rtm_flags = RTNH_F_ONLINK;
  mnl_attr_put_u32(m.header, RTA_TABLE, route.table);
  if (destination.prefix > 0) mnl_attr_put(m.header, RTA_DST, destination.size(), destination.bytes.data());
  if (!route.via.empty()) {
    TRY(const Address via, parse_address(route.via));
    mnl_attr_put(m.header, RTA_GATEWAY, via.size(), via.bytes.data());
  }
  if (!route.device.empty())
    mnl_attr_put_u32(m.header, RTA_OIF, static_cast<uint32_t>(rtnl.index(route.device)));
  if (route.metric) mnl_attr_put_u32(m.header, RTA_PRIORITY, route.metric);
  return {};
}

Result<> Rtnl::add_route(const Route& route) {
  Message m(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  TRYV(fill_route(*this, m, route));
  return talk(m.header, "add route", route.destination.empty() ? "default" : route.destination, {EEXIST});
}
Result<> Rtnl::remove_route(const Route& route) {
  Message m(RTM_DELROUTE);
  TRYV(fill_route(*this, m, route));
  return talk(m.header, "remove route", route.destination, {ESRCH, ENODEV});
}

Result<> Rtnl::add_mark_rule(uint32_t mark, uint32_t mask, uint32_t table) {
  Message m(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
  auto* body = m.body<fib_rule_hdr>();
  body->family = AF_INET, body->action = FR_ACT_TO_TBL;
  mnl_attr_put_u32(m.header, FRA_FWMARK, mark);
  mnl_attr_put_u32(m.header, FRA_FWMASK, mask);
  mnl_attr_put_u32(m.header, FRA_TABLE, table);
  mnl_attr_put_u32(m.header, FRA_PRIORITY, 100);
  return talk(m.header, "add rule", std::to_string(table), {EEXIST});
}

Result<> Rtnl::neighbour(int type, int family, const std::string& name, const std::string& address,
                         const std::string& mac, bool fdb) {
  Message m(type, type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0);
  auto* body = m.body<ndmsg>();
  body->ndm_ifindex = index(name), body->ndm_state = NUD_PERMANENT;
  body->ndm_flags = fdb ? NTF_SELF : 0;
  std::optional<Address> a;
  if (!address.empty()) {
    TRY(a, parse_address(address));
  }
  body->ndm_family = static_cast<uint8_t>(fdb ? AF_BRIDGE : a ? a->family : family);
  if (a) mnl_attr_put(m.header, NDA_DST, a->size(), a->bytes.data());
  if (!mac.empty()) mnl_attr_put(m.header, NDA_LLADDR, 6, parse_mac(mac).bytes.data());
  if (type == RTM_NEWNEIGH) return talk(m.header, "set neighbour " + address + " on", name);
  return talk(m.header, "remove neighbour " + address + " on", name, {ENOENT});
}

Result<> Rtnl::set_neighbour(const std::string& name, const std::string& address, const std::string& mac) {
  return neighbour(RTM_NEWNEIGH, AF_INET, name, address, mac, false);
}
Result<> Rtnl::remove_neighbour(const std::string& name, const std::string& address) {
  return neighbour(RTM_DELNEIGH, AF_INET, name, address, "", false);
}
Result<> Rtnl::set_fdb(const std::string& name, const std::string& mac, const std::string& destination) {
  return neighbour(RTM_NEWNEIGH, AF_BRIDGE, name, destination, mac, true);
}
Result<> Rtnl::remove_fdb(const std::string& name, const std::string& mac, const std::string& destination) {
  return neighbour(RTM_DELNEIGH, AF_BRIDGE, name, destination, mac, true);
}

static std::string address_text(const nlattr* attribute, int family) {
  char text[INET6_ADDRSTRLEN];
  return ::inet_ntop(family, mnl_attr_get_payload(attribute), text, sizeof text) ? text : "";
}

Result<std::set<FdbEntry>> Rtnl::fdb(const std::string& name) {
  Message m(RTM_GETNEIGH);
  m.body<ndmsg>()->ndm_family = AF_BRIDGE;
  std::set<FdbEntry> out;
  const int wanted = index(name);
  TRYV(dump(m.header, [&](const nlmsghdr* h) {
    const auto* body = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(h));
    if (body->ndm_ifindex != wanted || !(body->ndm_flags & NTF_SELF)) return;
    FdbEntry entry;
    each_attribute(h, sizeof(ndmsg), [&](const nlattr* a) {
      if (mnl_attr_get_type(a) == NDA_LLADDR)
        entry.mac = mac_text(static_cast<const uint8_t*>(mnl_attr_get_payload(a)));
      if (mnl_attr_get_type(a) == NDA_DST)
        entry.destination = address_text(a, mnl_attr_get_payload_len(a) == 4 ? AF_INET : AF_INET6);
    });
    if (!entry.destination.empty()) out.insert(entry);
  }));
  return out;
}

Result<std::map<std::string, std::string>> Rtnl::neighbours(const std::string& name) {
  Message m(RTM_GETNEIGH);
  m.body<ndmsg>()->ndm_family = AF_INET;
  std::map<std::string, std::string> out;
  const int wanted = index(name);
  TRYV(dump(m.header, [&](const nlmsghdr* h) {
    const auto* body = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(h));
    if (body->ndm_ifindex != wanted || !(body->ndm_state & NUD_PERMANENT)) return;
    std::string address, mac;
    each_attribute(h, sizeof(ndmsg), [&](const nlattr* a) {
      if (mnl_attr_get_type(a) == NDA_LLADDR)
        mac = mac_text(static_cast<const uint8_t*>(mnl_attr_get_payload(a)));
      if (mnl_attr_get_type(a) == NDA_DST) address = address_text(a, AF_INET);
    });
    out[address] = mac;
  }));
  return out;
}

Result<std::vector<std::string>> Rtnl::routes_via(const std::string& name) {
  Message m(RTM_GETROUTE);
  m.body<rtmsg>()->rtm_family = AF_INET;
  std::vector<std::string> out;
  const uint32_t wanted = name.empty() ? 0 : static_cast<uint32_t>(index(name));
  TRYV(dump(m.header, [&](const nlmsghdr* h) {
    const auto* body = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(h));
    if (body->rtm_table != RT_TABLE_MAIN || body->rtm_dst_len == 0 || body->rtm_type != RTN_UNICAST) return;
    std::string destination;
    uint32_t device = 0;
    each_attribute(h, sizeof(rtmsg), [&](const nlattr* a) {
      if (mnl_attr_get_type(a) == RTA_DST)
        destination = address_text(a, AF_INET) + "/" + std::to_string(body->rtm_dst_len);
      if (mnl_attr_get_type(a) == RTA_OIF) device = mnl_attr_get_u32(a);
    });
    if (wanted == 0 || device == wanted) out.push_back(destination);
  }));
  return out;
}
Result<std::vector<std::string>> Rtnl::routes() { return routes_via(""); }

Result<std::vector<std::string>> Rtnl::links(const std::string& prefix) {
  Message m(RTM_GETLINK);
  m.body<ifinfomsg>();
  std::vector<std::string> out;
  TRYV(dump(m.header, [&](const nlmsghdr* h) {
    each_attribute(h, sizeof(ifinfomsg), [&](const nlattr* a) {
      if (mnl_attr_get_type(a) != IFLA_IFNAME) return;
      const std::string name = mnl_attr_get_str(a);
      if (name.starts_with(prefix)) out.push_back(name);
    });
  }));
  return out;
}

}  // namespace panal
