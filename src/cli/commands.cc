#include "cli/commands.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>

#include "base/fd.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"

namespace panal {

int report(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return 1;
}
int usage(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  return 125;
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (widths.size() <= i) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 3, ' ');
    }
    std::puts(line.c_str());
  }
}

static Result<Json> get(ApiClient& api, const std::string& path) {
  TRY(const std::string body, api.call("GET", path));
  return parse_json(body);
}
static std::string field(const Json& json, std::initializer_list<const char*> path) {
  const Json* at = &json;
  for (const char* key : path) {
    if (!at->is_object()) return {};
    at = at->get_object().if_contains(key);
    if (!at) return {};
  }
  if (at->is_string()) return str(*at);
  return at->is_null() ? "" : dump(*at);
}

// ---- image

int image_command(ApiClient& api, const Words& words) {
  const std::string verb = words.empty() ? "" : words[0];
  const Words rest(words.begin() + (words.empty() ? 0 : 1), words.end());
  if (verb == "load" || verb == "import") {
    auto args = parse_flags(rest, {{"input", 'i'}, {"quiet", 'q', true}, {"change", 'c'}, {"message", 'm'}});
    if (!args) return report(args.error());
    std::string file = verb == "load" ? args->get("input") : args->words.empty() ? "" : args->words[0];
    if (verb == "import" && file.empty()) return usage("usage: panal image import file|- [REPOSITORY[:TAG]]");
    Fd fd(file.empty() || file == "-" ? ::dup(0) : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return report(sys_error(errno, "open", file));
    std::string path = "/images/load";
    if (verb == "import") {
      std::string repo = args->words.size() > 1 ? args->words[1] : "", tag;
      if (const size_t colon = repo.rfind(':');
          colon != std::string::npos && repo.find('/', colon) == std::string::npos)
        tag = repo.substr(colon + 1), repo = repo.substr(0, colon);
      path = "/images/create?fromSrc=-&repo=" + url_encode(repo) + "&tag=" + url_encode(tag) +
             "&message=" + url_encode(args->get("message"));
      for (const auto& change : args->all("change")) path += "&changes=" + url_encode(change);
    }
    auto reply = api.upload(path, fd.get());
    if (!reply) return report(reply.error());
    for (const auto& line : split(*reply, '\n')) {
      auto json = parse_json(trim(line));
      if (!json || !json->is_object()) continue;
      const std::string text = field(*json, {"stream"}) + field(*json, {"status"});
      std::fputs(text.c_str(), stdout);
      if (!text.ends_with('\n')) std::puts("");
    }
    return 0;
  }
  if (verb == "ls") {
    auto args = parse_flags(rest, {{"quiet", 'q', true}, {"all", 'a', true}});
    if (!args) return report(args.error());
    auto list = get(api, "/images/json");
    if (!list) return report(list.error());
    std::vector<std::vector<std::string>> rows;
    if (!args->on("quiet")) rows.push_back({"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"});
    for (const auto& image : list->as_array()) {
      const std::string id = field(image, {"Id"}).substr(7, 12);
      if (args->on("quiet")) {
        rows.push_back({id});
        continue;
      }
      const auto created = std::chrono::seconds(parse_int(field(image, {"Created"})).value_or(0));
      const std::string ago =
          human_duration(std::chrono::system_clock::now().time_since_epoch() - created) + " ago";
      const std::string size = human_size(static_cast<double>(parse_int(field(image, {"Size"})).value_or(0)));
      std::vector<std::string> tags;
      for (const auto& t : image.as_object().at("RepoTags").as_array()) tags.push_back(str(t));
      if (tags.empty()) tags.push_back("<none>:<none>");
      for (const auto& t : tags)
        rows.push_back({t.substr(0, t.rfind(':')), t.substr(t.rfind(':') + 1), id, ago, size});
    }
    print_table(rows);
    return 0;
  }
  return usage("usage: panal image load|import|ls");
}

// ---- node, swarm, network

int node_command(ApiClient& api, const Words& words) {
  if (words.empty() || words[0] != "ls") return usage("usage: panal node ls [-q]");
  auto args = parse_flags(Words(words.begin() + 1, words.end()), {{"quiet", 'q', true}});
  if (!args) return report(args.error());
  auto list = get(api, "/nodes");
  auto info = get(api, "/info");
  if (!list) return report(list.error());
  const std::string self = info ? field(*info, {"Swarm", "NodeID"}) : "";
  std::vector<std::vector<std::string>> rows;
  const auto capital = [](std::string s) {
    if (!s.empty() && s[0] >= 'a' && s[0] <= 'z') s[0] = static_cast<char>(s[0] - 32);
    return s;
  };
  for (const auto& n : list->as_array()) {
    const std::string id = field(n, {"ID"});
    if (args->on("quiet")) {
      rows.push_back({id});
      continue;
    }
    std::string manager = field(n, {"ManagerStatus", "Leader"}) == "true"
                              ? "Leader"
                              : capital(field(n, {"ManagerStatus", "Reachability"}));
    rows.push_back({id + (id == self ? " *" : "  "), field(n, {"Description", "Hostname"}),
                    capital(field(n, {"Status", "State"})), capital(field(n, {"Spec", "Availability"})),
                    manager, field(n, {"Description", "Engine", "EngineVersion"})});
  }
  std::ranges::sort(rows, {}, [](const auto& row) { return row.size() > 1 ? row[1] : row[0]; });
  if (!args->on("quiet"))
    rows.insert(rows.begin(),
                {"ID", "HOSTNAME", "STATUS", "AVAILABILITY", "MANAGER STATUS", "ENGINE VERSION"});
  print_table(rows);
  return 0;
}

int swarm_command(ApiClient& api, const Words& words) {
  const std::string verb = words.empty() ? "" : words[0];
  auto args = parse_flags(Words(words.begin() + (words.empty() ? 0 : 1), words.end()),
                          {{"advertise-addr"},
                           {"listen-addr"},
                           {"token"},
                           {"force", 'f', true},
                           {"force-new-cluster", 0, true},
                           {"quiet", 'q', true},
                           {"rotate", 0, true},
                           {"availability"}});
  if (!args) return report(args.error());
  const auto show_join = [&](const std::string& role, bool bare) {
    auto swarm = get(api, "/swarm");
    auto info = get(api, "/info");
    if (!swarm || !info) return report(swarm ? info.error() : swarm.error());
    const std::string token = field(*swarm, {"JoinTokens", role == "manager" ? "Manager" : "Worker"});
    if (bare)
      std::puts(token.c_str());
    else
      std::printf(
          "To add a %s to this swarm, run the following command:\n\n    panal swarm join --token %s "
          "%s:2377\n\n",
          role.c_str(), token.c_str(), field(*info, {"Swarm", "NodeAddr"}).c_str());
    return 0;
  };
  const std::string listen = args->get("listen-addr", "0.0.0.0:2377");
  if (verb == "init") {
    auto reply = api.call("POST", "/swarm/init",
                          dump(JsonObject{{"ListenAddr", listen},
                                          {"AdvertiseAddr", args->get("advertise-addr")},
                                          {"ForceNewCluster", args->on("force-new-cluster")},
                                          {"Availability", args->get("availability")}}));
    if (!reply) return report(reply.error());
    auto id = parse_json(*reply);
    std::printf("Swarm initialized: current node (%s) is now a manager.\n\n", id ? str(*id).c_str() : "");
    return show_join("worker", false);
  }
  if (verb == "join") {
    if (args->words.size() != 1) return usage("usage: panal swarm join --token TOKEN HOST:PORT");
    auto reply = api.call("POST", "/swarm/join",
                          dump(JsonObject{{"ListenAddr", listen},
                                          {"AdvertiseAddr", args->get("advertise-addr")},
                                          {"RemoteAddrs", JsonArray{Json(args->words[0])}},
                                          {"JoinToken", args->get("token")},
                                          {"Availability", args->get("availability")}}));
    if (!reply) return report(reply.error());
    auto info = get(api, "/info");
    std::printf("This node joined a swarm as a %s.\n",
                info && field(*info, {"Swarm", "ControlAvailable"}) == "true" ? "manager" : "worker");
    return 0;
  }
  if (verb == "leave") {
    auto reply = api.call("POST", std::string("/swarm/leave?force=") + (args->on("force") ? "1" : "0"));
    if (!reply) return report(reply.error());
    std::puts("Node left the swarm.");
    return 0;
  }
  if (verb == "join-token") {
    const std::string role = args->words.empty() ? "" : args->words[0];
    if (role != "worker" && role != "manager")
      return usage("usage: panal swarm join-token [-q] [--rotate] worker|manager");
    if (args->on("rotate")) {
      auto swarm = get(api, "/swarm");
      if (!swarm) return report(swarm.error());
      auto done = api.call("POST",
                           "/swarm/update?version=" + field(*swarm, {"Version", "Index"}) + "&rotate" +
                               (role == "manager" ? "Manager" : "Worker") + "Token=true",
                           dump(swarm->as_object().at("Spec")));
      if (!done) return report(done.error());
      if (!args->on("quiet")) std::printf("Successfully rotated %s join token.\n\n", role.c_str());
    }
    return show_join(role, args->on("quiet"));
  }
  return usage("usage: panal swarm init|join|leave|join-token");
}

int network_command(ApiClient& api, const Words& words) {
  const std::string verb = words.empty() ? "" : words[0];
  auto args =
      parse_flags(Words(words.begin() + (words.empty() ? 0 : 1), words.end()), {{"driver", 'd'},
                                                                                {"subnet"},
                                                                                {"internal", 0, true},
                                                                                {"attachable", 0, true},
                                                                                {"opt", 'o'},
                                                                                {"quiet", 'q', true}});
  if (!args) return report(args.error());
  if (verb == "create") {
    if (args->words.size() != 1) return usage("usage: panal network create [OPTIONS] NETWORK");
    JsonObject wish{{"Name", args->words[0]},
                    {"Driver", args->get("driver", "bridge")},
                    {"Internal", args->on("internal")},
                    {"Attachable", args->on("attachable")}};
    if (args->has("subnet"))
      wish["IPAM"] = JsonObject{{"Config", JsonArray{JsonObject{{"Subnet", args->get("subnet")}}}}};
    JsonObject options;
    for (const auto& o : args->all("opt"))
      options[o.substr(0, o.find('='))] = o.find('=') == std::string::npos ? "" : o.substr(o.find('=') + 1);
    wish["Options"] = options;
    auto reply = api.call("POST", "/networks/create", dump(wish));
    if (!reply) return report(reply.error());
    auto json = parse_json(*reply);
    std::puts(json ? field(*json, {"Id"}).c_str() : "");
    return 0;
  }
  if (verb == "ls") {
    auto list = get(api, "/networks");
    if (!list) return report(list.error());
    std::vector<std::vector<std::string>> rows = {{"NETWORK ID", "NAME", "DRIVER", "SCOPE"}};
    for (const auto& n : list->as_array())
      rows.push_back(
          {field(n, {"Id"}).substr(0, 12), field(n, {"Name"}), field(n, {"Driver"}), field(n, {"Scope"})});
    std::sort(rows.begin() + 1, rows.end(), [](const auto& a, const auto& b) { return a[1] < b[1]; });
    print_table(rows);
    return 0;
  }
  if (verb == "rm") {
    int status = 0;
    for (const auto& name : args->words) {
      auto reply = api.call("DELETE", "/networks/" + url_encode(name));
      if (!reply)
        status = report(reply.error());
      else
        std::puts(name.c_str());
    }
    return status;
  }
  return usage("usage: panal network create|ls|rm");
}

}  // namespace panal
