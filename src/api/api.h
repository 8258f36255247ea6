// The Docker Engine API (v1.24 - v1.51): finds the route, checks the version, turns errors into {"message":
// ...}. One file per resource of the specification adds its routes. Handlers decode, call the node, encode;
// they decide nothing.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "build/builder.h"
#include "node/containers/containers.h"
#include "node/images/push.h"
#include "ports/file_watch.h"
#include "ports/stream.h"

namespace re2 {
class RE2;
}

namespace panal {

class SwarmNode;

struct SystemFacts {
  std::string node_name, kernel_version, operating_system, os_version, architecture, data_root, id;
  int64_t memory_bytes = 0;
  int cpus = 1;
  bool cgroup_v2 = false, debug = false, live_restore = true;
  bool memory_limit = false, swap_limit = false, oom_kill_disable = false, cpu_shares = false,
       cpu_quota = false, cpu_set = false, pids_limit = false;
  std::string file_system, logging_driver, default_runtime;
  std::vector<std::string> labels, cdi_spec_dirs;
  std::vector<std::pair<std::string, int>> address_pools;  // as configured: base, size
  std::vector<std::string> security_options, warnings;
};

/// A program beside the daemon.
struct Component {
  std::string name, version, commit;
};

struct ApiParts {
  Loop& loop;
  Entropy& entropy;
  Events& events;
  Images& images;
  Containers& containers;
  Networks& networks;
  Volumes& volumes;
  Layers& layers;
  WatchFile watch_file;
  SystemFacts facts;
  HttpClient& http;
  RegistryClient& registry;
  ImagePull& image_pull;
  ImagePush& image_push;
  Builder& builder;
  SwarmNode* swarm = nullptr;
  std::function<Task<std::vector<Component>>()> components;
};

constexpr const char* kApiVersion = "1.51";
/// The 41 of "v1.41" in the request's path; without one, the newest.
int api_minor(const HttpRequest& request);
constexpr const char* kMinApiVersion = "1.24";
constexpr size_t kMaxJsonBody = 4 << 20;

/// What a handler sees: the exchange and the path's variable parts.
struct Call {
  HttpExchange& http;
  std::vector<std::string> args;
  const HttpRequest& request() const { return http.request(); }
  const std::string& arg(size_t i = 0) const { return args.at(i); }
};

class Api {
 public:
  using Handler = std::function<Task<Result<>>(Call&)>;
  explicit Api(ApiParts parts);

  Task<void> handle(HttpExchange& http);
  /// "/containers/{}/start"; "{*}" swallows slashes.
  void route(std::string method, std::string pattern, Handler handler);
  ApiParts& parts() { return parts_; }

 private:
  struct Route {
    std::string method;
    std::vector<std::string> parts;
    Handler handler;
  };
  const Route* match(const std::string& method, const std::string& path,
                     std::vector<std::string>& args) const;

  ApiParts parts_;
  std::vector<Route> routes_;
};

void add_system_routes(Api&);
void add_event_routes(Api&);
void add_disk_usage_routes(Api&);
void add_container_routes(Api&);
void add_container_stream_routes(Api&);
void add_container_log_routes(Api&);
void add_container_stats_routes(Api&);
void add_exec_routes(Api&);
void add_file_routes(Api&);
void add_image_routes(Api&);
void add_image_transfer_routes(Api&);
void add_search_routes(Api&);
void add_network_routes(Api&);
void add_volume_routes(Api&);
void add_build_routes(Api&);
void add_refused_routes(Api&);
void add_swarm_routes(Api&);
void add_service_routes(Api&);

std::string error_json(std::string_view message);
/// A time as a client gives it (base/time.h), or Docker's refusal.
Result<WallTime> parse_moment(const std::string& text, WallTime now);

/// Docker's filters: {"label":["a=b"]} or {"label":{"a=b":true}}.
class Filters {
 public:
  static Result<Filters> parse(const HttpRequest& request, std::initializer_list<std::string_view> known);
  bool has(const std::string& key) const { return values_.contains(key); }
  const std::vector<std::string>& get(const std::string& key) const;
  /// "true" or "1", "false" or "0", or not asked for; kInvalid for anything else and for both.
  Result<std::optional<bool>> boolean(const std::string& key) const;
  /// True when `key` is not asked for or one of its values equals `value`.
  bool exact(const std::string& key, const std::string& value) const;
  /// The same with values that are patterns (Go's regexp, RE2), found anywhere in `value`. One that is none
  /// fits nothing.
  bool matches(const std::string& key, const std::string& value) const;
  bool any(const std::string& key, const std::function<bool(const std::string&)>& test) const;
  /// All of "k" and "k=v" must match.
  bool labels(const std::string& key, const std::map<std::string, std::string>& have) const;
  /// One of them is enough.
  bool any_label(const std::string& key, const std::map<std::string, std::string>& have) const;
  /// "label" and "label!" of a prune.
  bool prunes(const std::map<std::string, std::string>& have) const {
    return labels("label", have) && !(has("label!") && labels("label!", have));
  }
  /// The moment of "until", or none; kInvalid for several, and for what is no time: it would let everything
  /// through.
  Result<std::optional<WallTime>> until(WallTime now) const;

 private:
  std::map<std::string, std::vector<std::string>> values_;
  mutable std::map<std::string, std::shared_ptr<re2::RE2>> patterns_;  // those that matches() has met
};

}  // namespace panal
