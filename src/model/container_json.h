// JSON of model/container.h, with the specification's names. Include in .cc files only.
#pragma once
#include "base/json.h"
#include "model/container.h"

namespace panal {

template <class A>
void fields(A&, Empty&) {}

template <class A>
void fields(A& a, HealthConfig& h) {
  a.opt("Test", h.test), a.opt("Interval", h.interval), a.opt("Timeout", h.timeout),
      a.opt("Retries", h.retries);
  a.opt("StartPeriod", h.start_period), a.opt("StartInterval", h.start_interval);
}

template <class A>
void fields(A& a, ContainerConfig& c) {
  a("Hostname", c.hostname), a("Domainname", c.domainname), a("User", c.user);
  a("AttachStdin", c.attach_stdin), a("AttachStdout", c.attach_stdout), a("AttachStderr", c.attach_stderr);
  a.opt("ExposedPorts", c.exposed_ports), a("Tty", c.tty), a("OpenStdin", c.open_stdin),
      a("StdinOnce", c.stdin_once);
  a("Env", c.env), a("Cmd", c.cmd), a.opt("Healthcheck", c.healthcheck), a("Image", c.image),
      a("Volumes", c.volumes);
  a("WorkingDir", c.working_dir), a("Entrypoint", c.entrypoint), a("Labels", c.labels);
  a.opt("StopSignal", c.stop_signal), a.opt("StopTimeout", c.stop_timeout), a.opt("Shell", c.shell),
      a.opt("OnBuild", c.on_build);
  a.opt("NetworkDisabled", c.network_disabled);
}

template <class A>
void fields(A& a, PortBinding& p) {
  a("HostIp", p.host_ip), a("HostPort", p.host_port);
}
template <class A>
void fields(A& a, RestartPolicy& r) {
  a("Name", r.name), a("MaximumRetryCount", r.maximum_retry_count);
}
template <class A>
void fields(A& a, Ulimit& u) {
  a("Name", u.name), a("Soft", u.soft), a("Hard", u.hard);
}
template <class A>
void fields(A& a, Device& d) {
  a("PathOnHost", d.path_on_host), a("PathInContainer", d.path_in_container),
      a("CgroupPermissions", d.cgroup_permissions);
}
template <class A>
void fields(A& a, DeviceRequest& r) {
  a("Driver", r.driver), a("Count", r.count), a.opt("DeviceIDs", r.device_ids);
  a.opt("Capabilities", r.capabilities), a.opt("Options", r.options);
}
template <class A>
void fields(A& a, WeightDevice& w) {
  a("Path", w.path), a("Weight", w.weight);
}
template <class A>
void fields(A& a, ThrottleDevice& t) {
  a("Path", t.path), a("Rate", t.rate);
}
template <class A>
void blkio_fields(A& a, BlkioLimits& b) {
  a("BlkioWeight", b.weight), a("BlkioWeightDevice", b.weights), a("BlkioDeviceReadBps", b.read_bps),
      a("BlkioDeviceWriteBps", b.write_bps);
  a("BlkioDeviceReadIOps", b.read_iops), a("BlkioDeviceWriteIOps", b.write_iops);
}
template <class A>
void fields(A& a, LogConfig& l) {
  a("Type", l.type), a("Config", l.config);
}

struct MountBindOptions {
  Mount& m;
};
template <class A>
void fields(A& a, MountBindOptions& o) {
  a.opt("Propagation", o.m.propagation), a.opt("NonRecursive", o.m.non_recursive),
      a.opt("CreateMountpoint", o.m.create_mountpoint);
  a.opt("ReadOnlyNonRecursive", o.m.ro_non_recursive),
      a.opt("ReadOnlyForceRecursive", o.m.ro_force_recursive);
}
struct MountDriver {
  Mount& m;
};
template <class A>
void fields(A& a, MountDriver& o) {
  a.opt("Name", o.m.driver_name), a.opt("Options", o.m.driver_options);
}
struct MountVolumeOptions {
  Mount& m;
};
template <class A>
void fields(A& a, MountVolumeOptions& o) {
  MountDriver driver{o.m};
  a.opt("NoCopy", o.m.no_copy), a.opt("Labels", o.m.volume_labels), a.opt("DriverConfig", driver),
      a.opt("Subpath", o.m.subpath);
}
struct MountImageOptions {
  Mount& m;
};
template <class A>
void fields(A& a, MountImageOptions& o) {
  a.opt("Subpath", o.m.image_subpath);
}
struct MountTmpfsOptions {
  Mount& m;
};
template <class A>
void fields(A& a, MountTmpfsOptions& o) {
  a.opt("SizeBytes", o.m.tmpfs_size_bytes), a.opt("Mode", o.m.tmpfs_mode),
      a.opt("Options", o.m.tmpfs_options);
}
template <class A>
void fields(A& a, Mount& m) {
  MountBindOptions bind{m};
  MountVolumeOptions volume{m};
  MountTmpfsOptions tmpfs{m};
  MountImageOptions image{m};
  a("Type", m.type), a.opt("Source", m.source), a("Target", m.target), a.opt("ReadOnly", m.read_only);
  a.opt("Consistency", m.consistency), a.opt("BindOptions", bind), a.opt("VolumeOptions", volume),
      a.opt("TmpfsOptions", tmpfs);
  a.opt("ImageOptions", image), a.refuse("ClusterOptions");
}

template <class A>
void fields(A& a, HostConfig& h) {
  a("Binds", h.binds), a("ContainerIDFile", h.container_id_file), a("LogConfig", h.log_config),
      a("NetworkMode", h.network_mode);
  a("PortBindings", h.port_bindings), a("RestartPolicy", h.restart_policy), a("AutoRemove", h.auto_remove);
  a.opt("ConsoleSize", h.console_size), a("CapAdd", h.cap_add), a("CapDrop", h.cap_drop),
      a("CgroupnsMode", h.cgroupns_mode);
  a("Dns", h.dns), a("DnsOptions", h.dns_options), a("DnsSearch", h.dns_search),
      a("ExtraHosts", h.extra_hosts);
  a("GroupAdd", h.group_add), a("IpcMode", h.ipc_mode), a("OomScoreAdj", h.oom_score_adj),
      a("PidMode", h.pid_mode);
  a("Privileged", h.privileged), a("PublishAllPorts", h.publish_all_ports),
      a("ReadonlyRootfs", h.readonly_rootfs);
  a("SecurityOpt", h.security_opt), a("UTSMode", h.uts_mode), a("ShmSize", h.shm_size),
      a.opt("Sysctls", h.sysctls), a.opt("Tmpfs", h.tmpfs);
  a("Runtime", h.runtime), a("Isolation", h.isolation), a("CpuShares", h.cpu_shares), a("Memory", h.memory),
      a("NanoCpus", h.nano_cpus);
  a("CpuPeriod", h.cpu_period), a("CpuQuota", h.cpu_quota), a("CpusetCpus", h.cpuset_cpus),
      a("CpusetMems", h.cpuset_mems);
  a("Devices", h.devices), a("MemoryReservation", h.memory_reservation), a("MemorySwap", h.memory_swap);
  a.opt("MemorySwappiness", h.memory_swappiness), a("OomKillDisable", h.oom_kill_disable),
      a.opt("PidsLimit", h.pids_limit);
  a("Ulimits", h.ulimits), a.opt("Mounts", h.mounts), a.opt("Init", h.init),
      a.opt("MaskedPaths", h.masked_paths), a.opt("ReadonlyPaths", h.readonly_paths);
  a("VolumeDriver", h.volume_driver), a("VolumesFrom", h.volumes_from), a("Links", h.links),
      a("UsernsMode", h.userns_mode), a("CgroupParent", h.cgroup_parent);
  a("DeviceRequests", h.device_requests), a("DeviceCgroupRules", h.device_cgroup_rules),
      a.opt("Annotations", h.annotations);
  a("CpuRealtimePeriod", h.cpu_rt_period), a("CpuRealtimeRuntime", h.cpu_rt_runtime);
  blkio_fields(a, h.blkio);
  a.refuse("StorageOpt", "the overlay of a container has no size of its own here");
  for (const char* name :
       {"Cgroup", "KernelMemoryTCP", "CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth"})
    a.refuse(name);
}

template <class A>
void fields(A& a, EndpointIpam& i) {
  a.opt("IPv4Address", i.ipv4_address), a.opt("IPv6Address", i.ipv6_address),
      a.opt("LinkLocalIPs", i.link_local_ips);
}
template <class A>
void fields(A& a, Endpoint& e) {
  a("IPAMConfig", e.ipam), a("Aliases", e.aliases), a("NetworkID", e.network_id),
      a("EndpointID", e.endpoint_id), a("Gateway", e.gateway);
  if constexpr (A::kReading)
    a("PanalIndex", e.index), a("PanalMac", e.wanted_mac);
  else
    a("PanalIndex", e.index), a.opt("PanalMac", e.wanted_mac);
  a.opt("PanalAttachment", e.attachment);
  a("IPAddress", e.ip_address), a("IPPrefixLen", e.ip_prefix_len), a("MacAddress", e.mac_address),
      a.opt("DNSNames", e.dns_names);
  a("IPv6Gateway", e.gateway6), a("GlobalIPv6Address", e.ip6_address),
      a("GlobalIPv6PrefixLen", e.ip6_prefix_len), a("GwPriority", e.gateway_priority);
  a.opt("Links", e.links), a.opt("DriverOpts", e.driver_opts);
}

// The daemon's own record; its names are Panal's.
template <class A>
void time_field(A& a, std::string_view key, WallTime& time) {
  int64_t ns = time.time_since_epoch().count();
  a(key, ns);
  time = WallTime(Duration(ns));
}
template <class A>
void fields(A& a, MountPoint& m) {
  a("Type", m.type), a.opt("Name", m.name), a("Source", m.source), a("Destination", m.destination),
      a.opt("Driver", m.driver);
  a("Mode", m.mode), a("RW", m.rw), a("Propagation", m.propagation), a.opt("Subpath", m.subpath),
      a.opt("CopyUp", m.copy_up);
  a.opt("TmpfsSizeBytes", m.tmpfs_size_bytes), a.opt("TmpfsMode", m.tmpfs_mode), a("Recursive", m.recursive),
      a.opt("RoRecursive", m.ro_recursive);
  a.opt("ImageId", m.image_id), a.opt("Layers", m.layers);
}
template <class A>
void fields(A& a, PublishedPort& p) {
  a("HostIp", p.host_ip), a("HostPort", p.host_port), a("Port", p.port), a("Protocol", p.protocol),
      a.opt("To", p.to), a.opt("Routed", p.routed);
}
template <class A>
void fields(A& a, HealthResult& r) {
  time_field(a, "Start", r.start), time_field(a, "End", r.end), a("ExitCode", r.exit_code),
      a("Output", r.output);
}
template <class A>
void fields(A& a, ContainerState& s) {
  a("Phase", s.phase), a("OOMKilled", s.oom_killed), a("Pid", s.pid), a("PidStart", s.pid_start),
      a("ConmonPid", s.conmon_pid);
  a.opt("RootUid", s.root_uid), a.opt("RootGid", s.root_gid);
  a("ExitCode", s.exit_code), a("Error", s.error), time_field(a, "StartedAt", s.started_at),
      time_field(a, "FinishedAt", s.finished_at);
  a("Health", s.health), a("HealthFailures", s.health_failures), a.opt("HealthLog", s.health_log);
}
template <class A>
void fields(A& a, Container& c) {
  a("Id", c.id), a("Name", c.name), a("ImageId", c.image_id), a("ImageRef", c.image_ref), a("Path", c.path),
      a("Args", c.args);
  time_field(a, "Created", c.created), a("Config", c.config), a("HostConfig", c.host), a("State", c.state),
      a("Mounts", c.mounts);
  a("Networks", c.networks), a("Ports", c.ports), a("Layers", c.layers), a("Hostname", c.hostname),
      a("RestartCount", c.restart_count), a("StoppedByUser", c.stopped_by_user),
      a.opt("VolumesGo", c.volumes_go), a.opt("OfBuild", c.of_build), a("ManagedBySwarm", c.managed_by_swarm),
      a.opt("PausedToCopy", c.paused_to_copy), a.opt("LeftNone", c.left_none);
}

PANAL_JSON(extern, HealthConfig)
PANAL_JSON(extern, ContainerConfig)
PANAL_JSON(extern, Mount)
PANAL_JSON(extern, LogConfig)
PANAL_JSON(extern, HostConfig)
PANAL_JSON(extern, Endpoint)
PANAL_JSON(extern, Container)

}  // namespace panal
