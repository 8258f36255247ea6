#include "api/api.h"

#include <re2/re2.h>

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

namespace panal {

Result<WallTime> parse_moment(const std::string& text, WallTime now) {
  const auto moment = parse_timestamp(text, now);
  if (!moment) return fail(Code::kInvalid, "failed to parse value as time or duration: \"" + text + "\"");
  return *moment;
}

std::string error_json(std::string_view message) { return dump(JsonObject{{"message", message}}) + "\n"; }

Api::Api(ApiParts parts) : parts_(std::move(parts)) {
  add_system_routes(*this);
  add_event_routes(*this);
  add_disk_usage_routes(*this);
  add_container_routes(*this);
  add_container_stream_routes(*this);
  add_container_log_routes(*this);
  add_container_stats_routes(*this);
  add_exec_routes(*this);
  add_file_routes(*this);
  add_image_routes(*this);
  add_image_transfer_routes(*this);
  add_search_routes(*this);
  add_network_routes(*this);
  add_volume_routes(*this);
  if (parts_.swarm) {
    add_swarm_routes(*this);
    add_service_routes(*this);
  }
  add_build_routes(*this);
  add_refused_routes(*this);
}

void Api::route(std::string method, std::string pattern, Handler handler) {
  routes_.push_back({std::move(method), split(pattern.substr(1), '/'), std::move(handler)});
}

const Api::Route* Api::match(const std::string& method, const std::string& path,
                             std::vector<std::string>& args) const {
  const auto words = split(std::string_view(path).substr(1), '/');
  for (const auto& route : routes_) {
    std::vector<std::string> found;
    size_t w = 0;
    bool ok = true;
    for (size_t p = 0; p < route.parts.size() && ok; ++p) {
      if (route.parts[p] == "{*}") {  // takes as many words as leave enough for the rest of the pattern
        const size_t rest = route.parts.size() - p - 1;
        if (words.size() < w + rest + 1) {
          ok = false;
          break;
        }
        const size_t take = words.size() - w - rest;
        std::vector<std::string> taken(words.begin() + static_cast<long>(w),
                                       words.begin() + static_cast<long>(w + take));
        found.push_back(join(taken, "/"));
        w += take;
      } else if (w >= words.size()) {
        ok = false;
      } else if (route.parts[p] == "{}") {
        ok = !words[w].empty();
        found.push_back(words[w++]);
      } else {
        ok = route.parts[p] == words[w++];
      }
    }
    if (!ok || w != words.size()) continue;
    if (route.method != method && !(method == "HEAD" && route.method == "GET")) continue;
    args = std::move(found);
    return &route;
  }
  return nullptr;
}

// "1.43" -> 1043; 0 when it is not a version.
static int version_number(const std::string& text) {
  const auto parts = split(text, '.');
  if (parts.size() != 2) return 0;
  const auto major = parse_int(parts[0]), minor = parse_int(parts[1]);
  return major && minor && *minor < 1000 ? static_cast<int>(*major * 1000 + *minor) : 0;
}

int api_minor(const HttpRequest& request) {
  return version_number(request.api_version.empty() ? kApiVersion : request.api_version) % 1000;
}

Task<void> Api::handle(HttpExchange& http) {
  const HttpRequest& request = http.request();
  log::debug("msg=\"calling\" method={} path=\"{}\" version={} remote={}", request.method, request.path,
             request.api_version, request.remote);
  if (!request.api_version.empty()) {
    const int version = version_number(request.api_version);
    if (version < version_number(kMinApiVersion)) {
      co_await http.reply(400, error_json("client version " + request.api_version +
                                          " is too old. Minimum supported API version is " + kMinApiVersion +
                                          ", please upgrade your client to a newer version"));
      co_return;
    }
    if (version > version_number(kApiVersion)) {
      co_await http.reply(400, error_json("client version " + request.api_version +
                                          " is too new. Maximum supported API version is " + kApiVersion));
      co_return;
    }
  }
  Call call{http, {}};
  const Route* route = match(request.method, request.path, call.args);
  if (!route) {
    if (request.method == "OPTIONS")
      co_await http.reply(200, "");
    else
      co_await http.reply(404, error_json("page not found"));  // Docker's answer to a wrong method, too
    co_return;
  }
  auto done = co_await route->handler(call);
  if (done) {
    if (!http.started()) co_await http.reply(204, "");
    co_return;
  }
  const Error& error = done.error();
  if ((http_status(error.code) >= 500 || http.started()) && error.code != Code::kCancelled && !http.closed())
    log::warn("msg=\"request failed\" method={} path={} error=\"{}\"", request.method, request.path,
              error.message);
  if (http.started()) co_return;
  if (error.code == Code::kNotModified)
    co_await http.reply(304, "");
  else
    co_await http.reply(http_status(error.code), error_json(error.message));
}

Result<Filters> Filters::parse(const HttpRequest& request, std::initializer_list<std::string_view> known) {
  Filters out;
  const std::string text = request.param("filters");
  if (text.empty()) return out;
  auto parsed = parse_json(text);
  if (!parsed || !parsed->is_object()) return fail(Code::kInvalid, "invalid filters: not a JSON object");
  for (const auto& [key, value] : parsed->get_object()) {
    const std::string name(key);
    if (std::ranges::find(known, std::string_view(name)) == known.end())
      return fail(Code::kInvalid, "invalid filter '" + name + "'");
    auto& list = out.values_[name];
    if (value.is_array()) {
      for (const auto& v : value.get_array()) list.push_back(str(v));
    } else if (value.is_object()) {
      for (const auto& [v, on] : value.get_object())
        if (!on.is_bool() || on.get_bool()) list.emplace_back(v);
    } else {
      return fail(Code::kInvalid, "invalid filter '" + name + "'");
    }
    if (list.empty()) out.values_.erase(name);  // nothing asked for
  }
  return out;
}

const std::vector<std::string>& Filters::get(const std::string& key) const {
  static const std::vector<std::string> kNone;
  auto it = values_.find(key);
  return it == values_.end() ? kNone : it->second;
}
bool Filters::exact(const std::string& key, const std::string& value) const {
  return !has(key) || std::ranges::find(get(key), value) != get(key).end();
}
bool Filters::matches(const std::string& key, const std::string& value) const {
  return any(key, [&](const std::string& pattern) {
    auto& compiled = patterns_[pattern];  // once for a list, not for each of what it holds
    if (!compiled) {
      RE2::Options options(RE2::Quiet);
      options.set_max_mem(1 << 20);
      compiled = std::make_shared<RE2>(pattern, options);
    }
    return compiled->ok() && RE2::PartialMatch(value, *compiled);
  });
}
bool Filters::any(const std::string& key, const std::function<bool(const std::string&)>& test) const {
  return !has(key) || std::ranges::any_of(get(key), test);
}
static bool has_label(const std::string& wanted, const std::map<std::string, std::string>& have) {
  const size_t equals = wanted.find('=');
  auto it = have.find(wanted.substr(0, equals));
  return it != have.end() && (equals == std::string::npos || it->second == wanted.substr(equals + 1));
}
bool Filters::labels(const std::string& key, const std::map<std::string, std::string>& have) const {
  return std::ranges::all_of(get(key), [&](const std::string& wanted) { return has_label(wanted, have); });
}
Result<std::optional<bool>> Filters::boolean(const std::string& key) const {
  if (!has(key)) return std::optional<bool>();
  const bool yes = exact(key, "true") || exact(key, "1"), no = exact(key, "false") || exact(key, "0");
  if (yes == no) return fail(Code::kInvalid, "invalid filter '" + key + "=[" + join(get(key), " ") + "]'");
  return std::optional<bool>(yes);
}
Result<std::optional<WallTime>> Filters::until(WallTime now) const {
  if (!has("until")) return std::optional<WallTime>();
  if (get("until").size() > 1) return fail(Code::kInvalid, "more than one until filter specified");
  TRY(const WallTime moment, parse_moment(get("until")[0], now));
  return std::optional<WallTime>(moment);
}
bool Filters::any_label(const std::string& key, const std::map<std::string, std::string>& have) const {
  return std::ranges::any_of(get(key), [&](const std::string& wanted) { return has_label(wanted, have); });
}

}  // namespace panal
