// panald: the composition root. Reads the options, builds the adapters, wires the node, runs the loop. It decides nothing.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <cstdio>
#include <filesystem>

#include "api/api.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/cgroup_view.h"
#include "daemon/options.h"
#include "daemon/seccomp_default.h"
#include "sys/crun/crun_runtime.h"
#include "sys/disk/inotify_watch.h"
#include "sys/disk/sqlite_database.h"
#include "sys/files/confined_files.h"
#include "sys/http/fetch_client.h"
#include "sys/http/server.h"
#include "sys/layers/disk_layers.h"
#include "node/swarm_node.h"
#include "sys/disk/raft_files.h"
#include "sys/netlink/linux_network.h"
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

SystemFacts gather_facts(const DaemonOptions& o, Entropy& entropy) {
  SystemFacts f;
  utsname u{};
  ::uname(&u);
  f.node_name = o.node_name.empty() ? u.nodename : o.node_name;
  f.kernel_version = u.release;
  const std::string machine = u.machine;
  f.architecture = machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine.starts_with("arm") ? "arm" : machine;
  struct sysinfo s{};
  ::sysinfo(&s);
  f.memory_bytes = static_cast<int64_t>(s.totalram) * s.mem_unit;
  f.cpus = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  f.data_root = o.data_root, f.debug = o.debug;
  for (const auto& line : split(read_file("/etc/os-release").value_or(""), '\n')) {
    if (line.starts_with("PRETTY_NAME=")) f.operating_system = std::string(trim(line.substr(12)));
    if (line.starts_with("VERSION_ID=")) f.os_version = std::string(trim(line.substr(11)));
  }
  for (std::string* text : {&f.operating_system, &f.os_version}) std::erase(*text, '"');
  const std::string id_file = o.data_root + "/engine-id";
  f.id = std::string(trim(read_file(id_file).value_or("")));
  if (f.id.empty()) {
    f.id = hex(entropy.bytes(16));
    (void)write_file_atomic(id_file, f.id);
  }
  f.cgroup_v2 = cgroup_is_v2();
  f.runtime_version = "1";
  return f;
}

std::vector<std::string> host_name_servers() {
  std::vector<std::string> out;
  for (const auto& line : split(read_file("/etc/resolv.conf").value_or(""), '\n'))
    if (line.starts_with("nameserver ")) {
      const std::string server(trim(line.substr(11)));
      if (!server.starts_with("127.")) out.push_back(server);  // a container could not reach it
    }
  if (out.empty())  // systemd-resolved: its stub is on loopback, the real servers stand here
    for (const auto& line : split(read_file("/run/systemd/resolve/resolv.conf").value_or(""), '\n'))
      if (line.starts_with("nameserver ")) out.emplace_back(trim(line.substr(11)));
  return out;
}

// Secrets never touch a disk: their folder is a tmpfs of its own, which outlives the daemon as the containers do.
Result<> mount_memory_folder(const std::string& dir) {
  TRYV(make_dirs(dir, 0700));
  struct statfs s{};
  if (::statfs(dir.c_str(), &s) == 0 && s.f_type == 0x01021994) return {};  // TMPFS_MAGIC
  if (::mount("panal-secrets", dir.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700,size=64m") != 0) return fail(sys_error(errno, "mount tmpfs", dir));
  return {};
}

Result<SeccompDefault> prepare_seccomp(const DaemonOptions& o, SystemFacts& facts) {
  TRY(SeccompDefault seccomp, read_seccomp_default(o.seccomp_profile, facts.architecture, facts.kernel_version));
  facts.security_options = {"name=seccomp,profile=" + o.seccomp_profile};
  if (auto good = seccomp.check(); !good) {
    facts.warnings.push_back("WARNING: containers that are neither privileged nor unconfined are refused: " + good.error().message);
    log::warn("msg=\"containers that are neither privileged nor unconfined are refused\" error=\"{}\"", good.error().message);
  }
  return seccomp;
}

RegistryOptions registry_options(const DaemonOptions& o) { return {.registry_mirrors = o.registry_mirrors, .insecure_registries = o.insecure_registries}; }

// Each attached client, log reader and exec takes descriptors; children get the old limit back from the runtime.
void raise_file_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 1048576);
    (void)::setrlimit(RLIMIT_NOFILE, &files);
  }
}

