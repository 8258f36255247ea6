// Published ports: who holds which port of the host, and where it leads.
#include <algorithm>

#include "base/log.h"
#include "node/networks/networks.h"

namespace panal {

static bool is_six(const std::string& address) { return address.find(':') != std::string::npos; }
static bool any_host(const std::string& ip) { return ip.empty() || ip == "0.0.0.0" || ip == "::"; }
static std::string at(const PublishedPort& p) {
  return (is_six(p.host_ip) ? "[" + p.host_ip + "]" : p.host_ip) + ":" + std::to_string(p.host_port);
}

Networks::PortTarget Networks::port_target(const Container& c) const {
  PortTarget out;
  for (const auto& name : gateway_order(c)) {
    const auto n = find(name);
    const Endpoint& e = c.networks.at(name);
    if (!n || (*n)->driver != "bridge" || (*n)->internal || e.index < 0) continue;
    const BridgeOptions options = options_of(**n);
    if (out.four.empty() && !e.ip_address.empty())
      out.four = e.ip_address, out.routed4 = options.routed4, out.host_binding = options.host_binding;
    if (out.six.empty() && !e.ip6_address.empty()) out.six = e.ip6_address, out.routed6 = options.routed6;
  }
  if (out.host_binding.empty()) out.host_binding = "0.0.0.0";
  return out;
}

bool Networks::reserved(const PublishedPort& p) const {
  for (auto it = ports_.lower_bound({p.protocol, p.host_port, ""}); it != ports_.end(); ++it) {
    const auto& [protocol, port, ip] = *it;
    if (protocol != p.protocol || port != p.host_port) break;
    if (is_six(ip) == is_six(p.host_ip) && (any_host(ip) || any_host(p.host_ip) || ip == p.host_ip))
      return true;
  }
  return false;
}

Result<> Networks::take_port(const PublishedPort& p) {
  if (reserved(p)) return fail(Code::kInternal, "Bind for " + at(p) + " failed: port is already allocated");
  if (auto held = kernel_.hold_port(p); !held)
    return fail(Code::kInternal, "failed to bind host port for " + at(p) + ":" + p.to + ":" +
                                     std::to_string(p.port) + "/" + p.protocol + ": " + held.error().message);
  ports_.insert({p.protocol, p.host_port, p.host_ip});
  return {};
}

void Networks::give_back(const PublishedPort& p) {
  if (p.routed) return;
  kernel_.release_port(p);
  ports_.erase({p.protocol, p.host_port, p.host_ip});
}

// Where no address is named a port is the same on IPv4 and IPv6. A container without IPv6 is reached there by
// a relay, SCTP apart.
Result<std::vector<PublishedPort>> Networks::take_ports(const PortWish& wish, const PortTarget& to) {
  std::vector<PublishedPort> all, bound;
  const auto want = [&](const std::string& host_ip) {
    const bool six = is_six(host_ip), routed = six ? to.routed6 : to.routed4;
    PublishedPort p;
    p.protocol = wish.protocol, p.port = wish.port, p.host_ip = host_ip, p.routed = routed,
    p.to = six && !to.six.empty() ? to.six : to.four;
    (routed ? all : bound).push_back(std::move(p));
  };
  if (!wish.host_ip.empty()) {
    want(wish.host_ip);
  } else {
    if (!to.four.empty()) want(to.host_binding);
    if ((to.four.empty() || to.host_binding == "0.0.0.0") && kernel_.has_ipv6() &&
        (!to.six.empty() || (wish.protocol != "sctp" && !to.routed4)))
      want("::");
  }
  for (const auto& p : bound)
    if (is_six(p.host_ip) && !is_six(p.to) && p.protocol == "sctp")
      return fail(Code::kUnsupported, "publishing " + p.protocol + " on " + p.host_ip +
                                          " of a container without IPv6 is not supported yet");
  for (const auto& p : bound)
    if (!is_six(p.host_ip) && to.four.empty())
      return fail(Code::kUnsupported,
                  "publishing on " + p.host_ip + " of a container without IPv4 is not supported yet");
  const auto take = [&](uint16_t port) -> Result<> {
    for (size_t i = 0; i < bound.size(); ++i) {
      bound[i].host_port = port;
      if (auto taken = take_port(bound[i]); !taken) {
        while (i-- > 0) give_back(bound[i]);
        return taken;
      }
    }
    return {};
  };
  Result<> taken = fail(Code::kInternal, "all ports are allocated");
  if (bound.empty())
    taken = {};
  else if (wish.first == 0)
    for (int tries = 0; !taken && tries < 256; ++tries)
      taken = take(static_cast<uint16_t>(32768 + entropy_.number() % 28232));
  else if (wish.first == wish.last)
    taken = take(wish.first);
  else
    for (int port = wish.first; !taken && port <= wish.last; ++port)
      taken = take(static_cast<uint16_t>(port));
  if (!taken)
    return wish.first != 0 && wish.first == wish.last ? std::unexpected(taken.error())
                                                      : fail(Code::kInternal, "all ports are allocated");
  all.insert(all.end(), bound.begin(), bound.end());
  return all;
}

static PublishedPort mesh_port(const std::pair<std::string, uint16_t>& key) {
  PublishedPort p;
  p.protocol = key.first, p.host_ip = "0.0.0.0", p.host_port = key.second;
  return p;
}

void Networks::hold_mesh_ports(const std::set<std::pair<std::string, uint16_t>>& wanted) {
  std::erase_if(mesh_ports_, [&](const auto& held) {
    if (wanted.contains(held.first)) return false;
    if (held.second) give_back(mesh_port(held.first));
    return true;
  });
  for (const auto& key : wanted) {
    if (mesh_ports_.contains(key)) continue;
    PublishedPort p = mesh_port(key);
    auto taken = take_port(p);
    if (!taken)
      log::warn("msg=\"a port of the routing mesh is in use on this node\" port={}/{} error=\"{}\"",
                key.second, key.first, taken.error().message);
    mesh_ports_[key] = taken.has_value();
  }
}

Result<std::vector<PublishedPort>> Networks::reserve(const Container& c, const PortTarget& to,
                                                     const std::vector<PortWish>& wishes) {
  std::vector<PublishedPort> done;
  for (const auto& wish : wishes) {
    auto taken = take_ports(wish, to);
    if (!taken) {
      for (const auto& p : done) give_back(p);
      return fail(
          wrap("failed to set up container networking: driver failed programming external connectivity on "
               "endpoint " +
                   c.name + " (" + c.id.substr(0, 12) + ")",
               taken.error()));
    }
    done.insert(done.end(), taken->begin(), taken->end());
  }
  return done;
}

Task<void> Networks::unpublish(std::vector<PublishedPort> ports) {
  if (ports.empty()) co_return;
  if (auto done = co_await kernel_.unpublish(ports); !done)
    log::warn("msg=\"unpublish\" error=\"{}\"", done.error().message);
  for (const auto& p : ports) give_back(p);
}

void Networks::readopt_ports(const std::vector<PublishedPort>& ports) {
  for (const auto& p : ports) {
    if (p.routed) continue;
    ports_.insert({p.protocol, p.host_port, p.host_ip});
    if (auto held = kernel_.hold_port(p); !held)
      log::warn(
          "msg=\"a program of the host took a published port while no engine held it; its clients reach the "
          "container\" port={}:{}/{} error=\"{}\"",
          p.host_ip, p.host_port, p.protocol, held.error().message);
  }
}

}  // namespace panal
