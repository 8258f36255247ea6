// What a container may ask for: refused here in Docker's words, before anything is made.
#include <algorithm>

#include "base/text.h"
#include "engine/links.h"
#include "network/address.h"
#include "network/subnet.h"
#include "node/containers/containers.h"

namespace panal {

Result<> check_restart_policy(const RestartPolicy& policy) {
  const auto& name = policy.name;
  if (!name.empty() && name != "no" && name != "always" && name != "unless-stopped" && name != "on-failure")
    return fail(Code::kInvalid, "invalid restart policy: unknown policy '" + name +
                                    "'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'");
  if (policy.maximum_retry_count < 0)
    return fail(Code::kInvalid, "invalid restart policy: maximum retry count cannot be negative");
  if (name != "on-failure" && policy.maximum_retry_count != 0)
    return fail(Code::kInvalid,
                "invalid restart policy: maximum retry count can only be used with 'on-failure'");
  return {};
}

// Who joins another's network has that one's settings of it.
static Result<> check_shared_network(const ContainerConfig& config, const HostConfig& host) {
  const bool joined = host.network_mode.starts_with("container:");
  const auto conflict = [](const char* what) {
    return fail(Code::kInvalid, std::string("conflicting options: ") + what);
  };
  if (host.network_mode == "container" || host.network_mode == "container:")
    return fail(Code::kInvalid, "invalid container format container:<name|id>");
  if (!joined) return {};
  if (!config.hostname.empty()) return conflict("hostname and the network mode");
  if (!host.dns.empty()) return conflict("dns and the network mode");
  if (!host.extra_hosts.empty()) return conflict("custom host-to-IP mapping and the network mode");
  if (host.publish_all_ports || !host.port_bindings.empty())
    return conflict("port publishing and the container type network mode");
  if (!config.exposed_ports.empty()) return conflict("port exposing and the container type network mode");
  return {};
}

// "name:IP", "name=IP"; they become lines of /etc/hosts.
static Result<> check_extra_host(const std::string& text) {
  const size_t cut = text.find_first_of("=:");
  if (cut == std::string::npos || cut == 0 || text.find_first_of(" \t\n\r#") < cut)
    return fail(Code::kInvalid, "bad format for add-host: \"" + text + "\"");
  std::string ip = text.substr(cut + 1);
  if (ip.starts_with('[') && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
  if (ip != "host-gateway" && !parse_ip(ip))
    return fail(Code::kInvalid, "invalid IP address in add-host: \"" + text.substr(cut + 1) + "\"");
  return {};
}

static bool joined(const std::string& mode) { return mode.starts_with("container:") && mode.size() > 10; }

static Result<> check_namespaces(const ContainerConfig& config, const HostConfig& host) {
  const std::string &ipc = host.ipc_mode, &pid = host.pid_mode, &uts = host.uts_mode;
  if (!ipc.empty() && ipc != "private" && ipc != "shareable" && ipc != "host" && ipc != "none" &&
      !joined(ipc))
    return fail(Code::kInvalid, "invalid IPC mode: " + ipc);
  if (!pid.empty() && pid != "host" && !joined(pid)) return fail(Code::kInvalid, "invalid PID mode: " + pid);
  if (uts == "host" && !config.hostname.empty())
    return fail(Code::kInvalid, "conflicting options: hostname and the UTS mode");
  if (!uts.empty() && uts != "host") return fail(Code::kInvalid, "invalid UTS mode: " + uts);
  return {};
}

static Result<> check_links(const HostConfig& host) {
  for (const auto& text : host.links) TRYV(parse_link(text));
  if (!host.links.empty() && host.network_mode == "host")
    return fail(Code::kInvalid,
                "conflicting options: host type networking can't be used with links. This would result in "
                "undefined behavior");
  if (!host.links.empty() && joined(host.network_mode))
    return fail(Code::kInvalid,
                "conflicting options: container type network can't be used with links. This would result in "
                "undefined behavior");
  return {};
}

static Result<> check_ports(const HostConfig& host) {
  for (const auto& [port, bindings] : host.port_bindings) {
    const size_t slash = port.find('/');
    const auto number = parse_int(port.substr(0, slash));
    const std::string protocol = slash == std::string::npos ? "tcp" : port.substr(slash + 1);
    if (!number || *number < 1 || *number > 65535)
      return fail(Code::kInvalid, "invalid port specification: \"" + port + "\"");
    if (protocol != "tcp" && protocol != "udp" && protocol != "sctp")
      return fail(Code::kInvalid, "invalid proto: " + protocol);
    if (bindings)
      for (const auto& b : *bindings) {
        if (!b.host_port.empty() && !parse_port_range(b.host_port))
          return fail(Code::kInvalid, "invalid port specification: \"" + b.host_port + "\"");
        if (!b.host_ip.empty() && !parse_ip(b.host_ip))
          return fail(Code::kInvalid, "invalid IP address: " + b.host_ip);
      }
  }
  return {};
}

static Result<> check_health(const HealthConfig& h) {
  for (const auto& [name, ns] : {std::pair{"Interval", h.interval},
                                 {"Timeout", h.timeout},
                                 {"StartPeriod", h.start_period},
                                 {"StartInterval", h.start_interval}})
    if (ns != 0 && ns < 1'000'000)
      return fail(Code::kInvalid, std::string(name) + " in Healthcheck cannot be less than 1ms");
  if (h.retries < 0) return fail(Code::kInvalid, "Retries in Healthcheck cannot be negative");
  if (!h.test.empty() && h.test[0] != "NONE" && h.test[0] != "CMD" && h.test[0] != "CMD-SHELL")
    return fail(Code::kInvalid, "unknown type in Healthcheck: " + h.test[0]);
  return {};
}

Result<> validate(const ContainerConfig& config, const HostConfig& host, const HostLimits& machine) {
  TRYV(check_restart_policy(host.restart_policy));
  const auto& policy = host.restart_policy.name;
  if (host.auto_remove && !policy.empty() && policy != "no")
    return fail(Code::kInvalid, "can't create 'AutoRemove' container with restart policy");
  TRYV(check_resources(host, machine));
  for (const auto& extra : host.extra_hosts) TRYV(check_extra_host(extra));
  if (host.shm_size < 0) return fail(Code::kInvalid, "SHM size can not be less than 0");
  if (host.oom_score_adj < -1000 || host.oom_score_adj > 1000)
    return fail(Code::kInvalid, "Invalid value " + std::to_string(host.oom_score_adj) +
                                    ", range for oom score adj is [-1000, 1000].");
  for (const auto* list : {&host.cap_add, &host.cap_drop})
    for (const auto& name : *list)
      if (!known_capability(name))
        return fail(Code::kInvalid, std::string("invalid Cap") + (list == &host.cap_add ? "Add" : "Drop") +
                                        ": unknown capability: \"" + name + "\"");
  TRYV(check_namespaces(config, host));
  if (!host.runtime.empty() && host.runtime != "crun" && host.runtime != "runc" &&
      host.runtime != "io.containerd.runc.v2")
    return fail(Code::kInvalid, "unknown or invalid runtime name: " + host.runtime);
  if (!host.log_config.type.empty()) TRYV(log_plan(host.log_config));
  TRY(const SecurityOptions security, parse_security_options(host.security_opt));
  if (!security.apparmor.empty() && security.apparmor != "unconfined" && !machine.apparmor)
    return fail(Code::kInvalid,
                "AppArmor profile " + security.apparmor + " cannot be applied: this kernel has no AppArmor");
  for (const auto& d : host.devices)
    if (!d.cgroup_permissions.empty() && !valid_device_access(d.cgroup_permissions))
      return fail(Code::kInvalid, "bad mode specified: " + d.cgroup_permissions);
  for (const auto& rule : host.device_cgroup_rules) TRYV(parse_device_rule(rule));
  if (!host.userns_mode.empty() && host.userns_mode != "host")
    return fail(Code::kInvalid, "invalid USER mode: " + host.userns_mode);
  if (host.cgroup_parent.size() > 255 || host.cgroup_parent.find("..") != std::string::npos)
    return fail(Code::kInvalid, "invalid cgroup parent: " + host.cgroup_parent);
  TRYV(check_shared_network(config, host));
  TRYV(check_links(host));
  TRYV(check_ports(host));
  if (config.healthcheck) TRYV(check_health(*config.healthcheck));
  if (!host.isolation.empty() && lower(host.isolation) != "default")
    return fail(Code::kInvalid, "invalid isolation (" + host.isolation + "): linux only supports 'default'");
  if (host.cgroupns_mode != "" && host.cgroupns_mode != "host" && host.cgroupns_mode != "private")
    return fail(Code::kInvalid, "invalid cgroup namespace mode: " + host.cgroupns_mode);
  if (!config.stop_signal.empty()) TRYV(parse_signal(config.stop_signal));
  if (!config.working_dir.empty() && config.working_dir[0] != '/')
    return fail(Code::kInvalid, "the working directory '" + config.working_dir +
                                    "' is invalid, it needs to be an absolute path");
  for (const auto& e : config.env)
    if (e.empty() || e[0] == '=') return fail(Code::kInvalid, "invalid environment variable: " + e);
  if (host.annotations.contains(""))
    return fail(Code::kInvalid,
                "invalid Annotations: the empty string is not permitted as an annotation key");
  if (config.hostname.size() > 63) return fail(Code::kInvalid, "invalid hostname: " + config.hostname);
  return {};
}

}  // namespace panal
