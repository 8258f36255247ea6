// Creating containers: checks, names, what the image gives, mounts.
#include <algorithm>

#include "base/fd.h"
#include "base/path.h"
#include "base/text.h"
#include "engine/links.h"
#include "image/reference.h"
#include "model/container_json.h"
#include "network/address.h"
#include "node/containers/containers.h"
#include "node/containers/names.h"

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

Result<> validate(const ContainerConfig& config, const HostConfig& host, const HostLimits& machine) {
  TRYV(check_restart_policy(host.restart_policy));
  const auto& policy = host.restart_policy.name;
  if (host.auto_remove && !policy.empty() && policy != "no")
    return fail(Code::kInvalid, "can't create 'AutoRemove' container with restart policy");
  TRYV(check_resources(host, machine));
  if (host.shm_size < 0) return fail(Code::kInvalid, "SHM size can not be less than 0");
  if (host.oom_score_adj < -1000 || host.oom_score_adj > 1000)
    return fail(Code::kInvalid, "Invalid value " + std::to_string(host.oom_score_adj) +
                                    ", range for oom score adj is [-1000, 1000].");
  for (const auto* list : {&host.cap_add, &host.cap_drop})
    for (const auto& name : *list)
      if (!known_capability(name))
        return fail(Code::kInvalid, std::string("invalid Cap") + (list == &host.cap_add ? "Add" : "Drop") +
                                        ": unknown capability: \"" + name + "\"");
  const auto joined = [](const std::string& mode) {
    return mode.starts_with("container:") && mode.size() > 10;
  };
  const std::string &ipc = host.ipc_mode, &pid = host.pid_mode, &uts = host.uts_mode;
  if (!ipc.empty() && ipc != "private" && ipc != "shareable" && ipc != "host" && ipc != "none" &&
      !joined(ipc))
    return fail(Code::kInvalid, "invalid IPC mode: " + ipc);
  if (!pid.empty() && pid != "host" && !joined(pid)) return fail(Code::kInvalid, "invalid PID mode: " + pid);
  if (uts == "host" && !config.hostname.empty())
    return fail(Code::kInvalid, "conflicting options: hostname and the UTS mode");
  if (!uts.empty() && uts != "host") return fail(Code::kInvalid, "invalid UTS mode: " + uts);
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
  for (const auto& text : host.links) TRYV(parse_link(text));
  TRYV(check_shared_network(config, host));
  if (!host.links.empty() && host.network_mode == "host")
    return fail(Code::kInvalid,
                "conflicting options: host type networking can't be used with links. This would result in "
                "undefined behavior");
  if (!host.links.empty() && joined(host.network_mode))
    return fail(Code::kInvalid,
                "conflicting options: container type network can't be used with links. This would result in "
                "undefined behavior");
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
  if (host.annotations.contains(""))
    return fail(Code::kInvalid,
                "invalid Annotations: the empty string is not permitted as an annotation key");
  if (config.hostname.size() > 63) return fail(Code::kInvalid, "invalid hostname: " + config.hostname);
  if (config.healthcheck) {
    const auto& h = *config.healthcheck;
    for (const auto& [name, ns] : {std::pair{"Interval", h.interval},
                                   {"Timeout", h.timeout},
                                   {"StartPeriod", h.start_period},
                                   {"StartInterval", h.start_interval}})
      if (ns != 0 && ns < 1'000'000)
        return fail(Code::kInvalid, std::string(name) + " in Healthcheck cannot be less than 1ms");
    if (h.retries < 0) return fail(Code::kInvalid, "Retries in Healthcheck cannot be negative");
    if (!h.test.empty() && h.test[0] != "NONE" && h.test[0] != "CMD" && h.test[0] != "CMD-SHELL")
      return fail(Code::kInvalid, "unknown type in Healthcheck: " + h.test[0]);
  }
  return {};
}

