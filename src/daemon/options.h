// panald's settings: flags and the configuration file, with dockerd's names where it has them. What Panal
// does not do is refused by name, never accepted and ignored. A setting stands in one of both places, not in
// two.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "model/container.h"

namespace panal {

struct AddressPool {
  std::string base;
  int size = 0;
};

struct DaemonOptions {
  // what it listens on
  std::vector<std::string> hosts;  // "unix:///path", "tcp://address:port", "fd://"
  std::string group = "docker";
  bool tls = false, tlsverify = false, allow_plain_tcp = false;
  std::string tlscacert, tlscert, tlskey;
  // the node
  std::string data_root = "/var/lib/panal", exec_root = "/run/panal", pidfile, node_name;
  std::vector<std::string> labels;
  bool debug = false, live_restore = true;
  int shutdown_timeout_seconds = 15;
  std::string log_level = "info", log_format = "text";
  // images (registry)
  std::vector<std::string> registry_mirrors, insecure_registries;
  int max_concurrent_downloads = 3, max_concurrent_uploads = 5, max_download_attempts = 5;
  // what a container gets that names nothing else
  std::string log_driver = "json-file";
  std::map<std::string, std::string> log_opts;
  std::vector<std::string> dns, dns_opts, dns_search;
  std::map<std::string, Ulimit> default_ulimits;
  int64_t default_shm_size = 64 << 20;
  std::string default_runtime = "crun", seccomp_profile = "builtin", default_ipc_mode = "private",
              default_cgroupns_mode;
  bool init = false, no_new_privileges = false;
  std::vector<std::string> cdi_spec_dirs = {"/etc/cdi", "/var/run/cdi"};
  std::string userns_remap;  // "default", "USER", "USER:GROUP", numbers
  // networks
  std::vector<AddressPool> default_address_pools;  // empty: Docker's
  std::string bip, fixed_cidr, ip = "0.0.0.0";
  int mtu = 1500;
  bool icc = true, ip_masq = true;

  // of this call
  std::string config_file = "/etc/panal/daemon.json";
  bool config_file_named = false, validate = false, help = false, version = false;
  std::string flags;  // what was given as flags, as JSON: a reload reads the file again beside them
  std::map<std::string, bool> features;

  log::Level level() const;
};

Result<DaemonOptions> parse_options(const std::vector<std::string>& args);
/// The same flags with the file as it is now; the caller takes what may change while the daemon runs.
Result<DaemonOptions> reread_options(const DaemonOptions& now);
std::string options_help();

/// Refuses what cannot be and fills in what follows from the rest.
Result<> check_options(DaemonOptions& o);

}  // namespace panal
