#include "engine/defaults.h"

#include <algorithm>

namespace panal {

void apply_defaults(HostConfig& host, const ContainerDefaults& d) {
  if (host.log_config.type.empty()) host.log_config.type = d.log.type;
  if (host.log_config.type == d.log.type)
    host.log_config.config.insert(d.log.config.begin(), d.log.config.end());
  for (const auto& [name, limit] : d.ulimits)
    if (std::ranges::find(host.ulimits, name, &Ulimit::name) == host.ulimits.end())
      host.ulimits.push_back(limit);
  if (host.shm_size == 0) host.shm_size = d.shm_size_bytes;
  if (host.runtime.empty()) host.runtime = d.runtime;
  if (host.ipc_mode.empty()) host.ipc_mode = d.ipc_mode;
  if (host.cgroupns_mode.empty())
    host.cgroupns_mode = host.privileged ? d.privileged_cgroupns_mode : d.cgroupns_mode;
  if (!host.init && d.init) host.init = true;
  const auto speaks_of_privileges = [](const std::string& option) {
    return option.starts_with("no-new-privileges");
  };
  if (d.no_new_privileges && std::ranges::none_of(host.security_opt, speaks_of_privileges))
    host.security_opt.push_back("no-new-privileges");
  if (host.dns_options.empty()) host.dns_options = d.dns_options;
  if (host.dns_search.empty()) host.dns_search = d.dns_search;
}

}  // namespace panal
