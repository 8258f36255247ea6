#include "engine/links.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/text.h"

namespace panal {

Result<Link> parse_link(const std::string& text) {
  if (text.empty()) return fail(Code::kInvalid, "empty string specified for links");
  const auto parts = split(text, ':');
  if (parts.size() > 2) return fail(Code::kInvalid, "bad format for links: " + text.substr(0, 256));
  Link link;
  link.target = parts[0].starts_with('/') ? parts[0].substr(1) : parts[0];
  link.alias = parts.size() == 2 ? parts[1].substr(parts[1].rfind('/') + 1) : link.target;
  if (link.target.empty() || link.alias.empty() || link.alias.size() > 255 ||
      link.alias.find('/') != std::string::npos)
    return fail(Code::kInvalid, "bad format for links: " + text.substr(0, 256));
  return link;
}

std::vector<std::string> link_variables(const std::string& name, const std::string& alias,
                                        const std::string& address, const ContainerConfig& other) {
  std::string head;
  for (const char c : alias) head += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  struct Port {
    bool not_tcp;
    std::string protocol;
    int number;
    auto operator<=>(const Port&) const = default;
  };
  std::set<Port> ports;  // TCP first
  for (const auto& [port, nothing] : other.exposed_ports) {
    const size_t slash = port.find('/');
    const std::string protocol = slash == std::string::npos ? "tcp" : port.substr(slash + 1);
    if (const auto n = parse_int(port.substr(0, slash)))
      ports.insert({protocol != "tcp", protocol, static_cast<int>(*n)});
  }
  std::vector<std::string> out;
  const auto url = [&](const Port& p) {
    return p.protocol + "://" + address + ":" + std::to_string(p.number);
  };
  const auto prefix = [&](const Port& p) {
    std::string upper;
    for (const char c : p.protocol) upper += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    return head + "_PORT_" + std::to_string(p.number) + "_" + upper;
  };
  if (!ports.empty()) out.push_back(head + "_PORT=" + url(*ports.begin()));
  for (const auto& p : ports) {
    out.push_back(prefix(p) + "=" + url(p)), out.push_back(prefix(p) + "_ADDR=" + address);
    out.push_back(prefix(p) + "_PORT=" + std::to_string(p.number)),
        out.push_back(prefix(p) + "_PROTO=" + p.protocol);
  }
  out.push_back(head + "_NAME=/" + name + "/" + alias);
  for (const auto& e : other.env) {
    const size_t equals = e.find('=');
    if (equals == std::string::npos || e.starts_with("PATH=") || e.starts_with("HOME=")) continue;
    out.push_back(head + "_ENV_" + e);
  }
  return out;
}

}  // namespace panal
