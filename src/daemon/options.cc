#include "daemon/options.h"

#include <algorithm>
#include <functional>

#include "base/fd.h"
#include "base/json.h"
#include "base/text.h"
#include "model/container_json.h"

namespace panal {
template <class A>
void fields(A& a, AddressPool& p) {
  a("base", p.base), a("size", p.size);
}
template <class A>
void fields(A& a, DaemonOptions& o) {
  a("hosts", o.hosts), a("group", o.group), a("tls", o.tls), a("tlsverify", o.tlsverify),
      a("allow-plain-tcp", o.allow_plain_tcp);
  a("tlscacert", o.tlscacert), a("tlscert", o.tlscert), a("tlskey", o.tlskey), a("data-root", o.data_root),
      a("exec-root", o.exec_root);
  a("pidfile", o.pidfile), a("node-name", o.node_name), a("labels", o.labels), a("debug", o.debug),
      a("log-level", o.log_level), a("log-format", o.log_format);
  a("live-restore", o.live_restore), a("shutdown-timeout", o.shutdown_timeout_seconds),
      a("registry-mirrors", o.registry_mirrors);
  a("insecure-registries", o.insecure_registries), a("max-concurrent-downloads", o.max_concurrent_downloads);
  a("max-concurrent-uploads", o.max_concurrent_uploads), a("max-download-attempts", o.max_download_attempts),
      a("log-driver", o.log_driver);
  a("log-opts", o.log_opts), a("dns", o.dns), a("dns-opts", o.dns_opts), a("dns-search", o.dns_search),
      a("default-ulimits", o.default_ulimits);
  a("default-runtime", o.default_runtime), a("default-ipc-mode", o.default_ipc_mode),
      a("default-cgroupns-mode", o.default_cgroupns_mode), a("init", o.init),
      a("userns-remap", o.userns_remap), a("cdi-spec-dirs", o.cdi_spec_dirs);
  a("seccomp-profile", o.seccomp_profile), a("no-new-privileges", o.no_new_privileges), a("bip", o.bip),
      a("fixed-cidr", o.fixed_cidr), a("mtu", o.mtu);
  a("icc", o.icc), a("ip", o.ip), a("ip-masq", o.ip_masq), a("features", o.features),
      a("default-shm-size", o.default_shm_size), a("default-address-pools", o.default_address_pools);
}

namespace {

enum class Kind { kSwitch, kText, kNumber, kList, kMap, kPools, kUlimits, kFileOnly };

struct Setting {
  const char *key, *flag;  // in the file; on the command line ("" where dockerd has none)
  char letter;
  Kind kind;
  const char *unit, *help;
};
constexpr Setting kSettings[] = {
    {"hosts", "host", 'H', Kind::kList, "list",
     "Socket to listen on: unix://, tcp://, fd:// (default unix:///var/run/panal.sock)"},
    {"group", "group", 'G', Kind::kText, "string", "Group of the unix socket (default \"docker\")"},
    {"tls", "tls", 0, Kind::kSwitch, "", "Use TLS; implied by --tlsverify"},
    {"tlsverify", "tlsverify", 0, Kind::kSwitch, "", "Use TLS and verify the client's certificate"},
    {"tlscacert", "tlscacert", 0, Kind::kText, "string",
     "Trust certificates signed by this CA only (default \"~/.docker/ca.pem\")"},
    {"tlscert", "tlscert", 0, Kind::kText, "string", "TLS certificate (default \"~/.docker/cert.pem\")"},
    {"tlskey", "tlskey", 0, Kind::kText, "string", "TLS key (default \"~/.docker/key.pem\")"},
    {"allow-plain-tcp", "allow-plain-tcp", 0, Kind::kSwitch, "",
     "Listen on tcp:// without TLS: whoever connects is root on this machine"},
    {"data-root", "data-root", 0, Kind::kText, "string",
     "Folder for images, containers and volumes (default \"/var/lib/panal\")"},
    {"exec-root", "exec-root", 0, Kind::kText, "string",
     "Folder for run-time state (default \"/run/panal\")"},
    {"pidfile", "pidfile", 'p', Kind::kText, "string",
     "File with the daemon's process id (default: panald.pid in the exec root)"},
    {"node-name", "node-name", 0, Kind::kText, "string", "Name of this node (default: the host's)"},
    {"labels", "label", 0, Kind::kList, "list", "Key=value labels of the daemon"},
    {"debug", "debug", 'D', Kind::kSwitch, "", "Enable debug logging"},
    {"log-level", "log-level", 'l', Kind::kText, "string",
     "\"debug\", \"info\", \"warn\", \"error\", \"fatal\" (default \"info\")"},
    {"log-format", "log-format", 0, Kind::kText, "string", "\"text\" or \"json\" (default \"text\")"},
    {"live-restore", "live-restore", 0, Kind::kSwitch, "",
     "Containers run on while the daemon is away (default true; false: they are stopped with it)"},
    {"shutdown-timeout", "shutdown-timeout", 0, Kind::kNumber, "int",
     "Seconds that containers get to stop, with --live-restore=false (default 15)"},
    {"registry-mirrors", "registry-mirror", 0, Kind::kList, "list", "Preferred mirror of Docker Hub"},
    {"insecure-registries", "insecure-registry", 0, Kind::kList, "list",
     "Registry without TLS, or with a certificate that nobody verifies"},
    {"max-concurrent-downloads", "max-concurrent-downloads", 0, Kind::kNumber, "int",
     "Layers that one pull fetches at once (default 3)"},
    {"max-concurrent-uploads", "max-concurrent-uploads", 0, Kind::kNumber, "int",
     "Layers that one push sends at once (default 5)"},
    {"max-download-attempts", "max-download-attempts", 0, Kind::kNumber, "int",
     "Times that a layer is tried (default 5)"},
    {"log-driver", "log-driver", 0, Kind::kText, "string",
     "Default driver for container logs (default \"json-file\")"},
    {"log-opts", "log-opt", 0, Kind::kMap, "map", "Default options of the log driver"},
    {"dns", "dns", 0, Kind::kList, "list", "DNS server of containers"},
    {"dns-opts", "dns-opt", 0, Kind::kList, "list", "DNS option of containers"},
    {"dns-search", "dns-search", 0, Kind::kList, "list", "DNS search domain of containers"},
    {"default-ulimits", "default-ulimit", 0, Kind::kUlimits, "ulimit", "Default ulimits of containers"},
    {"default-shm-size", "default-shm-size", 0, Kind::kText, "bytes",
     "Default size of /dev/shm (default 64MiB)"},
    {"default-runtime", "default-runtime", 0, Kind::kText, "string",
     "Default runtime of containers (default \"crun\")"},
    {"default-ipc-mode", "default-ipc-mode", 0, Kind::kText, "string",
     "\"private\" or \"shareable\" (default \"private\")"},
    {"default-cgroupns-mode", "default-cgroupns-mode", 0, Kind::kText, "string",
     "\"private\" or \"host\" (default: private on cgroup v2, host on v1)"},
    {"init", "init", 0, Kind::kSwitch, "", "An init in each container forwards signals and reaps processes"},
    {"seccomp-profile", "seccomp-profile", 0, Kind::kText, "string",
     "Filter of system calls: \"builtin\" (Docker's default), \"unconfined\" or a file (default "
     "\"builtin\")"},
    {"userns-remap", "userns-remap", 0, Kind::kText, "user",
     "Whose subordinate ids containers' users get: USER, USER:GROUP, numbers, or \"default\" (dockremap)"},
    {"cdi-spec-dirs", "cdi-spec-dir", 0, Kind::kList, "list",
     "Folder with CDI specifications of devices; \"\": none (default /etc/cdi, /var/run/cdi)"},
    {"no-new-privileges", "no-new-privileges", 0, Kind::kSwitch, "", "no-new-privileges for new containers"},
    {"default-address-pools", "default-address-pool", 0, Kind::kPools, "pool",
     "Where networks get their subnets: base=CIDR,size=BITS"},
    {"bip", "bip", 0, Kind::kText, "string", "Address of the default bridge, as CIDR"},
    {"fixed-cidr", "fixed-cidr", 0, Kind::kText, "string",
     "Range of the default bridge's addresses for containers, as CIDR"},
    {"mtu", "mtu", 0, Kind::kNumber, "int", "MTU of the default bridge (default 1500)"},
    {"icc", "icc", 0, Kind::kSwitch, "", "Containers on the default bridge reach each other (default true)"},
    {"ip", "ip", 0, Kind::kText, "ip",
     "Address that ports of containers on the default bridge are published on (default 0.0.0.0)"},
    {"ip-masq", "ip-masq", 0, Kind::kSwitch, "",
     "Hide the default bridge's containers behind the host's address (default true)"},
    {"features", "", 0, Kind::kFileOnly, "", ""},
};

// Docker's settings that Panal has one answer to: this value says what is so anyway, any other is refused.
// "": no value at all.
struct Fixed {
  const char *key, *flag;
  Kind kind;
  const char *only, *why;
};
constexpr Fixed kFixed[] = {
    {"storage-driver", "storage-driver", Kind::kText, "\"overlay2\"", "Panal has overlay2 only"},
    {"userland-proxy", "userland-proxy", Kind::kSwitch, "false",
     "ports are published by nftables, without a proxy"},
    {"iptables", "iptables", Kind::kSwitch, "true", "networks need their nftables rules"},
    {"ip6tables", "ip6tables", Kind::kSwitch, "true", "networks need their nftables rules"},
    {"firewall-backend", "firewall-backend", Kind::kText, "\"nftables\"", "Panal has nftables only"},
    {"ip-forward", "ip-forward", Kind::kSwitch, "true", "networks need forwarding"},
    {"exec-opts", "exec-opt", Kind::kList, "[\"native.cgroupdriver=cgroupfs\"]",
     "the cgroup driver is cgroupfs"},
    {"ipv6", "ipv6", Kind::kSwitch, "", "the default bridge has IPv4 only"},
    {"fixed-cidr-v6", "fixed-cidr-v6", Kind::kText, "", "the default bridge has IPv4 only"},
    {"default-gateway", "default-gateway", Kind::kText, "", ""},
    {"default-gateway-v6", "default-gateway-v6", Kind::kText, "", ""},
    {"bridge", "bridge", Kind::kText, "", "the default bridge is Panal's own"},
    {"bridge-accept-fwmark", "bridge-accept-fwmark", Kind::kText, "", ""},
    {"default-network-opts", "default-network-opt", Kind::kMap, "", ""},
    {"host-gateway-ip", "host-gateway-ip", Kind::kText, "", ""},
    {"host-gateway-ips", "", Kind::kList, "", ""},
    {"ip-forward-no-drop", "ip-forward-no-drop", Kind::kSwitch, "", ""},
    {"allow-direct-routing", "allow-direct-routing", Kind::kSwitch, "", ""},
    {"network-control-plane-mtu", "network-control-plane-mtu", Kind::kNumber, "1500", ""},
    {"authorization-plugins", "authorization-plugin", Kind::kList, "", "there are no plugins"},
    {"cgroup-parent", "cgroup-parent", Kind::kText, "", ""},
    {"containerd", "containerd", Kind::kText, "", "there is no containerd"},
    {"containerd-namespace", "containerd-namespace", Kind::kText, "", "there is no containerd"},
    {"containerd-plugins-namespace", "containerd-plugins-namespace", Kind::kText, "",
     "there is no containerd"},
    {"cri-containerd", "cri-containerd", Kind::kSwitch, "", "there is no containerd"},
    {"cpu-rt-period", "cpu-rt-period", Kind::kNumber, "", ""},
    {"cpu-rt-runtime", "cpu-rt-runtime", Kind::kNumber, "", ""},
    {"builder", "", Kind::kFileOnly, "", ""},
    {"experimental", "experimental", Kind::kSwitch, "", ""},
    {"http-proxy", "http-proxy", Kind::kText, "", ""},
    {"https-proxy", "https-proxy", Kind::kText, "", ""},
    {"no-proxy", "no-proxy", Kind::kText, "", ""},
    {"proxies", "", Kind::kFileOnly, "", ""},
    {"init-path", "init-path", Kind::kText, "", "the init is tini's"},
    {"metrics-addr", "metrics-addr", Kind::kText, "", ""},
    {"node-generic-resources", "node-generic-resource", Kind::kList, "", ""},
    {"oom-score-adjust", "oom-score-adjust", Kind::kNumber, "", ""},
    {"raw-logs", "raw-logs", Kind::kSwitch, "", ""},
    {"runtimes", "add-runtime", Kind::kMap, "", "runtimes are crun, and runc where crun cannot"},
    {"selinux-enabled", "selinux-enabled", Kind::kSwitch, "", ""},
    {"storage-opts", "storage-opt", Kind::kList, "", ""},
    {"swarm-default-advertise-addr", "swarm-default-advertise-addr", Kind::kText, "",
     "name it in docker swarm init"},
    {"userland-proxy-path", "userland-proxy-path", Kind::kText, "", "there is no proxy"},
    {"allow-nondistributable-artifacts", "allow-nondistributable-artifacts", Kind::kList, "", ""},
};

struct Named {
  const char *key, *flag;
  char letter;
  Kind kind;
};
std::optional<Named> setting_of(const std::function<bool(const Named&)>& test) {
  for (const auto& s : kSettings)
    if (const Named n{s.key, s.flag, s.letter, s.kind}; test(n)) return n;
  for (const auto& s : kFixed)
    if (const Named n{s.key, s.flag, 0, s.kind}; test(n)) return n;
  return std::nullopt;
}
std::optional<Named> setting_of_key(std::string_view key) {
  return setting_of([&](const Named& n) { return key == n.key; });
}

std::unexpected<Error> bad_argument(const std::string& value, const Named& n, const std::string& why) {
  const std::string name = (n.letter ? std::string("-") + n.letter + ", " : "") + "--" + n.flag;
  return fail(Code::kInvalid, "invalid argument \"" + value + "\" for \"" + name + "\" flag: " + why);
}

Result<std::pair<std::string, std::string>> key_and_value(const std::string& text, const Named& n) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return bad_argument(text, n, "invalid syntax: " + text + ": missing \"=\"");
  return std::pair{text.substr(0, equals), text.substr(equals + 1)};
}

/// A flag's value, added to what the same flag has said before.
Result<> take_flag(JsonObject& values, const Named& n, const std::string& text) {
  switch (n.kind) {
    case Kind::kSwitch: {
      const std::string word = lower(text);
      const bool on = word == "true" || word == "1" || word == "t";
      if (!on && word != "false" && word != "0" && word != "f")
        return bad_argument(text, n, "strconv.ParseBool: parsing \"" + text + "\": invalid syntax");
      values[n.key] = on;
      return {};
    }
    case Kind::kNumber: {
      const auto number = parse_int(text);
      if (!number) return bad_argument(text, n, "strconv.ParseInt: parsing \"" + text + "\": invalid syntax");
      values[n.key] = *number;
      return {};
    }
    case Kind::kText:
      values[n.key] = text;
      return {};
    case Kind::kList:
      if (!values.contains(n.key)) values[n.key] = JsonArray{};
      values[n.key].get_array().push_back(Json(text));
      return {};
    case Kind::kMap: {
      TRY(auto pair, key_and_value(text, n));
      if (!values.contains(n.key)) values[n.key] = JsonObject{};
      values[n.key].get_object()[pair.first] = pair.second;
      return {};
    }
    case Kind::kPools: {
      JsonObject pool;
      for (const auto& part : split(text, ',')) {
        TRY(auto pair, key_and_value(part, n));
        const auto size = parse_int(pair.second);
        if (pair.first == "base")
          pool["base"] = pair.second;
        else if (pair.first == "size" && size)
          pool["size"] = *size;
        else
          return bad_argument(text, n, "unexpected key '" + pair.first + "' in '" + part + "'");
      }
      if (!values.contains(n.key)) values[n.key] = JsonArray{};
      values[n.key].get_array().push_back(pool);
      return {};
    }
    case Kind::kUlimits: {
      TRY(auto pair, key_and_value(text, n));
      const auto numbers = split(pair.second, ':');
      const auto soft = parse_int(numbers[0]), hard = parse_int(numbers.back());
      if (!soft || !hard || numbers.size() > 2)
        return bad_argument(text, n, "invalid ulimit argument: " + text);
      if (!values.contains(n.key)) values[n.key] = JsonObject{};
      values[n.key].get_object()[pair.first] =
          JsonObject{{"Name", pair.first}, {"Soft", *soft}, {"Hard", *hard}};
      return {};
    }
    case Kind::kFileOnly:
      break;
  }
  return {};
}

/// Fills `values` with settings, `o` with what concerns this call only.
Result<> read_flags(const std::vector<std::string>& args, JsonObject& values, DaemonOptions& o) {
  for (const auto& arg : args)
    if (to_utf8(arg) != arg) return fail(Code::kInvalid, "an argument is no UTF-8 text: " + to_utf8(arg));
  for (size_t i = 0; i < args.size(); ++i) {
    std::string name = args[i], value;
    bool has_value = false;
    const bool is_long = name.starts_with("--");
    if (const size_t equals = name.find('='); is_long && equals != std::string::npos)
      value = name.substr(equals + 1), name = name.substr(0, equals), has_value = true;
    if (name == "--help" || name == "-h")
      o.help = true;
    else if (name == "--version" || name == "-v")
      o.version = true;
    else if (name == "--validate")
      o.validate = true;
    else if (const bool file = name == "--config-file"; true) {
      const auto setting = file ? std::nullopt : setting_of([&](const Named& n) {
        return is_long ? n.flag[0] && name.substr(2) == n.flag
                       : n.letter && name.size() == 2 && name[0] == '-' && name[1] == n.letter;
      });
      if (!file && !setting) {
        if (name.starts_with('-')) return fail(Code::kInvalid, "unknown flag: " + name);
        return fail(Code::kInvalid, "\"panal daemon\" accepts no arguments");
      }
      if (!has_value && setting && setting->kind == Kind::kSwitch)
        value = "true";
      else if (!has_value && i + 1 >= args.size())
        return fail(Code::kInvalid, "flag needs an argument: " + name);
      else if (!has_value)
        value = args[++i];
      if (file)
        o.config_file = value, o.config_file_named = true;
      else
        TRYV(take_flag(values, *setting, value));
    }
  }
  return {};
}

std::string go_text(const Json& v) {
  if (v.is_string()) return str(v);
  if (!v.is_array()) return dump(v);
  std::vector<std::string> parts;
  for (const auto& item : v.get_array()) parts.push_back(go_text(item));
  return "[" + join(parts, " ") + "]";
}

Result<JsonObject> read_config(const DaemonOptions& o, const JsonObject& flags) {
  auto text = read_file(o.config_file, 1 << 20);
  if (!text) {
    if (text.error().code == Code::kNotFound && !o.config_file_named) return JsonObject{};
    return std::unexpected(text.error());
  }
  std::string_view body = trim(*text);
  if (body.starts_with("\xef\xbb\xbf")) body.remove_prefix(3);
  if (body.empty()) return JsonObject{};
  TRY(Json json, parse_json(body));
  if (!json.is_object()) return fail(Code::kInvalid, "the configuration must be a JSON object");
  std::vector<std::string> unknown, conflicts;
  for (const auto& [key, value] : json.get_object()) {
    const auto setting = setting_of_key(sv(boost::json::string(key)));
    if (!setting)
      unknown.emplace_back(key);
    else if (flags.contains(key))
      conflicts.push_back(std::string(key) + ": (from flag: " + go_text(flags.at(key)) +
                          ", from file: " + go_text(value) + ")");
  }
  if (!unknown.empty())
    return fail(Code::kInvalid,
                "the following directives don't match any configuration option: " + join(unknown, ", "));
  if (!conflicts.empty())
    return fail(Code::kInvalid,
                "the following directives are specified both as a flag and in the configuration file: " +
                    join(conflicts, ", "));
  return json.get_object();
}

Result<> refuse_unsupported(const JsonObject& values) {
  for (const auto& fixed : kFixed) {
    const Json* value = values.if_contains(fixed.key);
    if (!value || value->is_null()) continue;
    if (fixed.only[0] ? dump(*value) == fixed.only : is_blank(*value)) continue;
    return fail(Code::kUnsupported, std::string(fixed.key) + "=" + go_text(*value) + " is not supported" +
                                        (fixed.why[0] ? std::string(": ") + fixed.why : ""));
  }
  if (const Json* features = values.if_contains("features"); features && features->is_object())
    for (const auto& [name, on] : features->get_object())
      if (name != "cdi" && !is_blank(on))
        return fail(Code::kUnsupported, "feature " + std::string(name) + " is not supported");
  return {};
}

Result<DaemonOptions> with_file(const DaemonOptions& call, JsonObject flags) {
  JsonObject values;
  auto file = read_config(call, flags);
  if (!file)
    return fail(wrap("unable to configure the Panal daemon with file " + call.config_file, file.error()));
  values = std::move(*file);
  for (const auto& [key, value] : flags) values[key] = value;
  TRYV(refuse_unsupported(values));
  if (Json* size = values.if_contains("default-shm-size"); size && size->is_string()) {
    const auto bytes = parse_bytes(str(*size));
    if (!bytes) return fail(Code::kInvalid, "invalid size: '" + str(*size) + "'");
    *size = *bytes;
  }
  TRY(DaemonOptions o, from_json<DaemonOptions>(values));
  o.config_file = call.config_file, o.config_file_named = call.config_file_named, o.validate = call.validate,
  o.flags = dump(flags);
  TRYV(check_options(o));
  return o;
}

}  // namespace

