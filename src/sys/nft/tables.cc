#include "sys/nft/tables.h"

#include <fmt/format.h>

namespace panal::nft {

int slots_for(size_t endpoints) {
  if (endpoints <= static_cast<size_t>(kExactChains)) return static_cast<int>(endpoints);
  for (const int wide : {256, 1024, 4096})
    if (endpoints * 4 <= static_cast<size_t>(wide)) return wide;
  return 4096;
}

static void each_chain(auto fn) {
  for (int n = 1; n <= kExactChains; ++n) fn(n);
  for (const int n : {256, 1024, 4096}) fn(n);
}

// The comment tells what text the kernel has: another version's is replaced at the daemon's start.
static std::string versioned(std::string_view table, const std::string& body) {
  uint64_t hash = 14695981039346656037ull;  // FNV-1a
  for (const char c : body) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211ull;
  return fmt::format("table {0} {{ }}\ndelete table {0}\ntable {0} {{\n  comment \"{1}{2:016x}\"\n{3}}}\n",
                     table, kCommentPrefix, hash, body);
}
std::string comment_in(const std::string& text) {
  const size_t at = text.find(kCommentPrefix);
  return text.substr(at, kCommentPrefix.size() + 16);
}

std::string engine_table() {
  return versioned("inet engine", fmt::format(R"(  set hairpin  {{ type ifname . ifname; }}
  set internal {{ type ifname; }}
  set nonat4   {{ type ifname; }}
  set nonat6   {{ type ifname; }}
  set open4    {{ type ipv4_addr . inet_proto . inet_service; }}
  set open6    {{ type ipv6_addr . inet_proto . inet_service; }}
  map pub_any4 {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
  map pub_ip4  {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
  map pub_any6 {{ type inet_proto . inet_service : ipv6_addr . inet_service; }}
  map pub_ip6  {{ type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }}
  chain publish {{
    ip6 daddr ::1 return
    dnat ip to ip daddr . meta l4proto . th dport map @pub_ip4
    dnat ip to meta l4proto . th dport map @pub_any4
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @pub_ip6
    dnat ip6 to meta l4proto . th dport map @pub_any6
  }}
  chain prerouting {{
    type nat hook prerouting priority -100; policy accept;
    fib daddr type local jump publish
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    fib daddr type local jump publish
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    oifgroup {0} ip saddr 127.0.0.0/8 masquerade
    iifname . oifname @hairpin ct status dnat masquerade
    iifgroup {0} iifname . oifname != @hairpin meta nfproto ipv4 iifname != @nonat4 masquerade
    iifgroup {0} iifname . oifname != @hairpin meta nfproto ipv6 iifname != @nonat6 masquerade
  }}
  chain guard {{
    type filter hook prerouting priority -300; policy accept;
    iifgroup {0} ip daddr 127.0.0.0/8 drop
    iifname != "lo" ip saddr 127.0.0.0/8 drop
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    iifgroup != {0} oifgroup != {0} return
    ct state established,related accept
    ct state invalid drop
    iifname . oifname @hairpin accept
    iifname @internal drop
    oifname @internal drop
    oifgroup {0} ct status dnat accept
    ip daddr . meta l4proto . th dport @open4 accept
    ip6 daddr . meta l4proto . th dport @open6 accept
    oifgroup {0} drop
  }}
)",
                                              kBridgeGroup));
}

std::string vip_table() {
  std::string out = R"(table ip lb { }
delete table ip lb
table ip lb {
  map eps { typeof ip daddr . numgen random mod 65535 : ip daddr; }
  map svc { type ipv4_addr : verdict; }
  set down { type ipv4_addr; }
)";
  each_chain([&](int n) {
    out += fmt::format("  chain n{} {{\n", n);
    if (n > 1) out += fmt::format("    dnat to ip daddr . numgen random mod {} map @eps\n", n);
    out += "    dnat to ip daddr . numgen random mod 1 map @eps\n  }\n";
  });
  out += R"(  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr vmap @svc
  }
  chain refuse {
    type filter hook output priority 0; policy accept;
    ip daddr @down meta l4proto tcp reject with tcp reset
    ip daddr @down reject
  }
}
)";
  return out;
}

std::string mesh_node_table(const std::string& sandbox_address) {
  return versioned("inet mesh", fmt::format(R"(  set pub {{ type inet_proto . inet_service; }}
  chain prerouting {{
    type nat hook prerouting priority -100; policy accept;
    fib daddr type local meta l4proto . th dport @pub meta nfproto ipv4 dnat ip to {0}
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    fib daddr type local meta l4proto . th dport @pub meta nfproto ipv4 dnat ip to {0}
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    oifname "panal-gw" ip saddr 127.0.0.0/8 masquerade
    iifname "panal-gw" oifname "panal-gw" masquerade
    iifname "panal-gw" oifname != "panal-gw" masquerade
  }}
  chain guard {{
    type filter hook prerouting priority -300; policy accept;
    iifname "panal-gw" ip daddr 127.0.0.0/8 drop
    iifname != "lo" ip saddr 127.0.0.0/8 drop
  }}
)",
                                            sandbox_address));
}

std::string mesh_sandbox_tables(const std::string& subnet) {
  std::string out = R"(  map zone { typeof ether saddr : ct zone; }
  map node { type ether_addr : mark; }
  map svc  { type inet_proto . inet_service : verdict; }
  map ep4tcp { typeof tcp dport . numgen random mod 65535 : ip daddr . tcp dport; }
  map ep4udp { typeof udp dport . numgen random mod 65535 : ip daddr . udp dport; }
  set live4 { type ipv4_addr; }
)";
  each_chain([&](int n) {
    out += fmt::format("  chain n{} {{\n", n);
    for (const int m : {n, 1}) {
      if (m == 1 && n == 1 && out.ends_with("@ep4udp\n")) continue;
      out += fmt::format(
          "    dnat ip to tcp dport . numgen random mod {0} map @ep4tcp\n    dnat ip to udp dport . numgen "
          "random mod {0} map @ep4udp\n",
          m);
    }
    out += "  }\n";
  });
  out += fmt::format(R"(  chain raw {{
    type filter hook prerouting priority -300; policy accept;
    iifname "mesh0" ct original zone set ether saddr map @zone
  }}
  chain mangle {{
    type filter hook prerouting priority -150; policy accept;
    iifname "mesh0" ct direction original ct mark set ether saddr map @node
    iifname "t-*" ct direction reply meta mark set ct mark
  }}
  chain prerouting {{
    type nat hook prerouting priority -100; policy accept;
    iifname "gw0" fib daddr type local meta l4proto . th dport vmap @svc
  }}
  chain dead {{
    type filter hook prerouting priority 0; policy accept;
    ip daddr {0} ip daddr != @live4 fib daddr type != local meta l4proto tcp reject with tcp reset
    ip daddr {0} ip daddr != @live4 fib daddr type != local reject with icmpx type port-unreachable
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    iifname "t-*" oifname "gw0" masquerade
  }}
)",
                     subnet);
  return versioned("inet mesh", out) + R"(table netdev steer { }
delete table netdev steer
table netdev steer {
  map mac { type mark : ether_addr; }
  chain egress {
    type filter hook egress device "mesh0" priority 0; policy accept;
    meta mark != 0 ether daddr set meta mark map @mac meta mark set 0
  }
}
)";
}

}  // namespace panal::nft
