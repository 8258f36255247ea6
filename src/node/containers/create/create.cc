// Creating containers: names, what the image gives, networks.
#include <algorithm>

#include "base/fd.h"
#include "base/path.h"
#include "base/text.h"
#include "image/reference.h"
#include "model/container_json.h"
#include "node/containers/containers.h"
#include "node/containers/create/names.h"

namespace panal {

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
  // An entrypoint given by the user also drops the image's command. [""] resets the image's entrypoint; []
  // does, too, and keeps its command.
  if (!config.entrypoint || config.entrypoint->empty()) {
    if (!config.cmd || config.cmd->empty()) config.cmd = base.cmd;
    if (!config.entrypoint) config.entrypoint = base.entrypoint;
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

static void fill_defaults(HostConfig& host) {
  if (host.restart_policy.name.empty()) host.restart_policy.name = "no";
  if (!host.privileged && !host.masked_paths) host.masked_paths = default_masked_paths();
  if (!host.privileged && !host.readonly_paths) host.readonly_paths = default_readonly_paths();
  if (host.memory > 0 && host.memory_swap == 0) host.memory_swap = host.memory * 2;
}

static void fill_hostname(Container& c) {
  if (c.config.hostname.empty() && (c.host.network_mode != "host" || c.config.network_disabled))
    c.config.hostname = c.id.substr(0, 12);
  c.hostname = c.config.hostname;
}

Result<> Containers::choose_networks(Container& c, std::map<std::string, Endpoint> endpoints,
                                     MadeFor made_for) const {
  const std::string mode = c.host.network_mode == "default" ? "bridge" : c.host.network_mode;
  if (c.config.network_disabled) endpoints.clear();
  if (!c.config.network_disabled && !mode.starts_with("container:") && mode != "host" && mode != "none") {
    auto primary = networks_.find(mode);
    c.networks[primary ? (*primary)->name : mode] =
        {};  // a network that is missing is the start's error, as in Docker
  }
  for (auto& [network, endpoint] : endpoints) {
    const std::string key = network == "default" ? "bridge" : network;
    TRYV(check_endpoint(endpoint));
    auto named = networks_.find(key);
    if (!named) {
      c.networks[key] = std::move(endpoint);
      continue;
    }
    const Network* n = *named;
    if (made_for != MadeFor::kSwarm) TRYV(check_endpoint_on(*n, endpoint));
    if (n->pools.empty()) {
      if (n->name == mode) continue;
      return fail(Code::kForbidden, "container cannot be connected to network " + n->name);
    }
    endpoint.index = -1;
    endpoint.network_id = n->id;
    c.networks[n->name] = std::move(endpoint);
  }
  c.host.network_mode = mode;
  return {};
}

Task<void> Containers::unmake(const Container& c) {
  names_.erase(c.name);
  (void)early_.give_up(c.id);
  co_await runtime_.gone(c.id);
  (void)remove_tree(dir(c));
  std::vector<std::string> made;
  for (const auto& [name, v] : volumes_.all())
    if (v.made_for == c.id) made.push_back(name);
  for (const auto& name : made) (void)co_await volumes_.remove(name, true);
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
  auto live = std::make_shared<LiveContainer>();
  Container& c = live->c;
  result.warnings = fit_resources(host, paths_.machine, paths_.cgroup_v2);
  c.image_id = image.id, c.image_ref = config.image, c.created = loop_.wall_now(),
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
  fill_defaults(host);
  if (host.init.value_or(false) && !exists(paths_.init_path))
    co_return fail(Code::kInvalid, "--init needs " + paths_.init_path + ": install the package tini");
  if (!config.working_dir.empty()) config.working_dir = "/" + clean_path(config.working_dir);
  c.config = std::move(config), c.host = std::move(host);
  CO_TRYV(choose_networks(c, std::move(endpoints), made_for));
  CO_TRYV(taken());  // a wait may have passed
  const MonitorKind kind = kind_of(c, has_mapped_users(c));
  result.id = c.id = early_.new_id(kind);
  fill_hostname(c);
  names_[c.name] = c.id;
  auto finish = [&]() -> Task<Result<>> {
    if (c.host.pid_mode.starts_with("container:"))
      if (const auto other = find(c.host.pid_mode.substr(10)); !other)
        co_return fail(Code::kInvalid, other.error().message);
    CO_TRYV(name_links(c));
    CO_TRYV(co_await resolve_mounts(c));
    live->layers = std::make_unique<Images::Pin>(images_, all_layers(c));
    CO_TRYV(make_dirs(dir(c), 0710));
    early_.created(c.id, kind);
    co_return co_await store(c);
  };
  if (auto done = co_await finish(); !done) {
    co_await unmake(c);
    co_return std::unexpected(done.error());
  }
  containers_[c.id] = live;
  event(c, "create");
  co_return result;
}

}  // namespace panal
