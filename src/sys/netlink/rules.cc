// The node's rules: bridges and published ports in the table inet engine, a guard that puts back what others
// take from our tables, and a look at what others' firewalls do to containers. Nobody else's table is ever
// changed.
#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "sys/netlink/rtnl.h"
#include "sys/netlink/rules_watch.h"
#include "sys/nft/conntrack.h"
#include "sys/nft/elements.h"
#include "sys/nft/tables.h"
#include "sys/process/spawn.h"

namespace panal {

using nft::Bytes;
using nft::Family;
using nft::Transaction;

static const nft::TableName kEngineTable{Family::kInet, "engine"}, kMeshTable{Family::kInet, "mesh"};
static constexpr Duration kBetweenRepairs =
    200ms;  // who fights over our tables does not get all of a processor

static bool is_six(const std::string& address) { return address.find(':') != std::string::npos; }

LinuxNetwork::LinuxNetwork(AsioLoop& loop, std::string namespaces_dir)
    : loop_(loop), dir_(std::move(namespaces_dir)) {}
LinuxNetwork::~LinuxNetwork() = default;

bool LinuxNetwork::has_ipv6() { return exists("/proc/net/if_inet6"); }

// ---- loading and guarding

Task<Result<>> LinuxNetwork::run_nft(std::string ns_path, std::string text) {
  std::shared_ptr<RulesWatch> watch;
  for (const auto& w : {node_watch_, mesh_watch_})
    if (w && w->ns_path == ns_path) watch = w;
  std::vector<std::string> argv = {"nft", "-f", "-"};
  if (!ns_path.empty()) argv.insert(argv.begin(), {"nsenter", "--net=" + ns_path});
  if (watch) ++watch->loading;
  auto output = co_await run_program(loop_, argv, std::move(text), 60s);
  if (watch) {
    --watch->loading;
    if (!watch->fd.closed()) (void)nft::read_changes(watch->fd.get(), watch->tables);  // our own
  }
  if (!output) co_return std::unexpected(output.error());
  if (output->status != 0) co_return fail(Code::kInternal, "nft: " + std::string(trim(output->err)));
  co_return Result<>{};
}

Task<Result<std::shared_ptr<LinuxNetwork::RulesWatch>>> LinuxNetwork::watch_rules(
    std::string ns_path, std::set<nft::TableName> tables, Repair repair) {
  auto open = [ns_path]() -> Result<Fd> {
    TRY(auto inside, InNamespace::enter(ns_path));
    return nft::hear_changes();
  };
  CO_TRY(Fd socket, co_await blocking(loop_, open));
  auto watch =
      std::make_shared<RulesWatch>(loop_, std::move(socket), ns_path, std::move(tables), std::move(repair));
  scope_.spawn(guard_rules(watch));
  co_return watch;
}

Task<void> LinuxNetwork::guard_rules(std::shared_ptr<RulesWatch> watch) {
  bool damage = false;
  MonoTime silent_until{};  // who fights over our tables does not fill the log
  while (!watch->fd.closed()) {
    if (!damage && co_await watch->fd.readable() == AsyncFd::Ready::kClosed) co_return;
    const nft::News news = nft::read_changes(watch->fd.get(), watch->tables);
    damage |= news.damage && watch->loading == 0;
    Duration pause = kBetweenRepairs;
    if (damage) {
      auto held = co_await rules_mutex_.lock(loop_);
      if (watch->fd.closed()) co_return;
      auto done = co_await watch->repair();
      const std::string where = watch->ns_path.empty() ? "host" : watch->ns_path;
      if (!done)
        log::error(
            "msg=\"another program changed our firewall rules and they cannot be loaded\" namespace={} "
            "error=\"{}\"",
            where, done.error().message),
            pause = 1s;
      else if (loop_.now() >= silent_until)
        log::warn("msg=\"another program changed our firewall rules: they are loaded again\" namespace={}",
                  where),
            silent_until = loop_.now() + 10s;
      damage = !done;
      // Taken away once more while we loaded, where its notification counted as ours?
      auto look = [watch]() -> bool {
        auto inside = InNamespace::enter(watch->ns_path);
        return !inside ||
               std::ranges::all_of(watch->tables, [](const auto& t) { return nft::table_exists(t); });
      };
      damage |= !co_await blocking(loop_, look);
    }
    if (news.chains && watch->ns_path.empty()) co_await look_for_firewalls();
    co_await loop_.sleep(pause);
  }
}

// An accept of ours does not outweigh a drop in somebody else's chain at the same hook, so all that is left
// is to say so.
Task<void> LinuxNetwork::look_for_firewalls() {
  auto look = [] { return nft::closed_forward_chains({kEngineTable, kMeshTable}); };
  auto found = co_await blocking(loop_, look);
  if (!found) co_return;
  std::vector<std::string> now;
  for (const auto& chain : *found)
    now.push_back("WARNING: chain " + chain.description +
                  " may drop what goes to and from containers. To let it pass: " + chain.remedy);
  for (const auto& w : now)
    if (std::ranges::find(warnings_, w) == warnings_.end())
      log::warn("msg=\"a firewall may drop containers' traffic\" chain=\"{}\"", w);
  warnings_ = std::move(now);
}

Task<Result<>> LinuxNetwork::load_engine_rules() {
  CO_TRYV(co_await run_nft("", nft::engine_table()));
  auto work = [elements = elements_]() -> Result<> {
    Transaction t;
    for (const auto& [name, data] : elements) t.add(Family::kInet, "engine", name.first, name.second, data);
    return t.commit();
  };
  co_return co_await blocking(loop_, work);
}

Task<Result<>> LinuxNetwork::repair_node() {
  CO_TRYV(co_await load_engine_rules());
  co_return co_await repair_mesh();
}

Task<Result<>> LinuxNetwork::setup() {
  CO_TRYV(make_dirs(dir_, 0755));
  (void)sysctl("net/ipv4/ip_forward", "1");
  for (const char* table : {"iptables", "ip6tables", "arptables"})
    (void)sysctl(std::string("net/bridge/bridge-nf-call-") + table, "0");
  auto held = co_await rules_mutex_.lock(loop_);
  CO_TRY(node_watch_, co_await watch_rules("", {kEngineTable}, [this] { return repair_node(); }));
  auto present = [] { return nft::table_comment(kEngineTable) == nft::comment_in(nft::engine_table()); };
  const bool there = co_await blocking(loop_, present);
  if (!there) CO_TRYV(co_await load_engine_rules());
  co_await look_for_firewalls();
  co_return Result<>{};
}

// ---- elements

// A removal, of what is there or not, makes the kernel wait for all processors (10 to 20 ms): one transaction
// for all of them, none before an addition.
Task<Result<>> LinuxNetwork::change_elements(Elements add, std::vector<ElementName> remove) {
  auto held = co_await rules_mutex_.lock(loop_);
  std::vector<ElementName> known, unknown;  // unknown: of an earlier life, perhaps
  for (auto& name : remove) (elements_.erase(name) ? known : unknown).push_back(std::move(name));
  for (const auto& [name, data] : add) elements_[name] = data;
  auto work = [add, known, unknown]() -> Result<> {
    const auto take_out = [](const std::vector<ElementName>& names) {
      Transaction t;
      for (const auto& name : names) t.remove(Family::kInet, "engine", name.first, name.second);
      return t.commit();
    };
    if (!take_out(known))
      for (const auto& name : known) (void)take_out({name});
    for (const auto& name : unknown) (void)take_out({name});
    const auto put_in = [&add] {
      Transaction t;
      for (const auto& [name, data] : add) t.add(Family::kInet, "engine", name.first, name.second, data);
      return t.commit();
    };
    if (put_in()) return {};
    for (const auto& [name, data] : add) (void)take_out({name});  // one of an earlier life leads elsewhere
    return put_in();
  };
  auto done = co_await blocking(loop_, work);
  if (done) co_return done;
  auto again = co_await load_engine_rules();  // the table may be gone, and its guard be waiting for us
  if (!again)
    for (const auto& [name, data] : add) elements_.erase(name);
  co_return again;
}

LinuxNetwork::Elements LinuxNetwork::elements_of(const BridgePlan& plan) {
  Elements out;
  const std::string name = Bytes().ifname(plan.name).data();
  out[{"hairpin", name + name}] = "";
  if (plan.internal) out[{"internal", name}] = "";
  if (!plan.masquerade4) out[{"nonat4", name}] = "";
  if (!plan.masquerade6) out[{"nonat6", name}] = "";
  return out;
}

LinuxNetwork::Elements LinuxNetwork::elements_of(const std::vector<PublishedPort>& ports) {
  Elements out;
  for (const auto& p : ports) {
    const bool six = is_six(p.to);
    const char* family = six ? "6" : "4";
    if (p.routed) {
      out[{std::string("open") + family,
           Bytes().ip(p.to).protocol(p.protocol).pad().port(p.port).pad().data()}] = "";
      continue;
    }
    if (is_six(p.host_ip) != six) continue;  // relayed
    const bool any = p.host_ip == "0.0.0.0" || p.host_ip == "::";
    Bytes key;
    if (!any) key.ip(p.host_ip);
    out[{std::string(any ? "pub_any" : "pub_ip") + family,
         key.protocol(p.protocol).pad().port(p.host_port).pad().data()}] =
        Bytes().ip(p.to).port(p.port).pad().data();
  }
  return out;
}

// ---- bridges

// A host that listens to router advertisements would stop to when it forwards: 2 lets it do both.
static void forward_ipv6() {
  const auto forwarding = read_file("/proc/sys/net/ipv6/conf/all/forwarding");
  if (!forwarding || trim(*forwarding) == "1") return;
  for (const auto& name : list_dir("/proc/sys/net/ipv6/conf")) {
    const std::string key = "net/ipv6/conf/" + name + "/accept_ra";
    if (auto accepts = read_file("/proc/sys/" + key); name != "all" && accepts && trim(*accepts) == "1")
      (void)sysctl(key, "2");
  }
  (void)sysctl("net/ipv6/conf/all/forwarding", "1");
}

Task<Result<>> LinuxNetwork::ensure_bridge(BridgePlan plan) {
  auto work = [plan]() -> Result<> {
    TRY(auto rtnl, Rtnl::open());
    TRYV(rtnl.add_bridge(plan.name, nft::kBridgeGroup, plan.mtu));
    const bool six = std::ranges::any_of(plan.gateways, is_six);
    if (six) {
      forward_ipv6();
      (void)sysctl("net/ipv6/conf/" + plan.name + "/accept_ra", "0");
      (void)sysctl("net/ipv6/conf/" + plan.name + "/disable_ipv6", "0");
    }
    for (const auto& gateway : plan.gateways) TRYV(rtnl.add_address(plan.name, gateway));
    TRYV(rtnl.set_up(plan.name));
    (void)sysctl("net/ipv4/conf/" + plan.name + "/route_localnet", "1");
    return {};
  };
  CO_TRYV(co_await blocking(loop_, work));
  co_return co_await change_elements(elements_of(plan), {});
}

Result<std::vector<std::string>> LinuxNetwork::interfaces(const std::string& prefix) {
  TRY(auto rtnl, Rtnl::open());
  return rtnl.links(prefix);
}

Task<Result<>> LinuxNetwork::remove_interface(std::string name) {
  auto work = [name]() -> Result<> {
    TRY(auto rtnl, Rtnl::open());
    return rtnl.remove(name);
  };
  co_return co_await blocking(loop_, work);
}

Task<Result<>> LinuxNetwork::remove_bridge(std::string name) {
  std::vector<ElementName> gone;  // setup has seen to all bridges: what is not known is not there
  for (const auto& [element, data] :
       elements_of(BridgePlan{.name = name, .internal = true, .masquerade4 = false, .masquerade6 = false}))
    if (elements_.contains(element)) gone.push_back(element);
  CO_TRYV(co_await change_elements({}, std::move(gone)));
  auto work = [name]() -> Result<> {
    TRY(auto rtnl, Rtnl::open());
    return rtnl.remove(name);
  };
  co_return co_await blocking(loop_, work);
}

// ---- published ports

Task<Result<>> LinuxNetwork::publish(std::vector<PublishedPort> ports) {
  CO_TRYV(co_await change_elements(elements_of(ports), {}));
  auto work = [ports]() -> Result<> {  // who sent datagrams before is remembered with an answer from the host
    for (const auto& p : ports)
      if (p.protocol == "udp" && !p.routed) (void)nft::purge_udp_port(p.host_port);
    return {};
  };
  co_return co_await blocking(loop_, work);
}

Task<Result<>> LinuxNetwork::unpublish(std::vector<PublishedPort> ports) {
  std::vector<ElementName> gone;
  for (const auto& [element, data] : elements_of(ports)) gone.push_back(element);
  CO_TRYV(co_await change_elements({}, std::move(gone)));
  auto work = [ports]() -> Result<> {
    std::set<std::string> addresses;
    for (const auto& p : ports)
      if (p.protocol == "udp") addresses.insert(p.to);
    for (const auto& a : addresses) (void)nft::purge_conntrack(a);
    return {};
  };
  co_return co_await blocking(loop_, work);
}

}  // namespace panal