Result<> merge_image(ContainerConfig& config, const Image& image) {
  const ContainerConfig& base = image.config;
  if (config.user.empty()) config.user = base.user;
  if (config.working_dir.empty()) config.working_dir = base.working_dir;
  if (config.stop_signal.empty()) config.stop_signal = base.stop_signal;
  if (!config.stop_timeout) config.stop_timeout = base.stop_timeout;
  const auto name_of = [](const std::string& e) { return std::string_view(e).substr(0, e.find('=')); };
  const size_t own = config.env.size();
  for (const auto& e : base.env)  // a name alone counts too: the start takes the variable away
    if (std::none_of(config.env.begin(), config.env.begin() + static_cast<ptrdiff_t>(own),
                     [&](const std::string& mine) { return name_of(mine) == name_of(e); }))
      config.env.push_back(e);
  for (const auto& [key, value] : base.labels) config.labels.try_emplace(key, value);
  for (const auto& [path, nothing] : base.volumes) config.volumes.try_emplace(path);
  for (const auto& [port, nothing] : base.exposed_ports) config.exposed_ports.try_emplace(port);
  // An entrypoint given by the user also drops the image's command. [""] resets the image's entrypoint.
  const bool given = config.entrypoint.has_value() && !config.entrypoint->empty();
  if (!given) {
    if (!config.cmd || config.cmd->empty()) config.cmd = base.cmd;
    config.entrypoint = base.entrypoint;
  } else if (config.entrypoint->size() == 1 && (*config.entrypoint)[0].empty()) {
    config.entrypoint = std::nullopt;
  }
  if (!config.healthcheck || config.healthcheck->test.empty()) {
    const HealthConfig own = config.healthcheck.value_or(HealthConfig{});
    config.healthcheck = base.healthcheck;
    if (config.healthcheck) {
      if (own.interval) config.healthcheck->interval = own.interval;
      if (own.timeout) config.healthcheck->timeout = own.timeout;
      if (own.retries) config.healthcheck->retries = own.retries;
      if (own.start_period) config.healthcheck->start_period = own.start_period;
      if (own.start_interval) config.healthcheck->start_interval = own.start_interval;
    }
  }
  if ((!config.cmd || config.cmd->empty()) && (!config.entrypoint || config.entrypoint->empty()))
    return fail(Code::kInvalid, "no command specified");
  return {};
}

static std::string absolute(const std::string& path) { return "/" + clean_path(path); }

static bool leads_out(const std::string& path) {
  int depth = 0;
  for (const auto& part : split(path, '/')) {
    if (part == "..")
      --depth;
    else if (!part.empty() && part != ".")
      ++depth;
    if (depth < 0) return true;
  }
  return path.starts_with('/');
}

static Result<Mount> parse_bind(const std::string& text) {
  const auto parts = split(text, ':');
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() || parts[1].empty())
    return fail(Code::kInvalid, "invalid volume specification: '" + text + "'");
  Mount m;
  m.type = parts[0][0] == '/' ? "bind" : "volume", m.source = parts[0], m.target = parts[1];
  if (m.type == "bind") m.create_mountpoint = true;
  if (parts.size() < 3) return m;
  m.consistency = parts[2];  // as inspect shows it
  for (const auto& mode : split(parts[2], ',')) {
    if (mode == "ro")
      m.read_only = true;
    else if (mode == "nocopy" && m.type == "volume")
      m.no_copy = true;
    else if (m.type == "bind" && (mode == "rprivate" || mode == "private" || mode == "rshared" ||
                                  mode == "shared" || mode == "rslave" || mode == "slave"))
      m.propagation = mode;
    else if (mode != "rw" && mode != "z" && mode != "Z" && mode != "delegated" && mode != "cached" &&
             mode != "consistent" && !mode.empty())
      return fail(Code::kInvalid, "invalid mode: " + mode);
  }
  return m;
}

// A container that sees the engine's own folder must let go of what is unmounted there.
static Result<std::string> propagation_of(const Mount& m, const std::string& data_root) {
  const auto holds = [](const std::string& folder, const std::string& path) {
    return path == folder || path.starts_with(folder.ends_with('/') ? folder : folder + "/");
  };
  const std::string source = absolute(m.source);
  const bool ours = holds(source, data_root) || holds(data_root, source);
  if (m.propagation.empty()) {
    const MountPoint wanted{.source = source, .propagation = "rslave"};
    return std::string(ours && check_propagation(wanted) ? "rslave" : "rprivate");
  }
  if (ours && m.propagation != "rslave" && m.propagation != "rshared")
    return fail(Code::kInvalid,
                "invalid mount config: must use either propagation mode \"rslave\" or \"rshared\" when mount "
                "source is within the daemon root, daemon root: \"" +
                    data_root + "\", bind mount source: \"" + m.source + "\", propagation: \"" +
                    m.propagation + "\"");
  return m.propagation;
}

