// Container Device Interface (CDI, version 1.1): files in which vendors of devices say what a container that
// asks for one gets: nodes, variables, mounts, hooks. Pure; node/ reads the files and looks at the host's
// nodes.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace panal {

struct CdiNode {
  std::string path, host_path, type;  // host_path "": the same; type "": as on the host, else b, c, u, p
  int64_t major = 0, minor = 0;
  std::string permissions;  // "": rwm, "none": none
  std::optional<uint32_t> mode, uid, gid;
};
struct OciMount {
  std::string source, target, type;
  std::vector<std::string> options;
};
struct OciHook {
  std::string when, path;  // when: prestart, createRuntime ...
  std::vector<std::string> args, env;
  std::optional<int> timeout_seconds;
};
/// What is added to a container's OCI configuration.
struct OciEdits {
  std::vector<std::string> env;
  std::vector<CdiNode> nodes;
  std::vector<OciMount> mounts;
  std::vector<OciHook> hooks;
  std::vector<uint32_t> gids;
  std::string refused;  // names what it asks for and Panal does not do
  void append(const OciEdits& more);
};

struct CdiSpec {
  std::string file;
  int priority = 0;  // of its folder: the highest one's devices count
  std::string kind;  // "vendor.com/class"
  OciEdits edits;    // with any of its devices
  std::map<std::string, OciEdits> devices;
};
/// One file's text, JSON or YAML.
Result<CdiSpec> parse_cdi(const std::string& text);

struct CdiDevices {
  std::vector<CdiSpec> specs;
  std::map<std::string, std::vector<std::string>> problems;  // file -> what is wrong with it

  void add(const std::string& file, int priority, const Result<std::string>& text);
  /// Qualified names, "vendor.com/class=name". A name that two files of one priority give is nobody's: a
  /// problem of both.
  std::map<std::string, const CdiSpec*> by_name(
      std::map<std::string, std::vector<std::string>>* conflicts = nullptr) const;
  Result<OciEdits> edits(const std::vector<std::string>& names) const;
};

}  // namespace panal
