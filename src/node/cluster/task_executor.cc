#include "node/cluster/task_executor.h"

#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "network/address.h"

namespace panal {

static constexpr const char* kTaskLabel = "com.docker.swarm.task.id";

TaskExecutor::TaskExecutor(Parts parts) : parts_(std::move(parts)) {
  parts_.networks.cluster_names = [this](const std::string& network, const std::string& name) {
    return names(network, name);
  };
  parts_.networks.attach_cluster = [this](const Container& c, std::string network, const Endpoint& wish) {
    return attach(c, std::move(network), wish);
  };
  parts_.networks.detach_cluster = [this](const std::string& id) { detach(id); };
  parts_.containers.on_change = [this](const Container& c) {
    if (on_attachments &&
        std::ranges::any_of(c.networks, [](const auto& n) { return !n.second.attachment.empty(); }))
      on_attachments();
  };
  const auto mine = existing();  // secrets of tasks that a daemon's death has cut short go
  for (const auto& id : list_dir(parts_.secrets_dir))
    if (!mine.contains(id)) (void)remove_tree(parts_.secrets_dir + "/" + id);
}

// ---- networks

static OverlayPlan overlay_plan(const std::string& sandbox, const ClusterNetwork& n,
                                const std::string& underlay) {
  OverlayPlan plan;
  plan.sandbox = sandbox, plan.vni = n.vni, plan.underlay_address = underlay;
  return plan;
}

Task<Result<>> TaskExecutor::ensure_overlay(const ClusterNetwork& n) {
  if (n.network.ingress) co_return Result<>{};
  Network local = n.network;
  local.id = n.meta.id, local.vni = n.vni;
  CO_TRYV(co_await parts_.networks.adopt_cluster_network(local));
  if (overlays_.contains(n.meta.id)) co_return Result<>{};
  CO_TRYV(co_await parts_.networks.kernel().ensure_overlay(
      overlay_plan(parts_.networks.sandbox_path(n.meta.id), n, address_)));
  overlays_.insert(n.meta.id);
  co_return Result<>{};
}

Task<Result<>> TaskExecutor::ensure_networks(const ClusterTask& task) {
  // The task may be here before the tables, secrets and configs that came with it.
  const auto have = [](const std::vector<NamedReference>& refs, const std::vector<SecretObject>& objects) {
    return std::ranges::all_of(refs, [&](const NamedReference& r) {
      return std::ranges::any_of(objects, [&](const SecretObject& o) { return o.meta.id == r.id; });
    });
  };
  const auto known = [&] {
    return have(task.spec.container.secrets, now_.secrets) &&
           have(task.spec.container.configs, now_.configs) &&
           std::ranges::all_of(task.networks, [&](const TaskNetwork& n) {
             return std::ranges::any_of(
                 now_.networks, [&](const NetworkTable& t) { return t.network.meta.id == n.network_id; });
           });
  };
  const MonoTime deadline = parts_.loop.now() + 15s;
  while (!known() && !interrupted_ && parts_.loop.now() < deadline)
    (void)co_await programmed_.wait(parts_.loop, 1s);
  auto held = co_await mutex_.lock(parts_.loop);
  for (const auto& wanted : task.networks) {
    const NetworkTable* table = nullptr;
    for (const auto& t : now_.networks)
      if (t.network.meta.id == wanted.network_id) table = &t;
    if (!table)
      co_return fail(Code::kUnavailable, "network " + wanted.network_id + " is not known on this node yet");
    const ClusterNetwork network = table->network;
    if (network.network.ingress) {
      Network local = network.network;
      local.id = network.meta.id;
      CO_TRYV(co_await parts_.networks.adopt_cluster_network(local));
      if (!mesh_ready_) CO_TRYV(co_await program_mesh(now_));
    } else {
      CO_TRYV(co_await ensure_overlay(network));
    }
  }
  co_return Result<>{};
}

std::optional<std::vector<std::string>> TaskExecutor::names(const std::string& network_id,
                                                            const std::string& name) const {
  for (const auto& table : now_.networks) {
    if (table.network.meta.id != network_id) continue;
    const bool all = name.starts_with("tasks.");
    std::string wanted = all ? name.substr(6) : name;
    const std::string suffix =
        "." + lower(table.network.network.name);  // "web.front" is web in the network front
    if (wanted.ends_with(suffix)) wanted.erase(wanted.size() - suffix.size());
    std::vector<std::string> addresses;
    std::string service;
    bool known = false;
    for (const auto& row : table.rows) {
      bool hit = row.task_name == name;
      if (hit) return std::vector<std::string>{row.address};
      for (const auto& n : row.names) hit |= n == wanted;
      if (!hit) continue;
      known = true, service = row.service_id;
      if (row.serving) addresses.push_back(row.address);
    }
    if (known && !all)
      for (const auto& [id, vip] : table.vips)
        if (id == service) return std::vector<std::string>{vip};
    if (known) return addresses;
  }
  return std::nullopt;
}

Task<Result<>> TaskExecutor::program_network(NetworkTable table) {
  if (table.network.network.ingress) co_return Result<>{};
  CO_TRYV(co_await ensure_overlay(table.network));
  std::vector<OverlayPeer> peers;
  for (const auto& row : table.rows)
    if (!row.local && !row.node_address.empty())
      peers.push_back({row.address, mac_of(parse_ip4(row.address).value_or(0)), row.node_address});
  co_return co_await parts_.networks.kernel().set_peers(parts_.networks.sandbox_path(table.network.meta.id),
                                                        peers);
}

// Every local task sees the VIPs of the networks it is on.
Task<Result<>> TaskExecutor::program_vips() {
  std::vector<std::pair<std::string, VipTable>> work;
  for (const auto& [id, live] : parts_.containers.all()) {
    if (live->c.state.phase != Phase::kRunning) continue;
    VipTable vips;
    bool overlay = false;
    for (const auto& [name, e] : live->c.networks)
      for (const auto& table : now_.networks) {
        if (table.network.meta.id != e.network_id || table.network.network.ingress) continue;
        overlay = true;
        for (const auto& [service, vip] : table.vips) {
          std::vector<std::string> endpoints;
          for (const auto& row : table.rows)
            if (row.service_id == service && row.serving) endpoints.push_back(row.address);
          vips.services.emplace_back(vip, std::move(endpoints));
        }
      }
    if (overlay) work.emplace_back(parts_.networks.namespace_path(id), std::move(vips));
  }
  for (auto& [ns, vips] : work) {
    auto done = co_await parts_.networks.kernel().set_vips(ns, std::move(vips));
    if (!done && exists(ns)) co_return done;
  }
  co_return Result<>{};
}

Task<Result<>> TaskExecutor::program_mesh(const Assignments& a) {
  if (a.mesh_subnet.empty()) co_return Result<>{};
  MeshTable table;
  table.subnet = a.mesh_subnet;
  for (const auto& n : a.mesh_nodes) {
    MeshNode node{n.mesh_index, n.mesh_address, n.address};
    if (n.mesh_index == 0 || n.mesh_address.empty()) continue;
    if (n.meta.id == node_id_)
      table.self = node;
    else if (!n.address.empty())
      table.nodes.push_back(node);
  }
  if (table.self.mesh_address.empty()) co_return Result<>{};
  table.self.node_address = address_;
  std::map<std::string, std::vector<std::string>> by_service;
  std::set<std::string> alive;
  for (const auto& row : a.mesh_rows)
    table.tasks.push_back({row.address, row.node_index, row.node_id == node_id_});
  std::set<std::pair<std::string, uint16_t>> held;
  for (const auto& s : a.mesh_services)
    for (const auto& p : s.ports) {
      if (p.mode != "ingress" || p.published == 0) continue;
      held.insert({p.protocol, static_cast<uint16_t>(p.published)});
      MeshPort port{static_cast<uint16_t>(p.published), p.protocol, {}};
      for (const auto& row : a.mesh_rows)
        if (row.serving && row.service_id == s.meta.id)
          port.targets.push_back({row.address, static_cast<uint16_t>(p.target)});
      table.ports.push_back(std::move(port));
    }
  parts_.networks.hold_mesh_ports(held);
  if (!mesh_ready_) {
    CO_TRYV(co_await parts_.networks.kernel().ensure_mesh(table));
    mesh_ready_ = true;
  }
  co_return co_await parts_.networks.kernel().set_mesh(table);
}

Task<Result<>> TaskExecutor::program(const Assignments& a) {
  auto held = co_await mutex_.lock(parts_.loop);
  now_ = a;
  programmed_.notify(parts_.loop);
  std::vector<std::string> peers;
  for (const auto& n : a.mesh_nodes)
    if (n.meta.id != node_id_ && !n.address.empty()) peers.push_back(n.address + ":7946");
  parts_.images.set_peers(std::move(peers));
  // One network that the kernel refuses does not keep the others from being right.
  Result<> outcome;
  const auto note = [&outcome](Result<> step) {
    if (!step && outcome) outcome = std::move(step);
  };
  for (const auto& table : a.networks) note(co_await program_network(table));
  note(co_await program_mesh(a));
  note(co_await program_vips());
  // Networks without a task of ours go.
  std::set<std::string> wanted;
  for (const auto& t : a.networks) wanted.insert(t.network.meta.id);
  const auto known = overlays_;
  for (const auto& id : known) {
    if (wanted.contains(id) || !parts_.networks.members(id).empty() || holds_network(id)) continue;
    ClusterNetwork gone;
    gone.meta.id = id;
    (void)co_await parts_.networks.kernel().remove_overlay(
        overlay_plan(parts_.networks.sandbox_path(id), gone, address_));
    overlays_.erase(id);
    co_await parts_.networks.forget_cluster_network(id);
  }
  co_return outcome;
}

Task<void> TaskExecutor::leave() {
  auto held = co_await mutex_.lock(parts_.loop);
  for (const auto& id : std::exchange(overlays_, {})) {
    ClusterNetwork gone;
    gone.meta.id = id;
    (void)co_await parts_.networks.kernel().remove_overlay(
        overlay_plan(parts_.networks.sandbox_path(id), gone, address_));
    co_await parts_.networks.forget_cluster_network(id);
  }
  parts_.networks.hold_mesh_ports({});
  if (std::exchange(mesh_ready_, false)) (void)co_await parts_.networks.kernel().remove_mesh();
  now_ = {};
}

// ---- containers

std::string TaskExecutor::expand(std::string text, const ClusterTask& t) const {
  if (text.find("{{") == std::string::npos) return text;
  const std::string slot = t.slot ? std::to_string(t.slot) : node_id_;
  const std::pair<const char*, std::string> values[] = {
      {".Service.ID", t.service_id}, {".Service.Name", t.service_name},
      {".Node.ID", node_id_},        {".Node.Hostname", parts_.description.hostname},
      {".Task.ID", t.meta.id},       {".Task.Name", t.service_name + "." + slot + "." + t.meta.id},
      {".Task.Slot", slot}};
  for (const auto& [name, value] : values)
    for (const std::string& form : {"{{" + std::string(name) + "}}", "{{ " + std::string(name) + " }}"})
      for (size_t at; (at = text.find(form)) != std::string::npos;) text.replace(at, form.size(), value);
  return text;
}

Task<Result<std::string>> TaskExecutor::prepare(ClusterTask t) {
  const auto before = existing();
  if (auto it = before.find(t.meta.id); it != before.end()) co_return it->second;
  if (interrupted_) co_return fail(Code::kCancelled, "the worker ends");
  const auto halt = fetching_[t.meta.id] = std::make_shared<Halt>();
  const auto image_id = co_await parts_.images.ensure(t.spec.container.image, t.registry_auth, halt);
  fetching_.erase(t.meta.id);
  if (!image_id) co_return std::unexpected(image_id.error());
  CO_TRYV(co_await ensure_networks(t));
  auto made = co_await make_container(t);
  if (!made) (void)remove_tree(parts_.secrets_dir + "/" + t.meta.id);
  co_return made;
}

Task<Result<std::string>> TaskExecutor::make_container(ClusterTask t) {
  const ContainerSpec& spec = t.spec.container;
  const std::string slot = t.slot ? std::to_string(t.slot) : t.node_id;
  const std::string name = t.service_name + "." + slot + "." + t.meta.id;
  ContainerConfig config;
  HostConfig host;
  // The image is found again by its name, which is what people read.
  config.image = spec.image, config.hostname = expand(spec.hostname, t), config.user = spec.user,
  config.working_dir = spec.dir, config.tty = spec.tty, config.open_stdin = spec.open_stdin;
  config.stop_signal = spec.stop_signal, config.healthcheck = spec.health, config.labels = spec.labels;
  if (spec.stop_grace_period)
    config.stop_timeout = static_cast<int>((*spec.stop_grace_period + 999'999'999) / 1'000'000'000);
  for (const auto& e : spec.env) config.env.push_back(expand(e, t));
  if (!spec.command.empty()) config.entrypoint = spec.command;
  if (!spec.args.empty()) config.cmd = spec.args;
  for (const auto& [key, value] : {std::pair<std::string, std::string>{kTaskLabel, t.meta.id},
                                   {"com.docker.swarm.task", ""},
                                   {"com.docker.swarm.task.name", name},
                                   {"com.docker.swarm.node.id", node_id_},
                                   {kServiceLabel, t.service_id},
                                   {"com.docker.swarm.service.name", t.service_name}})
    config.labels[key] = value;
  host.readonly_rootfs = spec.read_only, host.init = spec.init, host.sysctls = spec.sysctls,
  host.cap_add = spec.cap_add, host.cap_drop = spec.cap_drop;
  host.ulimits = spec.ulimits, host.group_add = spec.groups, host.dns = spec.dns,
  host.dns_search = spec.dns_search, host.dns_options = spec.dns_options;
  for (const auto& h : spec.hosts) {  // "IP name..." as in /etc/hosts
    const size_t space = h.find(' ');
    if (space != std::string::npos)
      host.extra_hosts.push_back(h.substr(space + 1) + ":" + h.substr(0, space));
  }
  host.mounts = spec.mounts;
  for (auto& m : host.mounts) m.source = expand(m.source, t);
  host.nano_cpus = t.spec.limits.nano_cpus, host.memory = t.spec.limits.memory_bytes;
  if (t.spec.limits.pids > 0) host.pids_limit = t.spec.limits.pids;
  if (t.spec.log_driver) host.log_config = {t.spec.log_driver->name, t.spec.log_driver->options};
  CO_TRYV(co_await write_secrets(t, host));

  std::map<std::string, Endpoint> endpoints;
  bool mesh = false, overlay = false;
  for (const auto& n : t.networks) {
    CO_TRY(const Network* network, parts_.networks.find(n.network_id));
    mesh |= network->ingress, overlay |= !network->ingress && !network->internal;
    Endpoint e;
    e.ipam.ipv4_address = n.address.substr(0, n.address.find('/')), e.aliases = n.aliases;
    e.aliases.push_back(t.service_name);
    endpoints[network->name] = std::move(e);
    if (host.network_mode == "default" && !network->ingress) host.network_mode = network->name;
  }
  if (mesh) host.network_mode = "ingress";
  const bool host_ports = std::ranges::any_of(t.ports, [](const PortConfig& p) { return p.mode == "host"; });
  if (overlay && !mesh) {
    CO_TRYV(co_await parts_.networks.ensure_egress_bridge());
    host.network_mode = kEgressBridge;
  }
  if (mesh && host_ports)
    co_return fail(Code::kUnsupported, "ingress and host-mode ports in one service are not supported yet");
  for (const auto& p : t.ports)
    if (p.mode == "host")
      host.port_bindings[std::to_string(p.target) + "/" + p.protocol] =
          std::vector<PortBinding>{{"", p.published ? std::to_string(p.published) : ""}};
  CO_TRY(const auto made,
         co_await parts_.containers.create(name, std::move(config), std::move(host), std::move(endpoints),
                                           Containers::MadeFor::kSwarm));
  co_return made.id;
}

Task<Result<>> TaskExecutor::start(std::string id) {
  CO_TRY(const LivePtr live, parts_.containers.find(id));
  auto started = co_await parts_.containers.start(live);
  if (!started) co_return started;
  auto held = co_await mutex_.lock(parts_.loop);
  co_return co_await program_vips();
}

void TaskExecutor::give_up(const std::string& task_id) {
  if (auto it = fetching_.find(task_id); it != fetching_.end()) it->second->halt();
}

void TaskExecutor::interrupt() {
  interrupted_ = true;
  for (const auto& [id, halt] : fetching_) halt->halt();
  programmed_.notify(parts_.loop);
  for (const auto& [id, live] : parts_.containers.all()) live->changed.notify(parts_.loop);
}

Task<Result<>> TaskExecutor::stop(std::string id) {
  CO_TRY(const LivePtr live, parts_.containers.find(id));
  co_return co_await parts_.containers.stop(live, std::nullopt, "");
}

Task<Result<>> TaskExecutor::remove(std::string id) {
  CO_TRY(const LivePtr live, parts_.containers.find(id));
  auto label = live->c.config.labels.find(kTaskLabel);
  const std::string task_id = label == live->c.config.labels.end() ? "" : label->second;
  CO_TRYV(co_await parts_.containers.remove(live, true, true));
  if (!task_id.empty()) (void)remove_tree(parts_.secrets_dir + "/" + task_id);
  co_return Result<>{};
}

std::map<std::string, std::string> TaskExecutor::existing() {
  std::map<std::string, std::string> out;
  for (const auto& [id, live] : parts_.containers.all())
    if (auto label = live->c.config.labels.find(kTaskLabel);
        live->c.managed_by_swarm && label != live->c.config.labels.end())
      out[label->second] = id;
  return out;
}

std::vector<PortConfig> TaskExecutor::host_ports(const std::string& id) {
  std::vector<PortConfig> out;
  if (auto live = parts_.containers.find(id))
    for (const auto& p : (*live)->c.ports) {
      PortConfig port{.protocol = p.protocol, .mode = "host", .target = p.port, .published = p.host_port};
      if (std::ranges::find(out, port) == out.end()) out.push_back(std::move(port));
    }
  return out;
}

Executor::Stage TaskExecutor::stage(const std::string& id) {
  auto live = parts_.containers.find(id);
  if (!live || (*live)->c.state.phase == Phase::kCreated) return Stage::kNotStarted;
  return is_up((*live)->c.state.phase) ? Stage::kRunning : Stage::kEnded;
}

}  // namespace panal