log::Level DaemonOptions::level() const {
  if (debug || log_level == "debug") return log::Level::kDebug;
  return log_level == "info"   ? log::Level::kInfo
         : log_level == "warn" ? log::Level::kWarn
                               : log::Level::kError;
}

Result<DaemonOptions> parse_options(const std::vector<std::string>& args) {
  DaemonOptions call;
  JsonObject flags;
  TRYV(read_flags(args, flags, call));
  if (call.help || call.version) return call;
  return with_file(call, std::move(flags));
}

Result<DaemonOptions> reread_options(const DaemonOptions& now) {
  TRY(Json flags, parse_json(now.flags));
  return with_file(now, flags.get_object());
}

std::string options_help() {
  std::string out =
      "Usage: panal daemon [OPTIONS]\n\nThe Panal node: runs containers, and takes part in a swarm. Every "
      "option may stand in the configuration file instead, by dockerd's names.\n\nOptions:\n"
      "      --config-file string            Configuration file (default \"/etc/panal/daemon.json\")\n"
      "      --validate                      Check the configuration and end\n"
      "  -v, --version                       Print the version and end\n";
  for (const auto& s : kSettings) {
    if (!s.flag[0]) continue;
    std::string line = (s.letter ? std::string("  -") + s.letter + ", --" : "      --") + s.flag +
                       (s.unit[0] ? std::string(" ") + s.unit : "");
    line.resize(std::max<size_t>(line.size() + 1, 38), ' ');
    out += line + s.help + "\n";
  }
  return out;
}

}  // namespace panal
