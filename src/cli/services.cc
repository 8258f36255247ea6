// panal service create|ls|ps|logs|scale|update|rm
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/commands.h"

namespace panal {

static Result<Json> get(ApiClient& api, const std::string& path) {
  TRY(const std::string body, api.call("GET", path));
  return parse_json(body);
}
static std::string text_at(const Json& json, std::initializer_list<const char*> path) {
  const Json* at = &json;
  for (const char* key : path) {
    if (!at->is_object() || !(at = at->get_object().if_contains(key))) return {};
  }
  return at->is_string() ? str(*at) : at->is_null() ? "" : dump(*at);
}
static std::string filters(const std::string& key, const std::string& value) {
  return url_encode(dump(JsonObject{{key, JsonArray{Json(value)}}}));
}

static const std::vector<Flag> kSpecFlags = {{"name"},
                                             {"replicas"},
                                             {"mode"},
                                             {"env", 'e'},
                                             {"network"},
                                             {"publish", 'p'},
                                             {"constraint"},
                                             {"mount"},
                                             {"limit-cpu"},
                                             {"limit-memory"},
                                             {"reserve-cpu"},
                                             {"reserve-memory"},
                                             {"limit-pids"},
                                             {"label", 'l'},
                                             {"detach", 'd', true},
                                             {"update-parallelism"},
                                             {"update-delay"},
                                             {"update-order"},
                                             {"update-failure-action"},
                                             {"update-monitor"},
                                             {"rollback-order"},
                                             {"restart-condition"},
                                             {"restart-delay"},
                                             {"restart-max-attempts"},
                                             {"stop-grace-period"},
                                             {"stop-signal"},
                                             {"user", 'u'},
                                             {"workdir", 'w'},
                                             {"hostname"},
                                             {"image"},
                                             {"args"},
                                             {"env-add"},
                                             {"env-rm"},
                                             {"constraint-add"},
                                             {"constraint-rm"},
                                             {"publish-add"},
                                             {"force", 0, true},
                                             {"rollback", 0, true},
                                             {"quiet", 'q', true},
                                             {"health-cmd"},
                                             {"health-interval"}};

static Result<Json> parse_port(const std::string& text) {
  JsonObject port{{"Protocol", "tcp"}, {"PublishMode", "ingress"}};
  if (text.find('=') != std::string::npos) {
    for (const auto& part : split(text, ',')) {
      const std::string key = part.substr(0, part.find('=')), value = part.substr(part.find('=') + 1);
      if (key == "mode")
        port["PublishMode"] = value;
      else if (key == "protocol")
        port["Protocol"] = value;
      else if (key == "target")
        port["TargetPort"] = parse_int(value).value_or(0);
      else if (key == "published")
        port["PublishedPort"] = parse_int(value).value_or(0);
      else
        return fail(Code::kInvalid, "invalid field key " + key);
    }
    return Json(port);
  }
  std::string body = text;
  if (const size_t slash = body.find('/'); slash != std::string::npos)
    port["Protocol"] = body.substr(slash + 1), body = body.substr(0, slash);
  const size_t colon = body.rfind(':');
  const auto target = parse_int(colon == std::string::npos ? body : body.substr(colon + 1));
  const auto published =
      colon == std::string::npos ? std::optional<int64_t>(0) : parse_int(body.substr(0, colon));
  if (!target || !published) return fail(Code::kInvalid, "invalid containerPort: " + text);
  port["TargetPort"] = *target;
  if (*published) port["PublishedPort"] = *published;
  return Json(port);
}

static Result<Json> parse_mount(const std::string& text) {
  JsonObject m{{"Type", "volume"}};
  for (const auto& part : split(text, ',')) {
    const std::string key = part.substr(0, part.find('=')),
                      value = part.find('=') == std::string::npos ? "true" : part.substr(part.find('=') + 1);
    if (key == "type")
      m["Type"] = value;
    else if (key == "source" || key == "src")
      m["Source"] = value;
    else if (key == "target" || key == "dst" || key == "destination")
      m["Target"] = value;
    else if (key == "readonly" || key == "ro")
      m["ReadOnly"] = value == "true" || value == "1";
    else
      return fail(Code::kUnsupported, "mount option " + key + " is not supported yet by this command line");
  }
  return Json(m);
}

// References to members stay good while an object does not grow past what it has reserved: room for every
// field of a spec.
static JsonObject& object_at(JsonObject& parent, std::string_view key) {
  parent.reserve(64);
  if (!parent.contains(key) || !parent[key].is_object()) parent[key] = JsonObject{};
  return parent[key].get_object();
}
static JsonArray& array_at(JsonObject& parent, std::string_view key) {
  parent.reserve(64);
  if (!parent.contains(key) || !parent[key].is_array()) parent[key] = JsonArray{};
  return parent[key].get_array();
}

static Result<> apply_update_flags(const Args& a, JsonObject& spec) {
  const bool any = a.has("update-parallelism") || a.has("update-delay") || a.has("update-order") ||
                   a.has("update-failure-action") || a.has("update-monitor");
  if (!any) return {};
  JsonObject& u = object_at(spec, "UpdateConfig");
  if (!u.contains("Parallelism")) u["Parallelism"] = 1;
  if (a.has("update-parallelism")) u["Parallelism"] = parse_int(a.get("update-parallelism")).value_or(1);
  for (const auto& [flag, key] : {std::pair{"update-delay", "Delay"}, {"update-monitor", "Monitor"}})
    if (a.has(flag)) {
      const auto d = parse_duration(a.get(flag));
      if (!d) return fail(Code::kInvalid, std::string("invalid duration for --") + flag);
      u[key] = d->count();
    }
  if (a.has("update-order")) u["Order"] = a.get("update-order");
  if (a.has("update-failure-action")) u["FailureAction"] = a.get("update-failure-action");
  return {};
}

static Result<> apply_resources(const Args& a, JsonObject& task) {
  const auto cpu = [&](const char* flag, const char* part) -> Result<> {
    if (!a.has(flag)) return {};
    object_at(object_at(task, "Resources"), part)["NanoCPUs"] =
        static_cast<int64_t>(std::strtod(a.get(flag).c_str(), nullptr) * 1e9);
    return {};
  };
  const auto memory = [&](const char* flag, const char* part) -> Result<> {
    if (!a.has(flag)) return {};
    const auto bytes = parse_bytes(a.get(flag));
    if (!bytes) return fail(Code::kInvalid, "invalid size: '" + a.get(flag) + "'");
    object_at(object_at(task, "Resources"), part)["MemoryBytes"] = *bytes;
    return {};
  };
  TRYV(cpu("limit-cpu", "Limits"));
  TRYV(cpu("reserve-cpu", "Reservations"));
  TRYV(memory("limit-memory", "Limits"));
  TRYV(memory("reserve-memory", "Reservations"));
  if (a.has("limit-pids"))
    object_at(object_at(task, "Resources"), "Limits")["Pids"] = parse_int(a.get("limit-pids")).value_or(0);
  return {};
}

// What create and update share.
static Result<> apply_flags(const Args& a, JsonObject& spec) {
  JsonObject& task = object_at(spec, "TaskTemplate");
  JsonObject& c = object_at(task, "ContainerSpec");
  for (const auto& [flag, key] : {std::pair{"user", "User"},
                                  {"workdir", "Dir"},
                                  {"hostname", "Hostname"},
                                  {"stop-signal", "StopSignal"}})
    if (a.has(flag)) c[key] = a.get(flag);
  for (const char* flag : {"env", "env-add"})
    for (const auto& e : a.all(flag)) {
      JsonArray& env = array_at(c, "Env");
      const std::string name = e.substr(0, e.find('=') + 1);
      env.erase(
          std::remove_if(env.begin(), env.end(), [&](const Json& old) { return str(old).starts_with(name); }),
          env.end());
      env.push_back(Json(e));
    }
  for (const auto& name : a.all("env-rm")) {
    JsonArray& env = array_at(c, "Env");
    env.erase(std::remove_if(env.begin(), env.end(),
                             [&](const Json& old) { return str(old).starts_with(name + "="); }),
              env.end());
  }
  for (const char* flag : {"constraint", "constraint-add"})
    for (const auto& x : a.all(flag))
      array_at(object_at(task, "Placement"), "Constraints").push_back(Json(x));
  for (const auto& x : a.all("constraint-rm")) {
    JsonArray& list = array_at(object_at(task, "Placement"), "Constraints");
    list.erase(std::remove_if(list.begin(), list.end(), [&](const Json& old) { return str(old) == x; }),
               list.end());
  }
  for (const char* flag : {"publish", "publish-add"})
    for (const auto& p : a.all(flag)) {
      TRY(Json port, parse_port(p));
      array_at(object_at(spec, "EndpointSpec"), "Ports").push_back(std::move(port));
    }
  for (const auto& m : a.all("mount")) {
    TRY(Json mount, parse_mount(m));
    array_at(c, "Mounts").push_back(std::move(mount));
  }
  for (const auto& n : a.all("network")) array_at(task, "Networks").push_back(JsonObject{{"Target", n}});
  for (const auto& l : a.all("label"))
    object_at(spec, "Labels")[l.substr(0, l.find('='))] =
        l.find('=') == std::string::npos ? "" : l.substr(l.find('=') + 1);
  if (a.has("replicas")) {
    const auto n = parse_int(a.get("replicas"));
    if (!n || *n < 0)
      return fail(Code::kInvalid, "invalid argument \"" + a.get("replicas") + "\" for \"--replicas\" flag");
    object_at(object_at(spec, "Mode"), "Replicated")["Replicas"] = *n;
  }
  JsonObject restart;
  if (a.has("restart-condition")) object_at(task, "RestartPolicy")["Condition"] = a.get("restart-condition");
  if (a.has("restart-max-attempts"))
    object_at(task, "RestartPolicy")["MaxAttempts"] = parse_int(a.get("restart-max-attempts")).value_or(0);
  if (a.has("restart-delay"))
    object_at(task, "RestartPolicy")["Delay"] = parse_duration(a.get("restart-delay")).value_or(5s).count();
  if (a.has("stop-grace-period"))
    c["StopGracePeriod"] = parse_duration(a.get("stop-grace-period")).value_or(10s).count();
  if (a.has("health-cmd"))
    object_at(c, "Healthcheck")["Test"] = JsonArray{"CMD-SHELL", Json(a.get("health-cmd"))};
  if (a.has("health-interval"))
    object_at(c, "Healthcheck")["Interval"] = parse_duration(a.get("health-interval")).value_or(30s).count();
  if (a.has("image")) c["Image"] = a.get("image");
  if (a.has("args")) {
    JsonArray words;
    for (const auto& w : split(a.get("args"), ' '))
      if (!w.empty()) words.push_back(Json(w));
    c["Args"] = words;
  }
  if (a.on("force")) task["ForceUpdate"] = parse_int(text_at(Json(task), {"ForceUpdate"})).value_or(0) + 1;
  TRYV(apply_resources(a, task));
  return apply_update_flags(a, spec);
}

// Waits until the service is as wished, telling how far it is.
static int converge(ApiClient& api, const std::string& id) {
  std::string last;
  for (int tries = 0; tries < 3000; ++tries) {
    auto service = get(api, "/services/" + id);
    auto tasks =
        get(api, "/tasks?filters=" + url_encode(dump(JsonObject{{"service", JsonArray{Json(id)}},
                                                                {"_up-to-date", JsonArray{"true"}}})));
    auto nodes = get(api, "/nodes");
    if (!service || !tasks || !nodes)
      return report(!service ? service.error() : !tasks ? tasks.error() : nodes.error());
    const std::string wish = text_at(*service, {"Spec", "Mode", "Replicated", "Replicas"});
    int64_t wanted =
                wish.empty() ? static_cast<int64_t>(nodes->as_array().size()) : parse_int(wish).value_or(0),
            running = 0;
    std::string error;
    for (const auto& t : tasks->as_array()) {
      running += text_at(t, {"Status", "State"}) == "running" && text_at(t, {"DesiredState"}) == "running";
      if (const std::string e = text_at(t, {"Status", "Err"});
          !e.empty() && text_at(t, {"DesiredState"}) == "running")
        error = e;
    }
    const std::string state = text_at(*service, {"UpdateStatus", "State"});
    if (state == "paused" || state == "rollback_paused")
      return report({Code::kInternal, "service " + std::string(state == "paused" ? "update" : "rollback") +
                                          " paused: " + text_at(*service, {"UpdateStatus", "Message"})});
    const std::string line = "overall progress: " + std::to_string(running) + " out of " +
                             std::to_string(wanted) + " tasks" + (error.empty() ? "" : " (" + error + ")");
    if (line != last) std::fprintf(stderr, "%s\n", line.c_str());
    last = line;
    const bool settled = state.empty() || state == "completed" || state == "rollback_completed";
    if (running >= wanted && settled) {
      if (state == "rollback_completed")
        return report(
            {Code::kInternal, "service rolled back: " + text_at(*service, {"UpdateStatus", "Message"})});
      std::fprintf(stderr, "verify: Service %s converged\n", id.c_str());
      return 0;
    }
    ::usleep(100'000);
  }
  return report({Code::kTimeout, "the service did not converge in five minutes"});
}

static int create(ApiClient& api, const Words& words) {
  auto a = parse_flags(words, kSpecFlags, Positionals::kStopAtFirst);
  if (!a) return report(a.error());
  if (a->words.empty())
    return usage(
        "\"panal service create\" requires at least 1 argument.\n\nUsage:  panal service create [OPTIONS] "
        "IMAGE [COMMAND] [ARG...]");
  JsonObject spec{{"Name", a->get("name")}, {"Labels", JsonObject{}}};
  JsonObject& c = object_at(object_at(spec, "TaskTemplate"), "ContainerSpec");
  std::string image = a->words[0];
  // Pinned to what the cluster's nodes hold, so that every node runs the same bytes.
  if (auto known = get(api, "/distribution/" + url_encode(image) + "/json");
      known && image.find('@') == std::string::npos) {
    if (image.rfind(':') == std::string::npos || image.find('/', image.rfind(':')) != std::string::npos)
      image += ":latest";
    image += "@" + text_at(*known, {"Descriptor", "digest"});
  }
  c["Image"] = image;
  JsonArray args;
  for (size_t i = 1; i < a->words.size(); ++i) args.push_back(Json(a->words[i]));
  if (!args.empty()) c["Args"] = args;
  if (a->get("mode", "replicated") == "global")
    object_at(spec, "Mode")["Global"] = JsonObject{};
  else if (a->get("mode", "replicated") != "replicated")
    return report({Code::kUnsupported, "mode " + a->get("mode") + " is not supported yet"});
  if (auto applied = apply_flags(*a, spec); !applied) return report(applied.error());
  auto reply = api.call("POST", "/services/create", dump(spec));
  if (!reply) return report(reply.error());
  auto json = parse_json(*reply);
  const std::string id = json ? text_at(*json, {"ID"}) : "";
  std::puts(id.c_str());
  std::fflush(stdout);
  return a->on("detach") ? 0 : converge(api, id);
}

static int change(ApiClient& api, const std::string& name, bool wait,
                  const std::function<Result<>(JsonObject&)>& edit, const std::string& query = {}) {
  for (int tries = 0; tries < 10; ++tries) {
    auto service = get(api, "/services/" + url_encode(name));
    if (!service) return report(service.error());
    JsonObject spec = service->as_object().at("Spec").as_object();
    if (auto edited = edit(spec); !edited) return report(edited.error());
    auto reply = api.call("POST",
                          "/services/" + url_encode(name) +
                              "/update?version=" + text_at(*service, {"Version", "Index"}) + query,
                          dump(spec));
    if (!reply && reply.error().message.find("out of sequence") != std::string::npos)
      continue;  // somebody was faster: once more on the new spec
    if (!reply) return report(reply.error());
    return wait ? converge(api, text_at(*service, {"ID"})) : 0;
  }
  return report({Code::kConflict, "the service keeps changing"});
}

static std::string task_name(const Json& t, const std::string& service) {
  const std::string slot = text_at(t, {"Slot"});
  return service + "." + (slot.empty() ? text_at(t, {"NodeID"}) : slot);
}

static std::string capital(std::string s) {
  if (!s.empty() && s[0] >= 'a' && s[0] <= 'z') s[0] = static_cast<char>(s[0] - 32);
  return s;
}

static std::string without_digest(const std::string& image) { return image.substr(0, image.find('@')); }

static int list_tasks(ApiClient& api, const Words& words) {
  auto a = parse_flags(words, {{"no-trunc", 0, true}, {"quiet", 'q', true}, {"filter", 'f'}});
  if (!a) return report(a.error());
  if (a->words.empty()) return usage("usage: panal service ps [OPTIONS] SERVICE [SERVICE...]");
  if (a->has("filter"))
    return report({Code::kUnsupported, "--filter is not supported yet by this command line"});
  auto nodes = get(api, "/nodes");
  if (!nodes) return report(nodes.error());
  std::map<std::string, std::string> host;
  for (const auto& n : nodes->as_array()) host[text_at(n, {"ID"})] = text_at(n, {"Description", "Hostname"});
  std::vector<std::vector<std::string>> rows = {
      {"ID", "NAME", "IMAGE", "NODE", "DESIRED STATE", "CURRENT STATE", "ERROR"}};
  for (const auto& name : a->words) {
    auto service = get(api, "/services/" + url_encode(name));
    if (!service) return report(service.error());
    const std::string service_name = text_at(*service, {"Spec", "Name"});
    auto tasks = get(api, "/tasks?filters=" + filters("service", text_at(*service, {"ID"})));
    if (!tasks) return report(tasks.error());
    std::vector<Json> sorted(tasks->as_array().begin(), tasks->as_array().end());
    std::ranges::sort(sorted, [](const Json& x, const Json& y) {
      const auto key = [](const Json& t) {
        return std::tuple(parse_int(text_at(t, {"Slot"})).value_or(0), text_at(t, {"NodeID"}));
      };
      if (text_at(x, {"Slot"}) != text_at(y, {"Slot"})) return key(x) < key(y);
      return text_at(x, {"CreatedAt"}) > text_at(y, {"CreatedAt"});
    });
    std::string last;
    for (const auto& t : sorted) {
      const std::string label = task_name(t, service_name);
      std::string error = text_at(t, {"Status", "Err"});
      if (!error.empty())
        error = a->on("no-trunc") || error.size() <= 30 ? "\"" + error + "\""
                                                        : "\"" + error.substr(0, 29) + "...\"";
      const auto when = parse_rfc3339(text_at(t, {"Status", "Timestamp"}));
      const std::string ago =
          when
              ? human_duration(std::chrono::system_clock::now().time_since_epoch() - when->time_since_epoch())
              : "";
      std::string ago_text = ago;
      if (!ago_text.empty() && ago_text[0] >= 'A' && ago_text[0] <= 'Z')
        ago_text[0] = static_cast<char>(ago_text[0] + 32);
      const std::string id = text_at(t, {"ID"});
      rows.push_back({a->on("no-trunc") ? id : id.substr(0, 12), (label == last ? " \\_ " : "") + label,
                      without_digest(text_at(t, {"Spec", "ContainerSpec", "Image"})),
                      host[text_at(t, {"NodeID"})], capital(text_at(t, {"DesiredState"})),
                      capital(text_at(t, {"Status", "State"})) + " " + ago_text + " ago", error});
      last = label;
    }
  }
  if (a->on("quiet"))
    for (size_t i = 1; i < rows.size(); ++i) std::puts(rows[i][0].c_str());
  else
    print_table(rows);
  return 0;
}

static int list_services(ApiClient& api) {
  auto list = get(api, "/services?status=true");
  if (!list) return report(list.error());
  std::vector<std::vector<std::string>> rows = {{"ID", "NAME", "MODE", "REPLICAS", "IMAGE", "PORTS"}};
  for (const auto& s : list->as_array()) {
    const bool global = !text_at(s, {"Spec", "Mode", "Global"}).empty();
    std::string ports;
    if (auto parsed = parse_json(text_at(s, {"Endpoint", "Ports"})); parsed && parsed->is_array())
      for (const auto& p : parsed->get_array())
        ports += (ports.empty() ? "*:" : ", *:") + text_at(p, {"PublishedPort"}) + "->" +
                 text_at(p, {"TargetPort"}) + "/" + text_at(p, {"Protocol"});
    rows.push_back(
        {text_at(s, {"ID"}).substr(0, 12), text_at(s, {"Spec", "Name"}), global ? "global" : "replicated",
         text_at(s, {"ServiceStatus", "RunningTasks"}) + "/" + text_at(s, {"ServiceStatus", "DesiredTasks"}),
         without_digest(text_at(s, {"Spec", "TaskTemplate", "ContainerSpec", "Image"})), ports});
  }
  std::sort(rows.begin() + 1, rows.end(), [](const auto& x, const auto& y) { return x[1] < y[1]; });
  print_table(rows);
  return 0;
}

// Frames of the multiplexed stream -> stdout and stderr.
static int logs(ApiClient& api, const Words& words) {
  auto a =
      parse_flags(words, {{"follow", 'f', true}, {"tail", 'n'}, {"timestamps", 't', true}, {"raw", 0, true}});
  if (!a) return report(a.error());
  if (a->words.size() != 1) return usage("usage: panal service logs [-f] [--tail N] SERVICE");
  std::map<std::string, std::string> names;
  if (auto tasks = get(api, "/tasks?filters=" + filters("service", a->words[0])))
    for (const auto& t : tasks->as_array())
      names[text_at(t, {"ID"})] = task_name(t, a->words[0]) + "." + text_at(t, {"ID"}).substr(0, 12);
  std::string buffer;
  const auto sink = [&](std::string_view data) {
    buffer += data;
    while (buffer.size() >= 8) {
      const auto* b = reinterpret_cast<const uint8_t*>(buffer.data());
      const size_t size = static_cast<size_t>(b[4]) << 24 | static_cast<size_t>(b[5]) << 16 |
                          static_cast<size_t>(b[6]) << 8 | b[7];
      if (buffer.size() < 8 + size) break;
      std::string line = buffer.substr(8, size);
      FILE* out = b[0] == 2 ? stderr : stdout;
      buffer.erase(0, 8 + size);
      const size_t id = line.find("com.docker.swarm.task.id="),
                   space = line.find(' ', id == std::string::npos ? 0 : id);
      if (!a->on("raw") && id != std::string::npos && space != std::string::npos) {
        const std::string task = line.substr(id + 25, space - id - 25);
        line = (names.contains(task) ? names[task] : task.substr(0, 12)) + "    | " + line.substr(space + 1);
      }
      std::fputs(line.c_str(), out);
      std::fflush(out);
    }
    return true;
  };
  auto done =
      api.stream("GET",
                 "/services/" + url_encode(a->words[0]) +
                     "/logs?stdout=1&stderr=1&details=1&follow=" + (a->on("follow") ? "1" : "0") +
                     "&timestamps=" + (a->on("timestamps") ? "1" : "0") + "&tail=" + a->get("tail", "all"),
                 "", sink);
  return done ? 0 : report(done.error());
}

int service_command(ApiClient& api, const Words& words) {
  const std::string verb = words.empty() ? "" : words[0];
  const Words rest(words.begin() + (words.empty() ? 0 : 1), words.end());
  if (verb == "create") return create(api, rest);
  if (verb == "ls") return list_services(api);
  if (verb == "ps") return list_tasks(api, rest);
  if (verb == "logs") return logs(api, rest);
  if (verb == "rm") {
    int status = 0;
    for (const auto& name : rest) {
      auto done = api.call("DELETE", "/services/" + url_encode(name));
      if (!done)
        status = report(done.error());
      else
        std::puts(name.c_str());
    }
    return status;
  }
  if (verb == "scale") {
    auto a = parse_flags(rest, {{"detach", 'd', true}});
    if (!a) return report(a.error());
    int status = 0;
    for (const auto& wish : a->words) {
      const size_t equals = wish.find('=');
      const auto count = equals == std::string::npos ? std::nullopt : parse_int(wish.substr(equals + 1));
      if (!count || *count < 0)
        return usage("invalid scale specifier '" + wish + "': must be of the form SERVICE=REPLICAS");
      const std::string name = wish.substr(0, equals);
      const auto edit = [&](JsonObject& spec) -> Result<> {
        if (object_at(spec, "Mode").contains("Global"))
          return fail(Code::kInvalid,
                      name + ": scale can only be used with replicated or replicated-job mode");
        object_at(object_at(spec, "Mode"), "Replicated")["Replicas"] = *count;
        return {};
      };
      std::printf("%s scaled to %lld\n", name.c_str(), static_cast<long long>(*count));
      std::fflush(stdout);
      status |= change(api, name, !a->on("detach"), edit);
    }
    return status;
  }
  if (verb == "update") {
    auto a = parse_flags(rest, kSpecFlags);
    if (!a) return report(a.error());
    if (a->words.size() != 1) return usage("usage: panal service update [OPTIONS] SERVICE");
    const auto edit = [&](JsonObject& spec) { return apply_flags(*a, spec); };
    std::puts(a->words[0].c_str());
    std::fflush(stdout);
    return change(api, a->words[0], !a->on("detach"), edit, a->on("rollback") ? "&rollback=previous" : "");
  }
  return usage("usage: panal service create|ls|ps|logs|scale|update|rm");
}

}  // namespace panal
