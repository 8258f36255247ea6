// panald's flags, with dockerd's names where it has them.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace panal {

struct DaemonOptions {
  std::string data_root = "/var/lib/panal", exec_root = "/run/panal", group = "docker", node_name, seccomp_profile = "builtin";
  std::vector<std::string> registry_mirrors, insecure_registries;
  std::vector<std::string> hosts;  // "unix:///path"
  bool debug = false, help = false, version = false;
};

Result<DaemonOptions> parse_options(const std::vector<std::string>& args);
std::string options_help();

}  // namespace panal
