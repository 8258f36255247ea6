#include "lab/lab.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/fd.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/http.h"
#include "sys/netlink/rtnl.h"

namespace panal {

static const std::string kNamespaces = "/run/netns/";

static uint64_t start_time(int pid) {
  auto text = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (pid <= 0 || !text) return 0;
  const auto words = split(std::string_view(*text).substr(text->rfind(')') + 2), ' ');
  if (words.size() < 20 || words[0] == "Z" || words[0] == "X") return 0;
  return std::strtoull(words[19].c_str(), nullptr, 10);
}
static bool is_alive(int pid, uint64_t start) { return pid > 0 && start != 0 && start_time(pid) == start; }

// SIGKILL and wait until it is gone; only ever a process this lab started (its start time says so).
static void end_process(int pid, uint64_t start, int signal) {
  if (!is_alive(pid, start)) return;
  ::kill(pid, signal);
  for (int tries = 0; tries < 300 && is_alive(pid, start); ++tries) {
    (void)::waitpid(pid, nullptr, WNOHANG);
    if (tries == 200) ::kill(pid, SIGKILL);
    ::usleep(10'000);
  }
}

Lab::Lab(std::string name, std::string bin_dir)
    : name_(std::move(name)), bin_(std::move(bin_dir)), dir_("/var/lib/panal-lab/" + name_) {}

bool Lab::alive(const LabNode& n) const { return is_alive(n.daemon, n.daemon_start); }

template <class A>
void fields(A& a, LabNode& n) {
  a("Number", n.number), a("Name", n.name), a("Manager", n.manager), a("Holder", n.holder),
      a("Daemon", n.daemon), a("HolderStart", n.holder_start), a("DaemonStart", n.daemon_start);
}

Result<> Lab::load() {
  auto text = read_file(dir_ + "/lab.json");
  if (!text)
    return fail(Code::kNotFound, "there is no playground \"" + name_ + "\": start one with `panal lab up`");
  TRY(nodes_, from_text<std::vector<LabNode>>(*text));
  return {};
}
Result<> Lab::save() { return write_file_atomic(dir_ + "/lab.json", to_text(nodes_)); }

Result<LabNode> Lab::find(const std::string& name) const {
  for (const auto& n : nodes_)
    if (n.name == name || std::to_string(n.number) == name) return n;
  return fail(Code::kNotFound, "no node " + name + " in the playground: see `panal lab ls`");
}

Result<> Lab::make_switch() {
  TRYV(make_dirs(kNamespaces, 0755));
  TRYV(create_net_namespace(kNamespaces + ns_name("switch")));
  TRY(auto inside, InNamespace::enter(kNamespaces + ns_name("switch")));
  for (const char* table : {"iptables", "ip6tables", "arptables"})
    (void)write_file(std::string("/proc/sys/net/bridge/bridge-nf-call-") + table, "0");
  TRY(auto rtnl, Rtnl::open());
  TRYV(rtnl.set_up("lo"));
  TRYV(rtnl.add_bridge("lab0", 0, 1500));
  TRYV(rtnl.add_address("lab0", "10.88.0.254/24"));
  return rtnl.set_up("lab0");
}

Result<> Lab::make_node(LabNode& n) {
  const std::string ns = kNamespaces + ns_name(n.name), port = "port" + std::to_string(n.number);
  TRYV(create_net_namespace(ns));
  Fd target(::open(ns.c_str(), O_RDONLY | O_CLOEXEC));
  if (!target) return fail(sys_error(errno, "open", ns));
  {
    TRY(auto at_switch, InNamespace::enter(kNamespaces + ns_name("switch")));
    TRY(auto rtnl, Rtnl::open());
    TRYV(rtnl.add_veth(port, "eth0", target.get(), "", 1500, "lab0"));
  }
  {
    TRY(auto inside, InNamespace::enter(ns));
    TRY(auto rtnl, Rtnl::open());
    TRYV(rtnl.set_up("lo"));
    TRYV(rtnl.add_address("eth0", address(n) + "/24"));
    TRYV(rtnl.set_up("eth0"));
  }
  TRYV(make_dirs(dir_ + "/" + n.name, 0700));
  TRYV(spawn_holder(n));
  return spawn_daemon(n);
}

// The mounts of a node live in its holder's namespace: they outlive every panald, and go with the holder.
Result<> Lab::spawn_holder(LabNode& n) {
  TRY(auto ready, make_pipe());
  const pid_t pid = ::fork();
  if (pid < 0) return fail(sys_error(errno, "fork"));
  if (pid == 0) {
    ::setsid();
    auto prepare = [&]() -> Result<> {
      if (::unshare(CLONE_NEWNS) != 0) return fail(sys_error(errno, "unshare"));
      if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
        return fail(sys_error(errno, "mount", "/"));
      Fd ns(::open((kNamespaces + ns_name(n.name)).c_str(), O_RDONLY | O_CLOEXEC));
      if (!ns || ::setns(ns.get(), CLONE_NEWNET) != 0) return fail(sys_error(errno, "setns"));
      // panald's cgroup view is made here once, so that each life of it finds the same.
      struct statfs s{};
      const bool hybrid = ::statfs("/sys/fs/cgroup/unified", &s) == 0 && s.f_type == 0x63677270;
      if (hybrid) {
        const std::string t = dir_ + "/" + n.name + "/cgroup";
        TRYV(make_dirs(t, 0755));
        if (::mount("cgroup", t.c_str(), "tmpfs", 0, "mode=755,size=1m") != 0)
          return fail(sys_error(errno, "mount", t));
        for (const auto& entry : std::filesystem::directory_iterator("/sys/fs/cgroup")) {
          const std::string controller = entry.path().filename();
          if (controller == "unified" || !entry.is_directory() || entry.is_symlink()) continue;
          TRYV(make_dirs(t + "/" + controller, 0755));
          if (::mount(entry.path().c_str(), (t + "/" + controller).c_str(), nullptr, MS_BIND, nullptr) != 0)
            return fail(sys_error(errno, "mount", controller));
        }
        if (::mount(t.c_str(), "/sys/fs/cgroup", nullptr, MS_MOVE, nullptr) != 0)
          return fail(sys_error(errno, "mount", "/sys/fs/cgroup"));
      }
      return {};
    };
    const auto done = prepare();
    const std::string answer = done ? "ok" : done.error().message;
    (void)!::write(ready.second.get(), answer.data(), answer.size());
    ready.second.reset(), ready.first.reset();
    for (int fd = 0; fd < 3; ++fd) {
      const int null = ::open("/dev/null", O_RDWR);
      ::dup2(null, fd);
      if (null > 2) ::close(null);
    }
    ::prctl(PR_SET_NAME, "panal-lab-node");
    if (!done) ::_exit(1);
    // Init of its node: conmon and panald are its children by adoption, and are reaped here.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (;;) {
      if (::waitpid(-1, nullptr, 0) < 0) ::usleep(500'000);
    }
  }
  ready.second.reset();
  TRY(const std::string answer, read_all(ready.first.get(), 4096));
  if (answer != "ok")
    return fail(Code::kInternal, n.name + ": " + (answer.empty() ? "its holder ended" : answer));
  n.holder = pid, n.holder_start = start_time(pid);
  return save();
}

Result<> Lab::spawn_daemon(LabNode& n) {
  TRY(auto report, make_pipe());
  const pid_t middle = ::fork();
  if (middle < 0) return fail(sys_error(errno, "fork"));
  if (middle == 0) {
    const std::string base = dir_ + "/" + n.name;
    Fd mnt(::open(("/proc/" + std::to_string(n.holder) + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
    Fd net(::open((kNamespaces + ns_name(n.name)).c_str(), O_RDONLY | O_CLOEXEC));
    if (!mnt || !net || ::setns(net.get(), CLONE_NEWNET) != 0 || ::setns(mnt.get(), CLONE_NEWNS) != 0)
      ::_exit(1);
    const pid_t pid = ::fork();
    if (pid != 0) {  // the middle ends: the daemon belongs to init
      const std::string text = std::to_string(pid);
      (void)!::write(report.second.get(), text.data(), text.size());
      ::_exit(0);
    }
    ::setsid();
    const int log = ::open((base + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600),
              null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, 0), ::dup2(log, 1), ::dup2(log, 2);
    const std::string program = bin_ + "/panald", data = base + "/data", run = base + "/run",
                      host = "unix://" + base + "/docker.sock";
    ::execl(program.c_str(), "panald", "--config-file", "/dev/null", "--node-name", n.name.c_str(),
            "--data-root", data.c_str(), "--exec-root", run.c_str(), "-H", host.c_str(), nullptr);
    ::dprintf(2, "%s: %s\n", program.c_str(), ::strerror(errno));
    ::_exit(127);
  }
  report.second.reset();
  (void)::waitpid(middle, nullptr, 0);
  TRY(const std::string text, read_all(report.first.get(), 64));
  n.daemon = static_cast<int>(parse_int(text).value_or(0)), n.daemon_start = start_time(n.daemon);
  for (auto& known : nodes_)
    if (known.number == n.number) known = n;
  return save();
}

Result<> Lab::wait_ready(const LabNode& n) {
  for (int tries = 0; tries < 500; ++tries) {
    ApiClient api({.host = "unix://" + socket(n)});
    if (exists(socket(n)) && api.call("GET", "/_ping")) return {};
    if (!alive(n)) break;
    ::usleep(20'000);
  }
  auto text = read_file(log(n));
  if (!text) return fail(wrap(n.name + " did not come up", text.error()));
  return fail(Code::kInternal,
              n.name + " did not come up: " +
                  std::string(trim(text->substr(text->size() > 400 ? text->size() - 400 : 0))));
}

Result<> Lab::form_swarm() {
  const LabNode& first = nodes_.at(0);
  ApiClient leader({.host = "unix://" + socket(first)});
  TRYV(leader.call("POST", "/swarm/init",
                   dump(JsonObject{{"ListenAddr", "0.0.0.0:2377"}, {"AdvertiseAddr", address(first)}})));
  TRY(const std::string swarm, leader.call("GET", "/swarm"));
  TRY(const Json json, parse_json(swarm));
  for (size_t i = 1; i < nodes_.size(); ++i) {
    const auto& tokens = json.as_object().at("JoinTokens").as_object();
    const std::string token = str(tokens.at(nodes_[i].manager ? "Manager" : "Worker"));
    ApiClient api({.host = "unix://" + socket(nodes_[i])});
    auto joined = api.call("POST", "/swarm/join",
                           dump(JsonObject{{"ListenAddr", "0.0.0.0:2377"},
                                           {"AdvertiseAddr", address(nodes_[i])},
                                           {"RemoteAddrs", JsonArray{Json(address(first) + ":2377")}},
                                           {"JoinToken", token}}));
    if (!joined) return fail(wrap(nodes_[i].name, joined.error()));
  }
  for (int tries = 0; tries < 500; ++tries) {  // every node ready, every manager reachable
    auto list = leader.call("GET", "/nodes");
    size_t ready = 0;
    if (list)
      if (auto nodes = parse_json(*list); nodes && nodes->is_array())
        for (const auto& n : nodes->get_array())
          ready += str(n.as_object().at("Status").as_object().at("State")) == "ready";
    if (ready == nodes_.size()) return {};
    ::usleep(20'000);
  }
  return fail(Code::kTimeout, "not every node became ready");
}

Result<> Lab::up(int managers, int workers) {
  if (managers < 1 || workers < 0 || managers + workers > 60)
    return fail(Code::kInvalid, "a playground has at least one manager and at most 60 nodes");
  if (load()) {
    for (const auto& n : nodes_)
      if (alive(n))
        return fail(Code::kConflict,
                    "the playground \"" + name_ +
                        "\" is up already: `panal lab ls` shows it, `panal lab down` ends it");
  }
  TRYV(down());  // what an earlier life left
  TRYV(make_dirs(dir_, 0700));
  nodes_.clear();
  for (int k = 1; k <= managers + workers; ++k)
    nodes_.push_back({k, "node" + std::to_string(k), k <= managers});
  TRYV(save());
  auto work = [&]() -> Result<> {
    TRYV(make_switch());
    for (size_t i = 0; i < nodes_.size(); ++i) TRYV(make_node(nodes_[i]));
    for (const auto& n : nodes_) TRYV(wait_ready(n));
    return form_swarm();
  };
  auto done = work();
  if (!done) (void)down();
  return done;
}

// Everything of this node's containers: their processes by cgroup, their cgroups.
void Lab::kill_containers(const LabNode& n) {
  std::vector<std::string> ids;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(dir_ + "/" + n.name + "/data/containers", error))
    ids.push_back(entry.path().filename());
  const auto ours = [&](const std::string& text) {
    for (const auto& id : ids)
      if (text.find("/panal/" + id) != std::string::npos || text.find(id) != std::string::npos) return true;
    return false;
  };
  for (int pass = 0; pass < 2; ++pass)
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
      const std::string name = entry.path().filename();
      if (!parse_int(name)) continue;
      const std::string file = pass == 0 ? "/cmdline" : "/cgroup";
      auto text = read_file("/proc/" + name + file, 1 << 20);
      if (!text) continue;
      const bool monitor = pass == 0 && text->find("conmon") != std::string::npos &&
                           text->find(dir_ + "/") != std::string::npos;
      if ((pass == 0 && monitor && ours(*text)) ||
          (pass == 1 && text->find("/panal/") != std::string::npos && ours(*text)))
        ::kill(std::atoi(name.c_str()), SIGKILL);
    }
  bool busy = true;  // a group is, until the last process in it is gone
  for (int tries = 0; busy && tries < 100; ++tries) {
    ::usleep(20'000);
    busy = false;
    for (const auto& controller : std::filesystem::directory_iterator("/sys/fs/cgroup", error))
      for (const auto& id : ids)
        busy |= ::rmdir((controller.path().string() + "/panal/" + id).c_str()) != 0 && errno == EBUSY;
  }
}

Result<> Lab::down() {
  if (nodes_.empty()) (void)load();
  for (const auto& n : nodes_) end_process(n.daemon, n.daemon_start, SIGKILL);
  for (const auto& n : nodes_) {
    kill_containers(n);
    end_process(n.holder, n.holder_start, SIGKILL);
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kNamespaces, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("panal-" + name_ + "-")) (void)remove_net_namespace(entry.path());
  }
  Result<> removed;
  for (int tries = 0; tries < 50;
       ++tries) {  // the last processes of a namespace may still be on their way out
    removed = remove_tree(dir_);
    if (removed) break;
    ::usleep(50'000);
  }
  nodes_.clear();
  return removed;
}

Result<> Lab::start(const std::string& name) {
  TRY(LabNode n, find(name));
  if (alive(n)) return fail(Code::kConflict, n.name + " is running");
  TRYV(spawn_daemon(n));
  return wait_ready(n);
}

Result<> Lab::stop(const std::string& name, int signal) {
  TRY(const LabNode n, find(name));
  if (!alive(n)) return fail(Code::kConflict, n.name + " is not running");
  end_process(n.daemon, n.daemon_start, signal);
  if (signal == SIGKILL) kill_containers(n);  // as when a machine loses power
  return {};
}

Result<> Lab::link(const std::string& name, bool up) {
  TRY(const LabNode n, find(name));
  TRY(auto inside, InNamespace::enter(kNamespaces + ns_name("switch")));
  TRY(auto rtnl, Rtnl::open());
  const std::string port = "port" + std::to_string(n.number);
  return up ? rtnl.set_up(port) : rtnl.set_down(port);
}

Result<int> Lab::exec(const std::string& name, const std::vector<std::string>& words) {
  std::string holder, ns = kNamespaces + ns_name("switch"), host;
  if (name != "switch") {
    TRY(const LabNode n, find(name));
    holder = std::to_string(n.holder), ns = kNamespaces + ns_name(n.name), host = "unix://" + socket(n);
  }
  const pid_t pid = ::fork();
  if (pid < 0) return fail(sys_error(errno, "fork"));
  if (pid == 0) {
    Fd net(::open(ns.c_str(), O_RDONLY | O_CLOEXEC)),
        mnt(holder.empty() ? -1 : ::open(("/proc/" + holder + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
    if (!net || ::setns(net.get(), CLONE_NEWNET) != 0 || (mnt && ::setns(mnt.get(), CLONE_NEWNS) != 0)) {
      std::perror("panal lab exec");
      ::_exit(126);
    }
    if (!host.empty()) ::setenv("DOCKER_HOST", host.c_str(), 1);
    const char* path = std::getenv("PATH");
    ::setenv("PATH", (bin_ + ":" + (path ? path : "/usr/bin:/bin")).c_str(), 1);
    std::vector<char*> argv;
    for (const auto& w : words) argv.push_back(const_cast<char*>(w.c_str()));
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    std::perror(argv[0]);
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace panal
