#include "api/containers/create_body_json.h"

namespace panal {

Result<> place_mac_address(const CreateBody& wish, int minor, std::map<std::string, Endpoint>& endpoints) {
  const std::string& mode = wish.host.network_mode;
  if (wish.mac_address.empty()) {
    if (minor < 44)
      for (auto& [name, e] : endpoints) e.mac_address.clear();
    return {};
  }
  if (mode == "host" || mode == "none" || mode.starts_with("container:"))
    return minor < 44 ? fail(Code::kInvalid, "conflicting options: mac-address and the network mode")
                      : Result<>{};
  const std::string main = mode.empty() ? "default" : mode;
  const bool only = minor < 44 && endpoints.size() == 1;
  if (!only && !endpoints.empty() && !endpoints.contains(main))
    return fail(Code::kInvalid,
                "unable to migrate container-wide MAC address to a specific network: if a container-wide MAC "
                "address is supplied, HostConfig.NetworkMode must match the identity of a network in "
                "NetworkSettings.Networks");
  Endpoint& e = only ? endpoints.begin()->second : endpoints[main];
  if (minor >= 44 && !e.mac_address.empty() && e.mac_address != wish.mac_address)
    return fail(Code::kInvalid,
                "the container-wide MAC address must match the endpoint-specific MAC address for the main "
                "network, or be left empty");
  e.mac_address = wish.mac_address;
  return {};
}

Result<> check_mount_options(const Json& body, int minor) {
  const Json* host = field_of(body.get_object(), "HostConfig");
  const Json* mounts = host && host->is_object() ? field_of(host->get_object(), "Mounts") : nullptr;
  if (minor < 42 || !mounts || !mounts->is_array()) return {};
  for (const auto& mount : mounts->get_array()) {
    if (!mount.is_object()) continue;
    const auto& m = mount.get_object();
    const Json* kind_given = field_of(m, "Type");
    const std::string type = kind_given ? str(*kind_given) : "";
    for (const auto& [key, kind] : {std::pair{"VolumeOptions", "volume"},
                                    {"BindOptions", "bind"},
                                    {"TmpfsOptions", "tmpfs"},
                                    {"ImageOptions", "image"}})
      if (const Json* options = field_of(m, key); options && !options->is_null() && type != kind)
        return fail(Code::kInvalid,
                    std::string(key) + " must not be specified on mount type \"" + type + "\"");
  }
  return {};
}

}  // namespace panal
