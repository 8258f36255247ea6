// What settings may be, with Docker's texts; and what follows from them where they say nothing.
#include <arpa/inet.h>

#include <algorithm>
#include <cstdlib>

#include "base/text.h"
#include "daemon/options.h"
#include "engine/log_options.h"
#include "image/registry.h"
#include "network/address.h"

namespace panal {
namespace {

bool is_ip(const std::string& text) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, text.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}
template <class T>
bool one_of(const T& value, std::initializer_list<const char*> known) {
  return std::ranges::any_of(known, [&](const char* k) { return value == k; });
}

Result<> check_hosts(DaemonOptions& o) {
  if (o.hosts.empty()) o.hosts.push_back("unix:///var/run/panal.sock");
  if (o.hosts.size() > 64) return fail(Code::kInvalid, "more than 64 hosts");
  for (auto& h : o.hosts) {
    if (h.find("://") == std::string::npos)
      h = (h.starts_with('/') ? "unix://" : h == "fd" ? "fd://" : "tcp://") + h;
    if (h.starts_with("fd://") || (h.starts_with("unix:///") && h.size() > 8)) continue;
    if (!h.starts_with("tcp://"))
      return fail(Code::kInvalid,
                  "invalid bind address (" + h + "): it must be unix:///path, tcp://address:port or fd://");
    std::string at = h.substr(6);
    if (at.ends_with('/')) at.pop_back();
    const size_t colon = at.rfind(':');
    const bool port_named = colon != std::string::npos && at.find(']', colon) == std::string::npos;
    const auto port = port_named ? parse_int(at.substr(colon + 1))
                                 : std::optional<int64_t>(o.tls || o.tlsverify ? 2376 : 2375);
    if (!port || *port < 0 || *port > 65535)
      return fail(Code::kInvalid, "invalid bind address (" + h + "): the port is no number from 0 to 65535");
    std::string address = at.substr(0, port_named ? colon : std::string::npos);
    if (address == "localhost" || address.empty()) address = "127.0.0.1";
    const std::string bare =
        address.starts_with('[') && address.ends_with(']') ? address.substr(1, address.size() - 2) : address;
    if (!is_ip(bare))
      return fail(Code::kInvalid, "invalid bind address (" + h + "): " + bare + " is not an ip address");
    h = "tcp://" + address + ":" + std::to_string(*port);
  }
  return {};
}

Result<> check_tls(DaemonOptions& o) {
  o.tls = o.tls || o.tlsverify;
  const char *path = std::getenv("DOCKER_CERT_PATH"), *home = std::getenv("HOME");
  const std::string dir = path && *path ? path : std::string(home && *home ? home : "/root") + "/.docker";
  if (o.tlscacert.empty()) o.tlscacert = dir + "/ca.pem";
  if (o.tlscert.empty()) o.tlscert = dir + "/cert.pem";
  if (o.tlskey.empty()) o.tlskey = dir + "/key.pem";
  for (const auto& h : o.hosts)
    if (h.starts_with("tcp://") && !o.tls && !o.allow_plain_tcp)
      return fail(Code::kInvalid, "listening on " + h +
                                      " without TLS is refused, since whoever connects is root on this "
                                      "machine: use --tlsverify with --tlscacert, --tlscert and --tlskey "
                                      "(or, where nobody but you can reach that address, --allow-plain-tcp)");
  return {};
}

Result<> check_networks(DaemonOptions& o) {
  for (const auto& server : o.dns)
    if (!is_ip(server)) return fail(Code::kInvalid, server + " is not an ip address");
  for (const auto& domain : o.dns_search)
    if (domain.empty() || domain.size() > 255 ||
        domain.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
            std::string::npos)
      return fail(Code::kInvalid, domain + " is not a valid domain");
  if (o.mtu < 0 || (o.mtu > 0 && o.mtu < 68) || o.mtu > 65535)
    return fail(Code::kInvalid, "invalid default MTU: " + std::to_string(o.mtu));
  if (o.mtu == 0) o.mtu = 1500;
  if (!parse_ip4(o.ip)) return fail(Code::kInvalid, o.ip + " is not an IPv4 address");
  const auto bip = parse_cidr(o.bip), fixed = parse_cidr(o.fixed_cidr);
  if (!o.bip.empty() && (!bip || bip->prefix > 30 || bip->base == bip->first() || bip->base == bip->last()))
    return fail(Code::kInvalid, "bip " + o.bip + " is no address of a bridge, as CIDR");
  if (!o.fixed_cidr.empty() && !fixed) return fail(Code::kInvalid, "invalid CIDR address: " + o.fixed_cidr);
  if (bip && fixed && (!bip->contains(fixed->first()) || !bip->contains(fixed->last())))
    return fail(Code::kInvalid, "fixed-cidr " + o.fixed_cidr + " is not inside bip " + o.bip);
  for (const auto& p : o.default_address_pools) {
    const auto base = parse_cidr(p.base);
    if (!base) return fail(Code::kInvalid, "invalid base pool \"" + p.base + "\": it must be an IPv4 CIDR");
    if (p.size < base->prefix || p.size > 30)
      return fail(Code::kInvalid,
                  "size " + std::to_string(p.size) + " leaves no networks in the base pool " + p.base);
  }
  return {};
}

Result<> check_defaults(DaemonOptions& o) {
  if (o.default_shm_size <= 0) return fail(Code::kInvalid, "default SHM size must be positive");
  for (auto& [name, limit] : o.default_ulimits) {
    if (!one_of(name, {"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
                       "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"}))
      return fail(Code::kInvalid, "invalid ulimit type: " + name);
    limit.name = name;
    if (limit.hard != -1 && (limit.soft > limit.hard || limit.soft == -1))
      return fail(Code::kInvalid, "ulimit soft limit must be less than or equal to hard limit: " + name);
  }
  if (!one_of(o.default_runtime, {"crun", "runc", "io.containerd.runc.v2"}))
    return fail(Code::kInvalid, "specified default runtime '" + o.default_runtime + "' does not exist");
  if (!one_of(o.default_ipc_mode, {"private", "shareable"}))
    return fail(Code::kInvalid, "IPC mode " + o.default_ipc_mode + " is not valid: use private or shareable");
  if (!one_of(o.default_cgroupns_mode, {"", "private", "host"}))
    return fail(Code::kInvalid, "default cgroup namespace mode (" + o.default_cgroupns_mode +
                                    ") is invalid; use \"host\" or \"private\"");
  const auto cdi = o.features.find("cdi");
  if (o.cdi_spec_dirs == std::vector<std::string>{""} || (cdi != o.features.end() && !cdi->second))
    o.cdi_spec_dirs.clear();
  if (o.cdi_spec_dirs.size() > 64) return fail(Code::kInvalid, "more than 64 folders of CDI specifications");
  if (o.seccomp_profile.empty()) o.seccomp_profile = "builtin";
  TRYV(log_plan({o.log_driver, o.log_opts}));
  return {};
}

}  // namespace

