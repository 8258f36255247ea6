// GET /events: what happened since a moment, then what happens, as Docker's filters ask.
#include <algorithm>

#include "api/api.h"
#include "base/json.h"
#include "base/text.h"

namespace panal {

static Json event_json(const EngineEvent& e) {
  JsonObject attributes;
  for (const auto& [key, value] : e.attributes) attributes[key] = value;
  JsonObject out;
  if (e.type == "container" || e.type == "image") out["status"] = e.action, out["id"] = e.id;
  if (e.type == "container") {
    auto it = e.attributes.find("image");
    if (it != e.attributes.end()) out["from"] = it->second;
  }
  out["Type"] = e.type, out["Action"] = e.action,
  out["Actor"] = JsonObject{{"ID", e.id}, {"Attributes", attributes}}, out["scope"] = e.scope;
  out["time"] = e.time.time_since_epoch() / 1s, out["timeNano"] = e.time.time_since_epoch().count();
  return out;
}

static bool wanted(const Filters& f, const EngineEvent& e) {
  const auto name = e.attributes.find("name");
  const auto by_kind = [&](const std::string& kind) {
    return f.any(kind, [&](const std::string& v) {
      return e.type == kind &&
             (e.id.starts_with(v) || (name != e.attributes.end() && name->second.starts_with(v)));
    });
  };
  for (const char* kind :
       {"container", "volume", "network", "service", "node", "secret", "config", "daemon", "plugin"})
    if (!by_kind(kind)) return false;
  // An image is named with its tag or without.
  const auto attribute = e.attributes.find(e.type == "image" ? "name" : "image");
  const std::string image = attribute == e.attributes.end() ? "" : attribute->second;
  const auto untagged = [](const std::string& text) {
    const size_t colon = text.rfind(':');
    return colon == std::string::npos || text.find('/', colon) != std::string::npos ? text
                                                                                    : text.substr(0, colon);
  };
  const bool image_fits = f.any("image", [&](const std::string& v) {
    return v == e.id || v == image || (e.type == "image" && v == untagged(e.id)) || v == untagged(image);
  });
  return f.exact("type", e.type) && f.exact("scope", e.scope) && image_fits &&
         f.labels("label", e.attributes) &&
         f.any("event", [&](const std::string& v) { return e.action == v || e.action.starts_with(v + ":"); });
}

static Task<Result<>> events(Api& api, Call& call) {
  ApiParts& p = api.parts();
  CO_TRY(
      const Filters filters,
      Filters::parse(call.request(), {"container", "event", "image", "label", "type", "volume", "network",
                                      "scope", "service", "node", "secret", "config", "daemon", "plugin"}));
  const WallTime now = p.loop.wall_now();
  std::optional<WallTime> since, until;
  for (auto [name, into] : {std::pair{"since", &since}, {"until", &until}}) {
    const std::string text = call.request().param(name);
    if (text.empty()) continue;
    CO_TRY(*into, parse_moment(text, now));
  }
  uint64_t at = since || until ? p.events.oldest() : p.events.next();
  if (since && until && *since > *until)
    co_return fail(Code::kInvalid, "`since` time (" + call.request().param("since") +
                                       ") cannot be after `until` time (" + call.request().param("until") +
                                       ")");
  const Events::Listening listening(p.events);
  call.http.on_close([&p] { p.events.changed().notify(p.loop); });
  CO_TRYV(co_await call.http.begin(200, "application/json"));
  while (!call.http.closed()) {
    if (at < p.events.oldest())
      co_return fail(Code::kCancelled,
                     "the reader is too slow: events were lost");  // cut, not silently skipped
    while (at < p.events.next() && !call.http.closed()) {
      const EngineEvent e = p.events.at(at++);
      if ((since && e.time < *since) || (until && e.time > *until) || !wanted(filters, e)) continue;
      CO_TRYV(co_await call.http.write(dump(event_json(e)) + "\n"));
      if (at < p.events.oldest()) break;
    }
    std::optional<Duration> left;
    if (until) {
      if (p.loop.wall_now() >= *until) break;
      left = *until - p.loop.wall_now();
    }
    if (at == p.events.next()) (void)co_await p.events.changed().wait(p.loop, left);
  }
  co_return co_await call.http.end();
}

void add_event_routes(Api& api) {
  api.route("GET", "/events", [&api](Call& c) { return events(api, c); });
}

}  // namespace panal
