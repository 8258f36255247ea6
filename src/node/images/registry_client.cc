#include "node/images/registry_client.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"

namespace panal {

std::string call_text(const std::string& method, const std::string& url) {
  std::string verb = lower(method);
  if (!verb.empty()) verb[0] = static_cast<char>(verb[0] - 'a' + 'A');
  return verb + " \"" + url + "\"";
}

Task<std::vector<RegistryEndpoint>> RegistryClient::endpoints(std::string domain, bool with_mirrors) {
  std::vector<std::string> addresses;
  const bool networks = std::ranges::any_of(
      options_.insecure_registries, [](const std::string& e) { return e.find('/') != std::string::npos; });
  if (networks && domain != "docker.io") addresses = co_await http_.resolve(host_part(domain));
  co_return registry_endpoints(options_, domain, addresses, with_mirrors);
}

Task<Result<>> RegistryClient::on_endpoints(ImageRef ref, bool push, RegistryAuth auth,
                                            std::shared_ptr<Halt> halt,
                                            std::function<Task<Result<>>(RegistrySession&)> work) {
  const auto list = co_await endpoints(ref.domain, !push);
  Result<> last = fail(Code::kInternal, "no endpoint for " + ref.domain);
  for (const auto& endpoint : list) {
    RegistrySession session{
        endpoint, ref.path, {repository_scope(ref.path, push)}, endpoint.mirror ? RegistryAuth{} : auth,
        halt,     ""};
    auto done = co_await work(session);
    if (done || halt->halted()) co_return done;
    log::debug("msg=\"registry endpoint\" url={} image={} error=\"{}\"", endpoint.url, ref.familiar(),
               done.error().message);
    const bool answered = done.error().code != Code::kUnavailable;
    last = std::move(done);
    if (answered && !endpoint.mirror) break;
  }
  co_return last;
}

Task<Result<>> RegistryClient::authorize(RegistrySession& session, std::string header, std::string call,
                                         bool offline, std::string* refresh) {
  const RegistryAuth& auth = session.auth;
  const std::string basic = "Basic " + base64(auth.username + ":" + auth.password);
  if (!auth.registry_token.empty()) {
    session.authorization = "Bearer " + auth.registry_token;
    co_return Result<>{};
  }
  for (const auto& challenge : parse_challenges(header)) {
    if (challenge.scheme == "basic") {
      if (auth.username.empty()) co_return fail(Code::kUnauthorized, call + ": no basic auth credentials");
      session.authorization = basic;
      co_return Result<>{};
    }
    if (challenge.scheme != "bearer") continue;
    CO_TRY(const TokenRequest wanted, token_request(challenge, session.scopes, auth, offline));
    HttpCall ask{.method = wanted.form.empty() ? "GET" : "POST",
                 .url = wanted.url,
                 .body = wanted.form,
                 .limit_bytes = kMaxToken,
                 .skip_verify = session.endpoint.skip_verify,
                 .halt = session.halt};
    if (origin_of(wanted.url) == origin_of(session.endpoint.url)) ask.certs_dir = session.endpoint.certs_dir;
    if (!wanted.form.empty()) ask.headers["Content-Type"] = "application/x-www-form-urlencoded";
    if (wanted.with_basic) ask.headers["Authorization"] = basic;
    const std::string token_call = call_text(ask.method, wanted.url);
    auto answer = co_await http_.exchange(std::move(ask));
    if (!answer) co_return std::unexpected(wrap(token_call, answer.error()));
    if (answer->status != 200)
      co_return std::unexpected(registry_error(answer->status, answer->body, token_call));
    CO_TRY(const RegistryToken token, parse_token(answer->body));
    session.authorization = "Bearer " + token.access;
    if (refresh) *refresh = token.refresh;
    co_return Result<>{};
  }
  co_return fail(Code::kUnauthorized, call + ": unauthorized: authentication required");
}

Task<Result<HttpAnswer>> RegistryClient::call(RegistrySession& session, HttpCall call, int attempts) {
  const std::string text = call_text(call.method, call.url);
  const bool ours =
      origin_of(call.url) == origin_of(session.endpoint.url);  // credentials are for nobody else
  call.skip_verify = session.endpoint.skip_verify && ours,
  call.certs_dir = ours ? session.endpoint.certs_dir : "", call.halt = session.halt;
  bool proven = false;
  for (int attempt = 1;; ++attempt) {
    HttpCall once = call;
    if (ours && !session.authorization.empty()) once.headers["Authorization"] = session.authorization;
    auto answer = co_await http_.exchange(std::move(once));
    if (!answer && (answer.error().code == Code::kUnavailable || answer.error().code == Code::kForbidden))
      co_return fail(Code::kUnavailable,
                     call_text("GET", session.endpoint.url + "/v2/") + ": " + answer.error().message);
    if (!answer && answer.error().code != Code::kTimeout)
      co_return std::unexpected(answer.error().code == Code::kCancelled ? answer.error()
                                                                        : wrap(text, answer.error()));
    if (answer && answer->status == 401 && ours && !proven) {
      proven = true;
      auto header = answer->headers.find("www-authenticate");
      CO_TRYV(co_await authorize(session, header == answer->headers.end() ? "" : header->second, text, false,
                                 nullptr));
      continue;
    }
    if (answer && answer->status == 401 &&
        answer->headers["www-authenticate"].find("insufficient_scope") != std::string::npos)
      answer->body =
          R"({"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]})";
    const bool busy = answer && (answer->status == 429 || answer->status == 502 || answer->status == 503 ||
                                 answer->status == 504);
    if (answer && !busy) co_return answer;
    if (attempt >= attempts) {
      if (answer) co_return answer;
      co_return std::unexpected(wrap(text, answer.error()));
    }
    co_await loop_.sleep(500ms * (1 << std::min(attempt, 4)));
    if (session.halt->halted()) co_return fail(Code::kCancelled, "context canceled");
  }
}