Result<> run(const DaemonOptions& o) {
  TRYV(check_registry_options(registry_options(o)));
  TRYV(make_dirs(o.data_root, 0711));
  TRYV(make_dirs(o.exec_root, 0711));
  Fd lock(::open((o.exec_root + "/panald.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  struct flock exclusive{.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (::fcntl(lock.get(), F_SETLK, &exclusive) != 0) return fail(Code::kConflict, "another panald uses " + o.exec_root);
  TRYV(prepare_cgroup_view(o.data_root + "/containers"));

  AsioLoop loop;
  KernelEntropy entropy;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  TRY(auto db, open_database(o.data_root + "/node.db"));
  DiskLayers layers(loop, entropy, o.data_root, self + "/panal-unpack");
  TRYV(layers.open());
  ConfinedFiles files(loop, self + "/panal-unpack");
  LinuxNetwork kernel(loop, o.exec_root + "/netns");
  CrunRuntime runtime(loop, {o.exec_root + "/crun", o.exec_root + "/exits"});
  Events events(loop);
  Images images(loop, layers, *db, events);
  TRYV(images.load());
  Networks networks(loop, entropy, kernel, *db, events, {o.exec_root + "/netns", host_name_servers()});
  TRYV(networks.load());
  Volumes volumes(loop, entropy, *db, events, o.data_root + "/volumes");
  TRYV(volumes.load());
  SystemFacts facts = gather_facts(o, entropy);
  TRY(SeccompDefault seccomp, prepare_seccomp(o, facts));
  Containers containers(loop, entropy, runtime, layers, files, *db, events, images, networks, volumes,
                        {.data = o.data_root + "/containers", .execs = o.exec_root + "/execs", .cgroup_v2 = facts.cgroup_v2, .machine = host_limits(facts.cpus), .seccomp = std::move(seccomp)});
  TRYV(containers.load());
  TRYV(runtime.watch_exits());
  const WatchFile watcher = [&loop](const std::string& path) { return watch_file(loop, path); };

  GrpcTransport transport(loop);
  const auto crypto = make_openssl_crypto();
  ImagePeers peers(loop, transport, images, layers);
  FetchClient http(loop, entropy, self + "/panal-unpack", o.data_root + "/ingest");
  RegistryClient registry(loop, http, registry_options(o));
  registry.sha256 = [&layers](std::string_view text) { return layers.sha256(text); };
  ImagePull image_pull(loop, registry, images, layers, events);
  ImagePush image_push(loop, registry, images, layers, events);
  peers.pull = [&image_pull](std::string reference, std::string auth) { return image_pull.pull_for_task(std::move(reference), std::move(auth)); };
  const std::string secrets = o.exec_root + "/secrets";
  TRYV(mount_memory_folder(secrets));
  NodeDescription description;
  description.hostname = facts.node_name, description.architecture = facts.architecture, description.engine_version = PANAL_VERSION;
  description.nano_cpus = facts.cpus * 1'000'000'000LL, description.memory_bytes = facts.memory_bytes;
  TaskExecutor executor({loop, containers, networks, peers, description, secrets});
  SwarmNode swarm({loop, entropy, transport, *crypto, kernel, executor, peers, [&loop](const std::string& dir) { return open_raft_files(loop, dir); },
                   [](const raft::Settings& settings) { return raft::make_libraft_core(settings); }, o.data_root + "/swarm", facts.node_name});
  Api api({loop, entropy, events, images, containers, networks, volumes, layers, watcher, facts, http, registry, image_pull, image_push, &swarm});
  HttpServer server(loop, [&api](HttpExchange& http) { return api.handle(http); });

  raise_file_limit();
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, s);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  AsyncFd signal_fd(loop, Fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)));

  Scope scope;
  std::optional<Error> failure;
  std::vector<std::string> bound;
  auto start_up = [&]() -> Task<void> {
    auto ready = co_await networks.setup();
    if (ready) co_await containers.adopt();
    if (ready) ready = co_await swarm.resume();
    for (const auto& host : o.hosts) {
      if (!ready) break;
      auto listener = listen_unix(host.substr(7), 0660, o.group);
      if (listener) bound.push_back(host.substr(7)), server.listen(std::move(*listener));
      else ready = std::unexpected(listener.error());
    }
    if (!ready) {
      failure = ready.error();
      loop.stop();
      co_return;
    }
    log::info("msg=\"ready\" version={} data_root={} host={}", PANAL_VERSION, o.data_root, o.hosts[0]);
  };
  // SIGTERM: answer no more, leave containers running, end. A second signal or five seconds end it at once.
  auto until_signal = [&]() -> Task<void> {
    for (;;) {
      if (co_await signal_fd.readable() == AsyncFd::Ready::kClosed) co_return;
      signalfd_siginfo info{};
      if (::read(signal_fd.get(), &info, sizeof info) != sizeof info || info.ssi_signo == SIGHUP) continue;
      log::info("msg=\"stopping\" signal={}", info.ssi_signo);
      containers.shutdown();
      swarm.shutdown();
      server.stop();
      loop.call_after(300ms, [&loop] { loop.stop(); });
    }
  };
  scope.spawn(start_up());
  scope.spawn(until_signal());
  loop.run();
  for (const auto& path : bound) ::unlink(path.c_str());
  if (failure) {
    std::fprintf(stderr, "panald: %s\n", failure->message.c_str());
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
  if (options->debug) log::set_level(log::Level::kDebug);
  auto done = run(*options);
  if (!done) {
    std::fprintf(stderr, "panald: %s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}