// What the kernel tells there is not to be forged; runc permits the same few.
static bool inside_proc(const std::string& target) {
  if (target == "/proc") return true;
  if (!target.starts_with("/proc/")) return false;
  for (const char* harmless : {"cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg",
                               "slabinfo", "net/dev", "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"})
    if (target.substr(6) == harmless) return false;
  return true;
}

Task<Result<>> Containers::resolve_mounts(Container& c) {
  std::vector<std::pair<Mount, bool>> wishes;  // wish, from --mount
  for (const auto& text : c.host.binds) {
    CO_TRY(Mount m, parse_bind(text));
    wishes.emplace_back(std::move(m), false);
  }
  for (const auto& m : c.host.mounts) wishes.emplace_back(m, true);
  for (const auto& [target, options] : c.host.tmpfs) {
    Mount m;
    m.type = "tmpfs", m.target = target, m.consistency = options;
    wishes.emplace_back(std::move(m), false);
  }
  for (const auto& [target, nothing] : c.config.volumes) {
    const bool covered = std::ranges::any_of(
        wishes, [&](const auto& w) { return absolute(w.first.target) == absolute(target); });
    if (covered) continue;
    Mount m;
    m.type = "volume", m.target = target;
    wishes.emplace_back(std::move(m), false);
  }
  std::set<std::string> targets, own;
  for (auto& [m, strict] : wishes)
    if (m.type != "volume" || !m.source.empty() || strict) own.insert(absolute(m.target));
  for (const auto& spec : c.host.volumes_from) {
    auto theirs = mounts_from(spec);
    if (!theirs) co_return fail(Code::kInvalid, theirs.error().message);
    for (auto& m : *theirs)
      if (!own.contains(m.destination)) {
        if (!targets.insert(m.destination).second)  // the last one counts
          std::erase_if(c.mounts,
                        [&](const MountPoint& other) { return other.destination == m.destination; });
        c.mounts.push_back(std::move(m));
      }
  }
  // A volume that the image asks for and another container gives is not made.
  std::erase_if(wishes, [&](const auto& w) {
    return w.first.type == "volume" && w.first.source.empty() && !w.second &&
           targets.contains(absolute(w.first.target));
  });
  for (auto& [m, strict] : wishes) {
    const std::string bad = "invalid mount config for type \"" + m.type + "\": ";
    if (m.type != "bind" && m.type != "volume" && m.type != "image" && m.type != "tmpfs")
      co_return fail(Code::kInvalid, bad + "mount type unknown");
    if (m.target.empty()) co_return fail(Code::kInvalid, bad + "field Target must not be empty");
    if (m.type == "bind" && m.source.empty())
      co_return fail(Code::kInvalid, bad + "field Source must not be empty");
    if (m.target[0] != '/')
      co_return fail(Code::kInvalid,
                     bad + "invalid mount path: '" + m.target + "' mount path must be absolute");
    const std::string target = absolute(m.target);
    if (target == "/")
      co_return fail(Code::kInvalid, bad + "invalid specification: destination can't be '/'");
    if (inside_proc(target))
      co_return fail(Code::kInvalid, "\"" + target + "\" cannot be mounted because it is inside /proc");
    if (!targets.insert(target).second) co_return fail(Code::kInvalid, "Duplicate mount point: " + target);
    MountPoint p;
    p.type = m.type, p.destination = target, p.rw = !m.read_only, p.propagation = m.propagation;
    if (m.type == "bind") {
      if (m.source[0] != '/')
        co_return fail(Code::kInvalid,
                       bad + "invalid mount path: '" + m.source + "' mount path must be absolute");
      if (!exists(m.source)) {
        if (strict && !m.create_mountpoint)
          co_return fail(Code::kInvalid, bad + "bind source path does not exist: " + m.source);
        CO_TRYV(make_dirs(m.source, 0755));
      }
      if (m.ro_non_recursive && m.ro_force_recursive)
        co_return fail(Code::kInvalid,
                       "mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive");
      if ((m.ro_non_recursive || m.ro_force_recursive) && !m.read_only)
        co_return fail(Code::kInvalid, bad + "a read-only mode of what lies below needs ReadOnly");
      if (m.ro_force_recursive && !paths_.machine.recursive_read_only)
        co_return fail(Code::kInvalid, "mounts cannot be made read-only recursively: this needs Linux 5.12");
      p.source = m.source, p.recursive = !m.non_recursive,
      p.ro_recursive = m.read_only && !m.ro_non_recursive && paths_.machine.recursive_read_only &&
                       exists(m.source + "/.");  // crun 1.8: of folders only
      if (!strict) p.mode = m.consistency;
      CO_TRY(p.propagation, propagation_of(m, paths_.data.substr(0, paths_.data.rfind('/'))));
    } else if (m.type == "volume") {
      if (leads_out(m.subpath))
        co_return fail(Code::kInvalid, bad + "subpath must be a relative path within the volume");
      if (!m.subpath.empty() && m.source.empty())
        co_return fail(Code::kInvalid, bad + "must not set Subpath when using anonymous volumes");
      if (strict && m.read_only && m.source.empty())
        co_return fail(Code::kInvalid, bad + "must not set ReadOnly mode when using anonymous volumes");
      p.subpath = m.subpath;
      bool created = false;
      if (m.driver_name.empty() && !strict) m.driver_name = c.host.volume_driver;
      CO_TRY(const Volume* v, co_await volumes_.ensure(m.source, m.driver_name, m.volume_labels,
                                                       m.driver_options, created, c.id));
      p.name = v->name, p.source = v->mountpoint, p.driver = v->driver, p.mode = "z";
      p.copy_up = !m.no_copy;
    } else if (m.type == "image") {
      if (leads_out(m.image_subpath))
        co_return fail(Code::kInvalid, bad + "subpath must be a relative path within the image");
      const auto found =
          images_.find(m.source);  // not "not found": the CLI would pull the container's image for that
      if (!found) co_return fail(Code::kInvalid, bad + found.error().message);
      const Image* image = *found;
      p.name = m.source, p.image_id = image->id, p.layers = image->chain_ids, p.subpath = m.image_subpath,
      p.source = dir(c) + "/image-" + std::to_string(c.mounts.size()) + "/merged";
    } else if (m.type == "tmpfs") {
      if (!m.source.empty()) co_return fail(Code::kInvalid, bad + "field Source must not be specified");
      p.mode = m.consistency;
      for (const auto& option : m.tmpfs_options) {
        if (option.empty() || option.size() > 2)
          co_return fail(Code::kInvalid, bad + "invalid option array length");
        p.mode += (p.mode.empty() ? "" : ",") + panal::join(option, "=");
      }
      p.tmpfs_size_bytes = m.tmpfs_size_bytes, p.tmpfs_mode = m.tmpfs_mode;
    }
    c.mounts.push_back(std::move(p));
  }
  co_return Result<>{};
}