Task<Result<FetchedManifest>> RegistryClient::manifest(RegistrySession& session, std::string reference,
                                                       int64_t size) {
  const bool by_digest = reference.starts_with("sha256:");
  HttpCall get{.url = session.url("/manifests/" + reference),
               .headers = {{"Accept", kManifestTypes}},
               .limit_bytes = size >= 0 ? std::min(size, kMaxManifest) : kMaxManifest};
  const std::string text = call_text(get.method, get.url);
  CO_TRY(auto answer, co_await call(session, std::move(get)));
  if (answer.status != 200) co_return std::unexpected(registry_error(answer.status, answer.body, text));
  FetchedManifest out{std::move(answer.body), "", ""};
  out.digest = sha256(out.text);
  if (by_digest && out.digest != reference)
    co_return fail(Code::kInvalid, "manifest verification failed for digest " + reference);
  out.media_type = manifest_media_type(out.text);
  co_return out;
}

Task<Result<std::string>> RegistryClient::config(RegistrySession& session, std::string digest, int64_t size) {
  if (size > kMaxConfig)
    co_return fail(Code::kTooLarge,
                   "image config " + digest + " is larger than " + std::to_string(kMaxConfig) + " bytes");
  HttpCall get{.url = session.url("/blobs/" + digest), .limit_bytes = kMaxConfig};
  const std::string text = call_text(get.method, get.url);
  CO_TRY(auto answer, co_await call(session, std::move(get)));
  if (answer.status != 200) co_return std::unexpected(registry_error(answer.status, answer.body, text));
  if (sha256(answer.body) != digest)
    co_return fail(Code::kInvalid, "image config verification failed for digest " + digest);
  co_return std::move(answer.body);
}

