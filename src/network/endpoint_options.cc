#include "network/endpoint_options.h"

#include <algorithm>

#include "base/text.h"

namespace panal {

static bool word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// "net.X.Y.IFNAME.Z=V"
static Result<std::pair<std::string, std::string>> parse_sysctl(const std::string& text) {
  const size_t equals = text.find('=');
  const auto parts = split(text.substr(0, equals), '.');
  const bool good = equals != std::string::npos && parts.size() == 5 && parts[0] == "net" &&
                    (parts[1] == "ipv4" || parts[1] == "ipv6" || parts[1] == "mpls") && word(parts[2]) &&
                    lower(parts[3]) == "ifname" && word(parts[4]);
  if (!good)
    return fail(Code::kInvalid,
                "invalid endpoint settings:\nunrecognised network interface sysctl '" + text.substr(0, 256) +
                    "'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', "
                    "'ipv6' or 'mpls'");
  return std::pair("net/" + parts[1] + "/" + parts[2] + "/IFNAME/" + parts[4], text.substr(equals + 1));
}

Result<EndpointOptions> read_endpoint_options(const std::map<std::string, std::string>& options) {
  EndpointOptions out;
  for (const auto& [key, value] : options) {
    if (key == "com.docker.network.endpoint.sysctls") {
      for (const auto& text : split(value, ',')) {
        TRY(auto one, parse_sysctl(text));
        out.sysctls.push_back(std::move(one));
      }
    } else if (key == "com.docker.network.endpoint.ifname") {
      if (value.empty() || value.size() > 15 || value == "." || value == ".." || value == "lo" ||
          std::ranges::any_of(value, [](char c) { return c <= ' ' || c == '/' || c == ':' || c == 127; }))
        return fail(Code::kInvalid,
                    "invalid endpoint settings:\n'" + value.substr(0, 64) + "' is no name of an interface");
      out.interface = value;
    } else if (key.starts_with("com.docker.network.")) {  // others are labels to a bridge
      return fail(Code::kUnsupported, "endpoint option " + key.substr(0, 256) + " is not supported yet");
    }
  }
  return out;
}

}  // namespace panal