static void fill_defaults(HostConfig& host) {
  if (host.restart_policy.name.empty()) host.restart_policy.name = "no";
  if (!host.privileged && !host.masked_paths) host.masked_paths = default_masked_paths();
  if (!host.privileged && !host.readonly_paths) host.readonly_paths = default_readonly_paths();
  if (host.memory > 0 && host.memory_swap == 0) host.memory_swap = host.memory * 2;
}

Task<Result<CreateResult>> Containers::create(std::string name, ContainerConfig config, HostConfig host,
                                              std::map<std::string, Endpoint> endpoints, MadeFor made_for) {
  if (name.starts_with('/')) name = name.substr(1);
  if (!name.empty() && !valid_name(name))
    co_return fail(Code::kInvalid,
                   "Invalid container name (" + name + "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
  const auto taken = [&]() -> Result<> {
    if (auto it = names_.find(name); it != names_.end())
      return fail(Code::kConflict,
                  "Conflict. The container name \"/" + name + "\" is already in use by container \"" +
                      it->second +
                      "\". You have to remove (or rename) that container to be able to reuse that name.");
    return {};
  };
  CO_TRYV(taken());
  apply_defaults(host, paths_.defaults);
  CO_TRYV(validate(config, host, paths_.machine));
  CO_TRYV(check_mapped_users(host, paths_.ids));
  if (config.image.empty())
    co_return fail(Code::kInvalid, config.cmd.value_or(std::vector<std::string>{}).empty() &&
                                           config.entrypoint.value_or(std::vector<std::string>{}).empty()
                                       ? "no command specified"
                                       : "no image specified");
  CO_TRY(const Image* found, images_.find(config.image));
  const Image image = *found;
  CreateResult result;
  result.id = entropy_.hex_id();
  auto live = std::make_shared<LiveContainer>();
  Container& c = live->c;
  result.warnings = fit_resources(host, paths_.machine, paths_.cgroup_v2);
  c.id = result.id, c.image_id = image.id, c.image_ref = config.image, c.created = loop_.wall_now(),
  c.managed_by_swarm = made_for == MadeFor::kSwarm, c.of_build = made_for == MadeFor::kBuild;
  CO_TRYV(merge_image(config, image));
  if (name.empty()) name = random_name(entropy_, [this](const std::string& n) { return names_.contains(n); });
  c.name = name, c.layers = image.chain_ids;
  live->layers = std::make_unique<Images::Pin>(images_, c.layers);
  std::vector<std::string> words;
  if (config.entrypoint) words = *config.entrypoint;
  if (config.cmd) words.insert(words.end(), config.cmd->begin(), config.cmd->end());
  c.path = words.at(0), c.args.assign(words.begin() + 1, words.end());
  if (host.network_mode.empty()) host.network_mode = "default";
  const bool host_network = host.network_mode == "host" && !config.network_disabled;
  if (config.hostname.empty() && !host_network) config.hostname = c.id.substr(0, 12);
  c.hostname = config.hostname;
  fill_defaults(host);
  if (host.init.value_or(false) && !exists(paths_.init_path))
    co_return fail(Code::kInvalid, "--init needs " + paths_.init_path + ": install the package tini");
  if (!config.working_dir.empty()) config.working_dir = absolute(config.working_dir);
  c.config = std::move(config), c.host = std::move(host);

  const std::string mode = c.host.network_mode == "default" ? "bridge" : c.host.network_mode;
  if (c.config.network_disabled) endpoints.clear();
  if (!c.config.network_disabled && !mode.starts_with("container:") && mode != "host" && mode != "none") {
    auto primary = networks_.find(mode);
    c.networks[primary ? (*primary)->name : mode] =
        {};  // a network that is missing is the start's error, as in Docker
  }
  for (auto& [network, endpoint] : endpoints) {
    const std::string key = network == "default" ? "bridge" : network;
    CO_TRYV(check_endpoint(endpoint));
    auto named = networks_.find(key);
    if (!named) {
      c.networks[key] = std::move(endpoint);
      continue;
    }
    const Network* n = *named;
    if (n->pools.empty()) {
      if (n->name == mode) continue;
      co_return fail(Code::kForbidden, "container cannot be connected to network " + n->name);
    }
    endpoint.index = -1;
    if (n->name == "bridge" && !endpoint.aliases.empty() && made_for != MadeFor::kSwarm)
      co_return fail(Code::kInvalid,
                     "network-scoped alias is supported only for containers in user defined networks");
    if (n->name == "bridge" && (!endpoint.ipam.ipv4_address.empty() || !endpoint.ipam.ipv6_address.empty()))
      co_return fail(Code::kInvalid, "user specified IP address is supported on user defined networks only");
    endpoint.network_id = n->id;
    c.networks[n->name] = std::move(endpoint);
  }
  c.host.network_mode = mode;
  CO_TRYV(taken());  // a wait may have passed
  names_[c.name] = c.id;
  auto finish = [&]() -> Task<Result<>> {
    if (c.host.pid_mode.starts_with("container:"))
      if (const auto other = find(c.host.pid_mode.substr(10)); !other)
        co_return fail(Code::kInvalid, other.error().message);
    CO_TRYV(name_links(c));
    CO_TRYV(co_await resolve_mounts(c));
    live->layers = std::make_unique<Images::Pin>(images_, all_layers(c));
    CO_TRYV(make_dirs(dir(c), 0710));
    co_return co_await store(c);
  };
  if (auto done = co_await finish(); !done) {
    names_.erase(c.name);
    (void)remove_tree(dir(c));
    std::vector<std::string> made;
    for (const auto& [name, v] : volumes_.all())
      if (v.made_for == c.id) made.push_back(name);
    for (const auto& name : made) (void)co_await volumes_.remove(name, true);
    co_return std::unexpected(done.error());
  }
  containers_[c.id] = live;
  event(c, "create");
  co_return result;
}

}  // namespace panal
