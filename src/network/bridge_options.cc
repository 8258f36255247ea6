#include "network/bridge_options.h"

#include "base/text.h"
#include "network/subnet.h"

namespace panal {

static Result<> read_bool(const std::string& key, const std::string& text, bool& into) {
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"})
    if (text == yes) return into = true, Result<>{};
  for (const char* no : {"0", "f", "F", "FALSE", "false", "False"})
    if (text == no) return into = false, Result<>{};
  return fail(Code::kInvalid, "failed to parse " + key + " value: " + text +
                                  " (strconv.ParseBool: parsing \"" + text + "\": invalid syntax)");
}

static Result<> read_mode(const std::string& key, const std::string& text, bool& routed) {
  if (text != "nat" && text != "routed" && text != "nat-unprotected" && text != "isolated")
    return fail(Code::kInvalid, "unknown gateway mode " + text);
  if (text != "nat" && text != "routed")
    return fail(Code::kUnsupported, key + "=" + text + " is not supported yet: nat and routed are");
  routed = text == "routed";
  return {};
}

Result<std::optional<bool>> family_option(const std::map<std::string, std::string>& options,
                                          const std::string& key) {
  const auto given = options.find(key);
  if (given == options.end()) return std::nullopt;
  bool enabled = false;
  if (!read_bool(key, given->second, enabled))
    return fail(Code::kInvalid, "driver-opt \"" + key + "\" is not a valid bool");
  return enabled;
}

Result<BridgeOptions> read_bridge_options(const std::map<std::string, std::string>& options) {
  BridgeOptions out;
  for (const auto& [key, value] : options) {
    if (key == "com.docker.network.bridge.name") {
      if (value.find('/') != std::string::npos) return fail(Code::kInvalid, "invalid bridge name " + value);
      if (value.size() > 15)
        return fail(Code::kInvalid, "bridge name " + value + " is longer than 15 characters");
      out.name = value;
    } else if (key == "com.docker.network.driver.mtu") {
      const auto mtu = parse_int(value);
      if (!mtu || *mtu < 0 || *mtu > 65535)
        return fail(Code::kInvalid, "failed to parse " + key + " value: " + value);
      if (*mtu > 0) out.mtu = static_cast<int>(*mtu);
    } else if (key == "com.docker.network.bridge.enable_icc") {
      TRYV(read_bool(key, value, out.icc));
    } else if (key == "com.docker.network.bridge.enable_ip_masquerade") {
      TRYV(read_bool(key, value, out.masquerade));
    } else if (key == "com.docker.network.bridge.inhibit_ipv4") {
      TRYV(read_bool(key, value, out.inhibit_ipv4));
    } else if (key == "com.docker.network.bridge.host_binding_ipv4") {
      const auto ip = parse_ip(value);
      if (!ip || ip->six)
        return fail(Code::kInvalid, "failed to parse " + key + " value: " + value + " (invalid ip)");
      out.host_binding = value;
    } else if (key == "com.docker.network.container_iface_prefix") {
      if (value.empty() || value.size() > 11 || value.find_first_of("/: ") != std::string::npos)
        return fail(Code::kInvalid, "invalid interface prefix: " + value);
      out.interface_prefix = value;
    } else if (key == "com.docker.network.bridge.gateway_mode_ipv4") {
      TRYV(read_mode(key, value, out.routed4));
    } else if (key == "com.docker.network.bridge.gateway_mode_ipv6") {
      TRYV(read_mode(key, value, out.routed6));
    } else if (key == "com.docker.network.enable_ipv4" || key == "com.docker.network.enable_ipv6") {
      TRYV(family_option(options, key));  // whoever makes the network has read it
    } else if (key != "com.docker.network.bridge.default_bridge" && key.starts_with("com.docker.network.")) {
      return fail(Code::kUnsupported, "network option " + key + " is not supported yet");
    }
  }
  return out;
}

}  // namespace panal
