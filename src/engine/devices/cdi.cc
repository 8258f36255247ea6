#include "engine/devices/cdi.h"

#include <algorithm>
#include <set>

#include "base/formats/yaml.h"
#include "base/json.h"
#include "base/path.h"
#include "base/text.h"

namespace panal {
namespace {

struct Edits {
  OciEdits edits;
  std::optional<Json> net_devices, intel_rdt;
};
struct CdiDevice {
  std::string name;
  std::map<std::string, std::string> annotations;
  Edits edits;
};
struct File {
  std::string version, kind;
  std::map<std::string, std::string> annotations;
  std::vector<CdiDevice> devices;
  Edits edits;
};

// All fields are always written, too: unknown_field() compares.
template <class A>
void fields(A& a, Edits& e) {
  a("env", e.edits.env), a("deviceNodes", e.edits.nodes), a("mounts", e.edits.mounts),
      a("hooks", e.edits.hooks);
  a("additionalGids", e.edits.gids), a("netDevices", e.net_devices), a("intelRdt", e.intel_rdt);
}
template <class A>
void fields(A& a, CdiDevice& d) {
  a("name", d.name), a("annotations", d.annotations), a("containerEdits", d.edits);
}
template <class A>
void fields(A& a, File& f) {
  a("cdiVersion", f.version), a("kind", f.kind), a("annotations", f.annotations), a("devices", f.devices),
      a("containerEdits", f.edits);
}

}  // namespace

template <class A>
void fields(A& a, CdiNode& n) {
  a("path", n.path), a("hostPath", n.host_path), a("type", n.type), a("major", n.major), a("minor", n.minor);
  a("permissions", n.permissions), a("fileMode", n.mode), a("uid", n.uid), a("gid", n.gid);
}
template <class A>
void fields(A& a, OciMount& m) {
  a("hostPath", m.source), a("containerPath", m.target), a("type", m.type), a("options", m.options);
}
template <class A>
void fields(A& a, OciHook& h) {
  a("hookName", h.when), a("path", h.path), a("args", h.args), a("env", h.env),
      a("timeout", h.timeout_seconds);
}

namespace {

std::unexpected<Error> bad(const std::string& why) { return fail(Code::kInvalid, why); }

/// A key of what was read that is not in what was understood; empty: none.
std::string unknown_field(const Json& read, const Json& understood) {
  std::string found;
  if (read.is_object() && understood.is_object())
    for (const auto& [key, value] : read.get_object()) {
      const Json* known = understood.get_object().if_contains(key);
      found = known ? unknown_field(value, *known) : std::string(key);
      if (!found.empty()) return found;
    }
  else if (read.is_array() && understood.is_array())
    for (size_t i = 0; i < std::min(read.get_array().size(), understood.get_array().size()) && found.empty();
         ++i)
      found = unknown_field(read.get_array()[i], understood.get_array()[i]);
  return found;
}

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool digit(char c) { return c >= '0' && c <= '9'; }

/// Letters, digits and some more, none of these at either end.
bool valid_name(std::string_view name, std::string_view between, bool digit_first) {
  if (name.empty() || name.size() > 253 || !(letter(name[0]) || (digit_first && digit(name[0]))))
    return false;
  if (!letter(name.back()) && !digit(name.back())) return false;
  return std::ranges::all_of(name, [&](char c) { return letter(c) || digit(c) || between.contains(c); });
}

Result<> check_env(const std::vector<std::string>& env) {
  for (const auto& e : env)
    if (e.find('=') == std::string::npos || e[0] == '=')
      return bad("invalid environment variable \"" + e.substr(0, 256) + "\"");
  return {};
}

Result<> check(const OciEdits& e) {
  TRYV(check_env(e.env));
  for (const auto& n : e.nodes) {
    if (n.path.empty()) return bad("invalid (empty) device path");
    if (n.path[0] != '/') return bad("device \"" + n.path + "\": the path must be absolute");
    if (n.type.size() > 1 || !std::string_view("bcup").contains(n.type))
      return bad("device \"" + n.path + "\": invalid type \"" + n.type + "\"");
    if (n.permissions != "none" && n.permissions.find_first_not_of("rwm") != std::string::npos)
      return bad("device \"" + n.path + "\": invalid permissions \"" + n.permissions + "\"");
  }
  for (const auto& h : e.hooks) {
    if (std::ranges::none_of(
            std::initializer_list<const char*>{"prestart", "createRuntime", "createContainer",
                                               "startContainer", "poststart", "poststop"},
            [&](const char* known) { return h.when == known; }))
      return bad("invalid hook name \"" + h.when + "\"");
    if (h.path.empty() || h.path[0] != '/')
      return bad("invalid hook \"" + h.when + "\": the path must be absolute");
    if (h.timeout_seconds && *h.timeout_seconds <= 0)
      return bad("invalid hook \"" + h.when + "\": the timeout must be positive");
    TRYV(check_env(h.env));
  }
  for (const auto& m : e.mounts) {
    if (m.source.empty()) return bad("invalid mount, empty host path");
    if (m.target.empty()) return bad("invalid mount, empty container path");
    if (m.target[0] != '/' || (m.target + "/").contains("/../"))
      return bad("invalid mount, the container path " + m.target + " must be absolute");
  }
  return {};
}

bool empty(const Edits& e) {
  return e.edits.env.empty() && e.edits.nodes.empty() && e.edits.mounts.empty() && e.edits.hooks.empty() &&
         e.edits.gids.empty() && !e.net_devices && !e.intel_rdt;
}

/// As parsed, with what Panal does not do by name.
OciEdits finished(Edits& e) {
  for (auto& m : e.edits.mounts) m.target = "/" + clean_path(m.target);
  if (e.net_devices && !is_blank(*e.net_devices)) e.edits.refused = "netDevices";
  if (e.intel_rdt) e.edits.refused = "intelRdt";
  return std::move(e.edits);
}

constexpr const char* kVersions[] = {"0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0",
                                     "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"};

/// The first version that knows all that the file uses.
std::string_view needed_version(const File& f, std::string_view device_class) {
  bool four = false, five = false, six = !f.annotations.empty() || device_class.contains('.'), seven = false,
       eleven = false;
  const auto look = [&](const Edits& e) {
    seven |= e.intel_rdt || !e.edits.gids.empty(), eleven |= e.net_devices.has_value();
    four |= std::ranges::any_of(e.edits.mounts, [](const OciMount& m) { return !m.type.empty(); });
    five |= std::ranges::any_of(e.edits.nodes, [](const CdiNode& n) { return !n.host_path.empty(); });
  };
  look(f.edits);
  for (const auto& d : f.devices) look(d.edits), six |= !d.annotations.empty(), five |= digit(d.name[0]);
  return eleven ? "1.1.0" : seven ? "0.7.0" : six ? "0.6.0" : five ? "0.5.0" : four ? "0.4.0" : "0.3.0";
}

Result<> check_version(const File& f, std::string_view device_class) {
  const auto at = [](std::string_view version) { return std::ranges::find(kVersions, version); };
  const auto named = at(f.version.starts_with('v') ? f.version.substr(1) : f.version);
  if (named == std::end(kVersions)) return bad("invalid version \"" + f.version.substr(0, 64) + "\"");
  const auto needed = needed_version(f, device_class);
  if (named < at(needed)) return bad("the spec version must be at least v" + std::string(needed));
  return {};
}

Result<File> read(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  const bool json = first != std::string::npos && text[first] == '{';
  TRY(Json parsed, json ? parse_json(text) : parse_yaml(text));
  if (!parsed.is_object()) return bad("no Spec data");
  if (Json* devices = parsed.get_object().if_contains("devices"); devices && devices->is_array())
    for (auto& d : devices->get_array())  // a plain 0 in YAML
      if (Json* name = d.is_object() ? d.get_object().if_contains("name") : nullptr; name && name->is_int64())
        *name = std::to_string(name->get_int64());
  TRY(File file, from_json<File>(parsed));
  if (const auto unknown = unknown_field(parsed, to_json(file)); !unknown.empty())
    return bad("unknown field \"" + unknown.substr(0, 64) + "\"");
  return file;
}

}  // namespace

void OciEdits::append(const OciEdits& more) {
  const auto add = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  add(env, more.env), add(nodes, more.nodes), add(mounts, more.mounts), add(hooks, more.hooks),
      add(gids, more.gids);
  if (refused.empty()) refused = more.refused;
}

Result<CdiSpec> parse_cdi(const std::string& text) {
  TRY(File f, read(text));
  const size_t slash = f.kind.find('/');
  const std::string vendor = f.kind.substr(0, slash),
                    device_class = slash == std::string::npos ? "" : f.kind.substr(slash + 1);
  if (!valid_name(vendor, "-_.", false))
    return bad("invalid vendor in kind \"" + f.kind.substr(0, 256) + "\"");
  if (!valid_name(device_class, "-_.", false))
    return bad("invalid class in kind \"" + f.kind.substr(0, 256) + "\"");
  if (f.devices.empty()) return bad("invalid spec, no devices");
  for (const auto& d : f.devices)
    if (!valid_name(d.name, "-_.:", true))
      return bad("invalid device name \"" + d.name.substr(0, 256) + "\"");
  TRYV(check_version(f, device_class));
  TRYV(check(f.edits.edits));
  CdiSpec out;
  out.kind = f.kind;
  for (auto& d : f.devices) {
    if (empty(d.edits)) return bad("invalid device \"" + d.name + "\", empty device edits");
    if (auto good = check(d.edits.edits); !good)
      return fail(wrap("invalid device \"" + d.name + "\"", good.error()));
    if (!out.devices.emplace(d.name, finished(d.edits)).second)
      return bad("invalid spec, multiple device \"" + d.name + "\"");
  }
  out.edits = finished(f.edits);
  return out;
}

void CdiDevices::add(const std::string& file, int priority, const Result<std::string>& text) {
  auto spec = text ? parse_cdi(*text) : std::unexpected(text.error());
  if (!spec)
    return problems[file].push_back("failed to load CDI Spec \"" + file + "\": " + spec.error().message);
  spec->file = file, spec->priority = priority;
  specs.push_back(std::move(*spec));
}

std::map<std::string, const CdiSpec*> CdiDevices::by_name(
    std::map<std::string, std::vector<std::string>>* conflicts) const {
  std::map<std::string, const CdiSpec*> out;
  std::map<std::string, int> torn;  // name -> priority at which it is not to be told whose it is
  for (const auto& spec : specs)
    for (const auto& [device, edits] : spec.devices) {
      const std::string name = spec.kind + "=" + device;
      const CdiSpec*& known = out[name];
      if (known && known->priority == spec.priority) {
        torn[name] = spec.priority;
        if (conflicts)
          for (const auto& file : {known->file, spec.file})
            (*conflicts)[file].push_back("conflicting device \"" + name + "\" (specs \"" + known->file +
                                         "\", \"" + spec.file + "\")");
      } else if (!known || known->priority < spec.priority) {
        known = &spec;
      }
    }
  std::erase_if(out, [&](const auto& entry) {
    const auto it = torn.find(entry.first);
    return it != torn.end() && it->second == entry.second->priority;
  });
  return out;
}

Result<OciEdits> CdiDevices::edits(const std::vector<std::string>& names) const {
  const auto known = by_name();
  std::vector<std::string> missing;
  std::set<const CdiSpec*> used;
  OciEdits out;
  for (const auto& name : names) {
    const auto it = known.find(name);
    if (it == known.end()) {
      missing.push_back(name.substr(0, 256));
      continue;
    }
    const CdiSpec* spec = it->second;
    if (used.insert(spec).second) out.append(spec->edits);
    out.append(spec->devices.at(name.substr(name.find('=') + 1)));
  }
  if (!missing.empty())
    return fail(Code::kInternal,
                "CDI device injection failed: unresolvable CDI devices " + join(missing, ", "));
  if (!out.refused.empty())
    return fail(Code::kUnsupported, "CDI device injection failed: " + out.refused + " is not supported");
  return out;
}

}  // namespace panal
