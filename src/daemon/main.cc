// panald: the composition root. Reads the options, builds the adapters, wires the node, runs the loop. It
// decides nothing.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/statfs.h>

#include <cstdio>
#include <filesystem>

#include "base/log.h"
#include "base/text.h"
#include "daemon/cgroup_view.h"
#include "daemon/claims.h"
#include "daemon/confinement.h"
#include "daemon/facts.h"
#include "daemon/life.h"
#include "daemon/remap.h"
#include "node/cluster/swarm_node.h"
#include "sys/crun/crun_runtime.h"
#include "sys/disk/inotify_watch.h"
#include "sys/disk/raft_files.h"
#include "sys/disk/sqlite_database.h"
#include "sys/files/confined_files.h"
#include "sys/http/fetch_client.h"
#include "sys/http/server.h"
#include "sys/layers/disk_layers.h"
#include "sys/log/log_sink.h"
#include "sys/netlink/linux_network.h"
#include "sys/process/git.h"
#include "sys/raft/libraft_core.h"
#include "sys/rpc/grpc_transport.h"
#include "sys/tls/openssl_crypto.h"

namespace panal {
namespace {

class KernelEntropy final : public Entropy {
 public:
  std::string bytes(size_t count) override {
    std::string out(count, '\0');
    CHECK(::getrandom(out.data(), count, 0) == static_cast<ssize_t>(count));
    return out;
  }
};

// Secrets never touch a disk: their folder is a tmpfs of its own, which outlives the daemon as the containers
// do.
Result<> mount_memory_folder(const std::string& dir) {
  TRYV(make_dirs(dir, 0700));
  struct statfs s{};
  if (::statfs(dir.c_str(), &s) == 0 && s.f_type == 0x01021994) return {};  // TMPFS_MAGIC
  if (::mount("panal-secrets", dir.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700,size=64m") !=
      0)
    return fail(sys_error(errno, "mount tmpfs", dir));
  return {};
}

Result<SeccompDefault> prepare_seccomp(const DaemonOptions& o, SystemFacts& facts) {
  TRY(SeccompDefault seccomp,
      read_seccomp_default(o.seccomp_profile, facts.architecture, facts.kernel_version));
  facts.security_options.push_back("name=seccomp,profile=" + o.seccomp_profile);
  if (auto good = seccomp.check(); !good) {
    facts.warnings.push_back("WARNING: containers that are neither privileged nor unconfined are refused: " +
                             good.error().message);
    log::warn("msg=\"containers that are neither privileged nor unconfined are refused\" error=\"{}\"",
              good.error().message);
  }
  return seccomp;
}

void tell_apparmor(const HostLimits& machine, SystemFacts& facts) {
  if (machine.apparmor_default) {
    facts.security_options.push_back("name=apparmor");
  } else if (machine.apparmor) {
    facts.warnings.push_back(
        "WARNING: containers have no AppArmor profile: install the package apparmor, and start the daemon "
        "again");
    log::warn("msg=\"containers have no AppArmor profile: apparmor_parser is missing\"");
  }
}

// Each attached client, log reader and exec takes descriptors; children get the old limit back from the
// runtime.
void raise_file_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 1048576);
    (void)::setrlimit(RLIMIT_NOFILE, &files);
  }
}

RegistryOptions registry_options(const DaemonOptions& o) {
  return {.registry_mirrors = o.registry_mirrors,
          .insecure_registries = o.insecure_registries,
          .max_concurrent_downloads = o.max_concurrent_downloads,
          .max_concurrent_uploads = o.max_concurrent_uploads,
          .max_download_attempts = o.max_download_attempts};
}

NetworkPaths network_settings(const DaemonOptions& o) {
  NetworkPaths out{.namespaces = o.exec_root + "/netns", .host_resolver = host_resolver};
  NetworkDefaults& d = out.defaults;
  d.bip = o.bip, d.fixed_cidr = o.fixed_cidr, d.host_ip = o.ip, d.mtu = o.mtu, d.icc = o.icc,
  d.masquerade = o.ip_masq, d.resolv.servers = o.dns;
  if (o.default_address_pools.empty()) return out;
  d.pools.clear();
  for (const auto& p : o.default_address_pools) d.pools.push_back({*parse_subnet(p.base), p.size});
  return out;
}

ContainerDefaults container_defaults(const DaemonOptions& o, bool cgroup_v2) {
  ContainerDefaults d;
  d.log = {o.log_driver, o.log_opts}, d.ulimits = o.default_ulimits, d.shm_size_bytes = o.default_shm_size,
  d.runtime = o.default_runtime, d.ipc_mode = o.default_ipc_mode;
  if (cgroup_v2) d.cgroupns_mode = "private";
  if (!o.default_cgroupns_mode.empty()) d.cgroupns_mode = o.default_cgroupns_mode;
  if (cgroup_v2) d.privileged_cgroupns_mode = d.cgroupns_mode;
  d.init = o.init, d.no_new_privileges = o.no_new_privileges, d.dns_options = o.dns_opts,
  d.dns_search = o.dns_search;
  return d;
}

std::string boot_id() { return std::string(trim(read_file("/proc/sys/kernel/random/boot_id").value_or(""))); }