Result<> check_options(DaemonOptions& o) {
  TRYV(check_hosts(o));
  TRYV(check_tls(o));
  TRYV(check_networks(o));
  TRYV(check_defaults(o));
  std::map<std::string, std::string> labels;
  for (const auto& label : o.labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(Code::kInvalid, "bad attribute format: " + label);
    const auto [at, fresh] = labels.emplace(label.substr(0, equals), label.substr(equals + 1));
    if (!fresh && at->second != label.substr(equals + 1))
      return fail(Code::kInvalid, "conflict labels for " + at->first + "=" + at->second + " and " + label);
  }
  if (!one_of(o.log_level, {"debug", "info", "warn", "error", "fatal"}))
    return fail(Code::kInvalid, "invalid logging level: " + o.log_level);
  if (!one_of(o.log_format, {"text", "json"}))
    return fail(Code::kInvalid, "invalid log format: " + o.log_format);
  if (o.max_concurrent_downloads < 0)
    return fail(Code::kInvalid,
                "invalid max concurrent downloads: " + std::to_string(o.max_concurrent_downloads));
  if (o.max_concurrent_uploads < 0)
    return fail(Code::kInvalid,
                "invalid max concurrent uploads: " + std::to_string(o.max_concurrent_uploads));
  if (o.max_download_attempts < 0)
    return fail(Code::kInvalid, "invalid max download attempts: " + std::to_string(o.max_download_attempts));
  if (o.shutdown_timeout_seconds < -1)
    return fail(Code::kInvalid, "invalid shutdown timeout: " + std::to_string(o.shutdown_timeout_seconds));
  TRYV(check_registry_options(
      {.registry_mirrors = o.registry_mirrors, .insecure_registries = o.insecure_registries}));
  for (auto& mirror : o.registry_mirrors)
    if (!mirror.ends_with('/')) mirror += '/';
  for (const auto& path : {o.data_root, o.exec_root, o.pidfile})
    if (!path.empty() && !path.starts_with('/')) return fail(Code::kInvalid, "not an absolute path: " + path);
  if (o.data_root.empty() || o.exec_root.empty())
    return fail(Code::kInvalid, "data-root and exec-root cannot be empty");
  if (o.pidfile.empty()) o.pidfile = o.exec_root + "/panald.pid";
  return {};
}

}  // namespace panal
