// --link: names in /etc/hosts and variables of the environment that tell of another container.
#include "engine/links.h"
#include "base/log.h"
#include "base/text.h"
#include "node/containers/containers.h"

namespace panal {

// At the creation: as inspect shows links, "/db:/web/alias".
Result<> Containers::name_links(Container& c) const {
  for (auto& text : c.host.links) {
    TRY(const Link link, parse_link(text));
    const auto other = find(link.target);
    const bool by_name_alone = c.host.network_mode != "bridge" && c.host.network_mode != "default";
    if (!other && by_name_alone) continue;
    if (!other)
      return fail(Code::kInvalid,
                  "could not get container for " + link.target + ": " + other.error().message);
    text = "/" + (*other)->c.name + ":/" + c.name + "/" + link.alias;
  }
  return {};
}

// Links are kept by name. True when something changed.
bool Containers::rename_links(Container& c, const Container& renamed, const std::string& old) const {
  bool changed = false;
  for (auto& text : c.host.links) {
    const std::string before = text;
    if (text.starts_with("/" + old + ":")) text = "/" + renamed.name + text.substr(old.size() + 1);
    if (c.id == renamed.id)
      text = text.substr(0, text.find(':')) + ":/" + c.name + text.substr(text.rfind('/'));
    changed |= text != before;
  }
  for (auto& [network, e] : c.networks)
    for (auto& text : e.links)
      if (text == old || text.starts_with(old + ":")) {
        text = renamed.name + ":" + (text == old ? old : text.substr(old.size() + 1));
        changed = true;
      }
  return changed;
}

Containers::LinkNames Containers::link_names() const {
  LinkNames out;
  for (const auto& [id, live] : containers_)
    for (const auto& text : live->c.host.links)
      if (const auto link = parse_link(text))
        out.emplace(link->target, "/" + live->c.name + "/" + link->alias);
  return out;
}

Result<LivePtr> Containers::find_linked(const std::string& name) const {
  const size_t slash = name.find('/', 1);
  TRY(const LivePtr from, find(name.substr(0, slash)));
  for (const auto& text : from->c.host.links)
    if (const auto link = parse_link(text); link && link->alias == name.substr(slash + 1))
      return find(link->target);
  return fail(Code::kNotFound, "No such container: " + name);
}

Task<Result<>> Containers::remove_link(std::string name) {
  if (name.starts_with('/')) name.erase(0, 1);
  const size_t slash = name.find('/');
  if (slash == std::string::npos)
    co_return fail(Code::kConflict, "Conflict, cannot remove the default link name of the container");
  CO_TRY(const LivePtr from, find(name.substr(0, slash)));
  auto held = co_await from->mutex.lock(loop_);
  const auto left = std::erase_if(from->c.host.links, [&](const std::string& text) {
    const auto link = parse_link(text);
    return link && link->alias == name.substr(slash + 1);
  });
  if (left == 0 || from->removed) co_return fail(Code::kNotFound, "No such container: " + name);
  CO_TRYV(co_await store(from->c));
  co_return is_up(from->c.state.phase) ? write_files(from->c) : Result<>{};
}

// Before a start: links of the default network want the other to run, as in Docker; those of other networks
// do not.
Result<> Containers::check_links(const Container& c) const {
  if (c.host.network_mode != "bridge") return {};
  for (const auto& text : c.host.links) {
    TRY(const Link link, parse_link(text));
    TRY(const LivePtr other, find(link.target));
    if (!is_up(other->c.state.phase))
      return fail(Code::kConflict, "Cannot link to a non running container: /" + other->c.name + " AS /" +
                                       c.name + "/" + link.alias);
  }
  return {};
}

std::vector<LinkedTo> Containers::linked(const Container& c) const {
  std::vector<LinkedTo> out;
  const auto add = [&](const std::string& text, const std::string& network) {
    const auto link = parse_link(text);
    if (!link) return;
    const auto other = find(link->target);
    if (!other || !is_up((*other)->c.state.phase)) return;
    const auto endpoint = (*other)->c.networks.find(network);
    if (endpoint == (*other)->c.networks.end()) return;
    const Endpoint& e = endpoint->second;
    if (const auto& address = e.ip_address.empty() ? e.ip6_address : e.ip_address; !address.empty())
      out.push_back({*other, link->alias, address, e.ip6_address});
  };
  for (const auto& text : c.host.links) add(text, c.host.network_mode);
  for (const auto& [network, endpoint] : c.networks)
    for (const auto& text : endpoint.links) add(text, network);
  return out;
}

std::set<std::string> Containers::linked_addresses(const std::string& id, const std::string& name) const {
  std::set<std::string> out;
  if (const auto live = find(id))
    for (const auto& link : linked((*live)->c))
      if (lower(link.alias) == name) out.insert({link.address, link.address6});
  return out;
}

std::vector<std::string> Containers::link_env(const Container& c) const {
  std::vector<std::string> out;
  if (c.host.network_mode != "bridge") return out;
  for (const auto& link : linked(c)) {
    const auto variables = link_variables(c.name, link.alias, link.address, link.live->c.config);
    out.insert(out.end(), variables.begin(), variables.end());
  }
  return out;
}

// Whoever links to a container that has started or got another address learns it.
void Containers::refresh_linking(const Container& changed) {
  for (const auto& [id, live] : containers_) {
    if (!is_up(live->c.state.phase) || id == changed.id) continue;
    for (const auto& link : linked(live->c))
      if (link.live->c.id == changed.id) {
        if (auto written = write_files(live->c); !written)
          log::warn("msg=\"tell of a linked container\" container={} error=\"{}\"", id,
                    written.error().message);
        break;
      }
  }
}

}  // namespace panal