Result<> run(DaemonOptions o) {
  Supervisor supervisor = Supervisor::from_environment();
  TRYV(make_dirs(o.data_root, 0711));
  TRYV(make_dirs(o.exec_root, 0711));
  TRY(const Claims claims, claim(o));
  TRYV(prepare_cgroup_view(o.data_root + "/containers"));

  AsioLoop loop;
  KernelEntropy entropy;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  TRY(const IdMap ids, remap_of(o));
  TRY(auto db, open_database(o.data_root + "/node.db"));
  DiskLayers layers(loop, entropy, o.data_root, self + "/panal-unpack");
  TRYV(layers.open());
  TRYV(layers.map_ids(ids, o.exec_root + "/idmap"));
  TRYV(make_mapped_roots(o.exec_root + "/roots", ids));
  ConfinedFiles files(loop, self + "/panal-unpack");
  LinuxNetwork kernel(loop, o.exec_root + "/netns");
  CrunRuntime runtime(loop, {o.exec_root + "/crun", o.exec_root + "/exits", self + "/panal-slim.so"});
  Events events(loop);
  Images images(loop, layers, *db, events, boot_id());
  TRYV(images.load());
  Networks networks(loop, entropy, kernel, *db, events, network_settings(o));
  TRYV(networks.load());
  Volumes volumes(loop, entropy, *db, events, layers, o.data_root + "/volumes", ids);
  TRYV(volumes.load());
  SystemFacts facts = gather_facts(o, entropy);
  const HostLimits machine = host_limits(facts.cpus);
  const ContainerDefaults defaults = container_defaults(o, facts.cgroup_v2);
  tell_apparmor(machine, facts);
  TRY(SeccompDefault seccomp, prepare_seccomp(o, facts));
  if (!ids.empty()) facts.security_options.push_back("name=userns");
  if (defaults.cgroupns_mode == "private") facts.security_options.push_back("name=cgroupns");
  const WatchFile watcher = [&loop](const std::string& path) { return watch_file(loop, path); };
  const OpenLogSink open_sink = [&loop](LogAddress address) {
    return open_log_sink(loop, std::move(address));
  };
  Containers containers(
      loop, entropy, runtime, layers, files, *db, events, images, networks, volumes,
      {.data = o.data_root + "/containers",
       .execs = o.exec_root + "/execs",
       .cgroup_v2 = facts.cgroup_v2,
       .machine = machine,
       .seccomp = std::move(seccomp),
       .defaults = defaults,
       .log = {facts.node_name, watcher, open_sink},
       .ready_apparmor = [&loop](std::string profile) { return ready_apparmor(loop, std::move(profile)); },
       .ids = ids,
       .mapped_roots = o.exec_root + "/roots",
       .mapped_namespace = o.exec_root + "/idmap/user",
       .device_drivers = find_device_drivers(o)});
  TRYV(containers.load());
  TRYV(runtime.watch_exits());

  GrpcTransport transport(loop);
  const auto crypto = make_openssl_crypto();
  ImagePeers peers(loop, transport, images, layers);
  const std::string secrets = o.exec_root + "/secrets";
  TRYV(mount_memory_folder(secrets));
  NodeDescription description;
  description.hostname = facts.node_name, description.architecture = facts.architecture,
  description.engine_version = PANAL_VERSION;
  description.nano_cpus = facts.cpus * 1'000'000'000LL, description.memory_bytes = facts.memory_bytes;
  FetchClient http(loop, entropy, self + "/panal-unpack", o.data_root + "/ingest");
  RegistryClient registry(loop, http, registry_options(o));
  registry.sha256 = [&layers](std::string_view text) { return layers.sha256(text); };
  ImagePull image_pull(loop, registry, images, layers, events);
  ImagePush image_push(loop, registry, images, layers, events);
  peers.pull = [&image_pull](std::string reference, std::string auth, std::shared_ptr<Halt> halt) {
    return image_pull.pull_for_task(std::move(reference), std::move(auth), std::move(halt));
  };
  GitProgram repositories(loop);
  Builder builder({loop, entropy, containers, images, image_pull, layers, files, http, repositories,
                   o.data_root + "/builds"});
  TaskExecutor executor({loop, containers, networks, peers, description, secrets, ids});
  SwarmNode swarm({loop, entropy, transport, *crypto, kernel, executor, peers,
                   [&loop](const std::string& dir) { return open_raft_files(loop, dir); },
                   [](const raft::Settings& settings) { return raft::make_libraft_core(settings); },
                   o.data_root + "/swarm"});
  Api api({loop, entropy, events, images, containers, networks, volumes, layers, watcher, facts, http,
           registry, image_pull, image_push, builder, &swarm, ask_components(loop)});
  HttpServer server(loop, [&api](HttpExchange& http) { return api.handle(http); });

  raise_file_limit();
  const auto reloaded = [&registry](const DaemonOptions& fresh) {
    registry.set_options(registry_options(fresh));
  };
  Life life({loop, o, supervisor, events, networks, containers, builder, swarm, api, server, reloaded});
  if (auto ended = life.run(); !ended) {
    std::fprintf(stderr, "panald: %s\n", ended.error().message.c_str());
    std::_Exit(1);
  }
  std::_Exit(0);  // coroutines may still wait for containers; the kernel and the monitors carry on without us
}

}  // namespace
}  // namespace panal

int main(int argc, char** argv) {
  using namespace panal;
  ::signal(SIGPIPE, SIG_IGN);
  auto options = parse_options(std::vector<std::string>(argv + 1, argv + argc));
  if (!options) {
    std::fprintf(stderr, "panald: %s\nSee 'panal daemon --help'.\n", options.error().message.c_str());
    return 125;
  }
  if (options->help) return std::fputs(options_help().c_str(), stdout), 0;
  if (options->version) return std::printf("Panal version %s\n", PANAL_VERSION), 0;
  if (options->validate) return std::fputs("configuration OK\n", stderr), 0;
  hold_signals();
  log::set_level(options->level());
  log::set_format(options->log_format == "json" ? log::Format::kJson : log::Format::kText);
  auto done = run(*options);
  if (!done) {
    std::fprintf(stderr, "panald: %s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}