Task<Result<std::vector<std::string>>> RegistryClient::tags(RegistrySession& session) {
  static constexpr size_t kMaxTags = 10'000;
  std::vector<std::string> out;
  std::string url = session.url("/tags/list");
  while (!url.empty() && out.size() < kMaxTags) {
    HttpCall get{.url = url, .limit_bytes = kMaxManifest};
    CO_TRY(auto answer, co_await call(session, std::move(get)));
    if (answer.status != 200)
      co_return std::unexpected(registry_error(answer.status, answer.body, call_text("GET", url)));
    CO_TRY(const auto page, parse_tags(answer.body));
    out.insert(out.end(), page.begin(), page.end());
    // RFC 8288: <URL>; rel="next"
    const std::string link = answer.headers["link"];
    const size_t begin = link.find('<'), end = link.find('>');
    const bool next = begin != std::string::npos && end != std::string::npos && begin < end &&
                      link.find("next", end) != std::string::npos;
    const std::string before =
        std::exchange(url, next ? resolve_location(url, link.substr(begin + 1, end - begin - 1)) : "");
    if (page.empty() || url == before || origin_of(url) != origin_of(session.endpoint.url)) break;
  }
  co_return out;
}

Task<Result<std::vector<SearchHit>>> RegistryClient::search(SearchTerm term, int limit, RegistryAuth auth,
                                                            std::shared_ptr<Halt> halt) {
  auto list = co_await endpoints(term.index, false);
  if (term.index == "docker.io") list = {{"https://index.docker.io"}};
  Result<HttpAnswer> answer = fail(Code::kInternal, "no endpoint for " + term.index);
  for (const auto& endpoint : list) {
    RegistrySession session{endpoint, "", {"registry:catalog:search"}, auth, halt, ""};
    if (!auth.username.empty() && auth.identity_token.empty())
      session.authorization = "Basic " + base64(auth.username + ":" + auth.password);
    HttpCall get{
        .url = add_query(add_query(endpoint.url + "/v1/search", "q", term.term), "n", std::to_string(limit)),
        .headers = {{"X-Docker-Token", "true"}},
        .limit_bytes = kMaxSearch};
    answer = co_await call(session, std::move(get), 1);
    if (answer || answer.error().code != Code::kUnavailable) break;
  }
  if (!answer) co_return std::unexpected(answer.error());
  if (answer->status != 200)
    co_return fail(answer->status == 401 ? Code::kUnauthorized : Code::kInternal,
                   "Unexpected status code " + std::to_string(answer->status));
  co_return parse_search_hits(answer->body, limit);
}

Task<Result<RegistryLogin>> RegistryClient::login(RegistryAuth auth, std::shared_ptr<Halt> halt) {
  std::string server = auth.server_address;
  if (server.empty() || server.find("index.docker.io") != std::string::npos) server = "docker.io";
  if (const size_t scheme = server.find("://"); scheme != std::string::npos)
    server = server.substr(scheme + 3);
  server = server.substr(0, server.find('/'));
  const auto list = co_await endpoints(server, false);
  Result<RegistryLogin> last = fail(Code::kInternal, "no endpoint for " + server);
  for (const auto& endpoint : list) {
    RegistrySession session{endpoint, "", {}, auth, halt, ""};
    last = co_await login_at(session);
    if (last || last.error().code != Code::kUnavailable) break;
  }
  co_return last;
}

Task<Result<RegistryLogin>> RegistryClient::login_at(RegistrySession& session) {
  const std::string url = session.endpoint.url + "/v2/", text = call_text("GET", url);
  RegistryLogin out{"Login Succeeded", ""};
  HttpCall ping{.url = url,
                .skip_verify = session.endpoint.skip_verify,
                .certs_dir = session.endpoint.certs_dir,
                .halt = session.halt};
  auto answer = co_await http_.exchange(ping);
  if (answer && answer->status == 401) {
    auto proven =
        co_await authorize(session, answer->headers["www-authenticate"], text, true, &out.identity_token);
    if (!proven) co_return std::unexpected(proven.error());
    ping.headers["Authorization"] = session.authorization;
    answer = co_await http_.exchange(ping);
  }
  if (!answer) co_return std::unexpected(wrap(text, answer.error()));
  if (answer->status == 200) co_return out;
  const std::string status = answer->status == 401 ? "401 Unauthorized" : std::to_string(answer->status);
  co_return fail(answer->status == 401 ? Code::kUnauthorized : Code::kInternal,
                 "login attempt to " + url + " failed with status: " + status);
}

}  // namespace panal
