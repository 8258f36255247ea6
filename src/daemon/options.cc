#include "daemon/options.h"

namespace panal {

Result<DaemonOptions> parse_options(const std::vector<std::string>& args) {
  DaemonOptions o;
  for (size_t i = 0; i < args.size(); ++i) {
    std::string name = args[i], value;
    bool has_value = false;
    if (const size_t equals = name.find('='); name.starts_with("--") && equals != std::string::npos) {
      value = name.substr(equals + 1), name = name.substr(0, equals), has_value = true;
    }
    if (name == "--debug" || name == "-D") {
      o.debug = true;
      continue;
    }
    if (name == "--help" || name == "-h") {
      o.help = true;
      continue;
    }
    if (name == "--version" || name == "-v") {
      o.version = true;
      continue;
    }
    std::string* target = name == "--data-root" ? &o.data_root : name == "--exec-root" ? &o.exec_root : name == "--group" || name == "-G" ? &o.group : name == "--node-name" ? &o.node_name
                          : name == "--seccomp-profile" ? &o.seccomp_profile : nullptr;
    const bool host = name == "--host" || name == "-H";
    std::vector<std::string>* list = host ? &o.hosts : name == "--registry-mirror" ? &o.registry_mirrors : name == "--insecure-registry" ? &o.insecure_registries : nullptr;
    if (!target && !list) return fail(Code::kInvalid, "unknown flag: " + args[i]);
    if (!has_value) {
      if (i + 1 >= args.size()) return fail(Code::kInvalid, "flag needs an argument: " + name);
      value = args[++i];
    }
    if (list) list->push_back(value);
    else *target = value;
  }
  if (o.hosts.empty()) o.hosts.push_back("unix:///var/run/panal.sock");
  for (const auto& h : o.hosts)
    if (!h.starts_with("unix://")) return fail(Code::kUnsupported, "listening on " + h + " is not supported yet: only unix:// sockets are");
  if (o.seccomp_profile.empty()) o.seccomp_profile = "builtin";
  for (const auto& path : {o.data_root, o.exec_root})
    if (!path.starts_with('/')) return fail(Code::kInvalid, "not an absolute path: " + path);
  return o;
}

std::string options_help() {
  return "Usage: panal daemon [OPTIONS]\n\nThe Panal node: runs containers, and takes part in a swarm.\n\nOptions:\n"
         "      --data-root string   Folder for images, containers and volumes (default \"/var/lib/panal\")\n"
         "  -D, --debug              Enable debug logging\n"
         "      --exec-root string   Folder for run-time state (default \"/run/panal\")\n"
         "  -G, --group string       Group of the unix socket (default \"docker\")\n"
         "  -H, --host list          Socket to listen on (default \"unix:///var/run/panal.sock\")\n"
         "      --insecure-registry list   Registry to talk to without verified TLS: HOST[:PORT] or a CIDR\n"
         "      --node-name string   Name of this node (default: the host's)\n"
         "      --registry-mirror list     URL of a mirror of Docker Hub, tried first\n"
         "      --seccomp-profile string   Filter of system calls: \"builtin\" (Docker's default), \"unconfined\" or a file (default \"builtin\")\n";
}

}  // namespace panal
