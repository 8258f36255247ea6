#include "node/images/registry_client.h"

#include <deque>

#include "base/text.h"
#undef CHECK
#include <doctest/doctest.h>

namespace panal {

namespace {

struct QueueLoop final : Loop {
  MonoTime time{};
  std::deque<std::function<void()>> queue;
  MonoTime now() const override { return time; }
  WallTime wall_now() const override { return {}; }
  void post(std::function<void()> fn) override { queue.push_back(std::move(fn)); }
  TimerId call_at(MonoTime when, std::function<void()> fn) override {
    time = std::max(time, when);
    queue.push_back(std::move(fn));
    return 1;
  }
  void cancel(TimerId) override {}
  void offload(std::function<void()> work, std::function<void()> done, Lane) override {
    work(), queue.push_back(std::move(done));
  }
};

/// Answers as the test says, and remembers what it was asked.
struct Script final : HttpClient {
  std::function<Result<HttpAnswer>(const HttpCall&)> answer;
  std::vector<HttpCall> calls;
  Task<Result<HttpAnswer>> exchange(HttpCall call) override {
    calls.push_back(call);
    co_return answer(call);
  }
  Task<std::vector<std::string>> resolve(std::string) override { co_return std::vector<std::string>{}; }
};

std::string authorization(const HttpCall& call) {
  auto it = call.headers.find("Authorization");
  return it == call.headers.end() ? "" : it->second;
}

HttpAnswer unauthorized(std::string challenge) {
  return {.status = 401, .headers = {{"www-authenticate", std::move(challenge)}}};
}

struct Fixture {
  QueueLoop loop;
  Script http;
  RegistryClient client{loop, http, {.registry_mirrors = {"https://mirror.test"}}};
  std::shared_ptr<Halt> halt = std::make_shared<Halt>();
  RegistrySession session{{"https://host.test"}, "a/b", {"repository:a/b:pull"}, {}, halt, ""};

  Fixture() {
    client.sha256 = [](std::string_view text) { return "sha256:" + std::string(text); };
  }
  template <class T>
  T run(Task<T> task) {
    std::optional<T> result;
    Scope scope;
    auto keep = [&](Task<T> t) -> Task<void> { result.emplace(co_await std::move(t)); };
    scope.spawn(keep(std::move(task)));
    while (!loop.queue.empty()) {
      auto next = std::move(loop.queue.front());
      loop.queue.pop_front();
      next();
    }
    REQUIRE(result.has_value());
    return std::move(*result);
  }
  Result<HttpAnswer> get(const std::string& url) { return run(client.call(session, {.url = url})); }
};

}  // namespace

TEST_CASE("a token is fetched when it is asked for, kept, and fetched again when it is old") {
  Fixture f;
  int tokens = 0;
  std::string good = "Bearer t1";
  f.http.answer = [&](const HttpCall& c) -> Result<HttpAnswer> {
    if (c.url.starts_with("https://auth.test/"))
      return HttpAnswer{.status = 200, .body = "{\"token\":\"t" + std::to_string(++tokens) + "\"}"};
    if (authorization(c) != good)
      return unauthorized("Bearer realm=\"https://auth.test/token\",service=\"s\"");
    return HttpAnswer{.status = 200};
  };
  CHECK(f.get("https://host.test/v2/a/b/x")->status == 200);
  CHECK(f.get("https://host.test/v2/a/b/y")->status == 200);
  CHECK(tokens == 1);
  CHECK(lower(f.http.calls[1].url) == "https://auth.test/token?service=s&scope=repository%3aa%2fb%3apull");
  CHECK(authorization(f.http.calls[1]).empty());
  good = "Bearer t2";
  CHECK(f.get("https://host.test/v2/a/b/z")->status == 200);
  CHECK(tokens == 2);
  good = "nothing will do";
  CHECK(f.get("https://host.test/v2/a/b/z")->status == 401);
  CHECK(tokens == 3);
}

TEST_CASE("credentials are shown to the registry and its token server, and to nobody else") {
  Fixture f;
  f.session.auth = {.username = "me", .password = "secret"};
  const std::string basic = "Basic " + base64("me:secret");
  f.http.answer = [&](const HttpCall& c) -> Result<HttpAnswer> {
    return authorization(c) == basic ? HttpAnswer{.status = 200} : unauthorized("Basic realm=\"r\"");
  };
  CHECK(f.get("https://host.test/v2/a/b/x")->status == 200);
  CHECK(f.get("https://other.test/upload")->status == 401);
  CHECK(f.get("http://host.test/v2/a/b/x")->status == 401);
  for (const auto& c : f.http.calls)
    CHECK((authorization(c).empty() || c.url.starts_with("https://host.test/")));
  f.session.auth = {}, f.session.authorization = "";
  const auto refused = f.get("https://host.test/v2/a/b/x");
  CHECK(refused.error().message == "Get \"https://host.test/v2/a/b/x\": no basic auth credentials");
}

TEST_CASE("what the token does not allow is denied") {
  Fixture f;
  f.http.answer = [&](const HttpCall& c) -> Result<HttpAnswer> {
    if (c.url.starts_with("https://auth.test/")) return HttpAnswer{.status = 200, .body = R"({"token":"t"})"};
    return unauthorized(std::string("Bearer realm=\"https://auth.test/token\"") +
                        (authorization(c).empty() ? "" : ",error=\"insufficient_scope\""));
  };
  const auto answer = f.get("https://host.test/v2/a/b/x");
  REQUIRE(answer);
  CHECK(registry_error(answer->status, answer->body, "").message ==
        "denied: requested access to the resource is denied");
}

TEST_CASE("a busy registry is asked again, a few times; a broken connection too") {
  Fixture f;
  int left = 2;
  f.http.answer = [&](const HttpCall&) -> Result<HttpAnswer> {
    if (left-- > 0) return HttpAnswer{.status = 503};
    return HttpAnswer{.status = 200};
  };
  CHECK(f.get("https://host.test/v2/")->status == 200);
  left = 100;
  CHECK(f.get("https://host.test/v2/")->status == 503);
  CHECK(left == 96);
  f.http.calls.clear();
  f.http.answer = [&](const HttpCall&) -> Result<HttpAnswer> {
    return fail(Code::kTimeout, "unexpected EOF");
  };
  CHECK(f.get("https://host.test/v2/").error().message == "Get \"https://host.test/v2/\": unexpected EOF");
  CHECK(f.http.calls.size() == 4);
}

TEST_CASE(
    "the next endpoint is asked when one cannot be reached, after a mirror always, after an answer never") {
  Fixture f;
  std::vector<std::string> asked;
  Code said = Code::kUnavailable;
  const auto ask = [&](const std::string& domain) {
    asked.clear();
    std::function<Task<Result<>>(RegistrySession&)> work = [&](RegistrySession& s) -> Task<Result<>> {
      asked.push_back(s.endpoint.url + (s.auth.empty() ? "" : " as " + s.auth.username));
      co_return fail(said, "no");
    };
    return f.run(
        f.client.on_endpoints({domain, "library/a", "1", ""}, false, {.username = "me"}, f.halt, work));
  };
  (void)ask("docker.io");
  CHECK(asked == std::vector<std::string>{"https://mirror.test", "https://registry-1.docker.io as me"});
  (void)ask("localhost:5000");
  CHECK(asked == std::vector<std::string>{"https://localhost:5000 as me", "http://localhost:5000 as me"});
  said = Code::kNotFound;
  (void)ask("docker.io");
  CHECK(asked.size() == 2);
  CHECK(ask("localhost:5000").error().code == Code::kNotFound);
  CHECK(asked.size() == 1);
  f.halt->halt();
  (void)ask("docker.io");
  CHECK(asked.size() == 1);
}

TEST_CASE("a manifest by digest is what its digest says") {
  Fixture f;
  const std::string text = R"({"schemaVersion":2,"manifests":[]})";
  f.http.answer = [&](const HttpCall&) -> Result<HttpAnswer> {
    return HttpAnswer{.status = 200, .body = text};
  };
  const auto by_tag = f.run(f.client.manifest(f.session, "latest"));
  REQUIRE(by_tag);
  CHECK(by_tag->digest == "sha256:" + text);
  CHECK(by_tag->media_type == "application/vnd.oci.image.index.v1+json");
  CHECK(f.run(f.client.manifest(f.session, "sha256:" + text)));
  CHECK(f.run(f.client.manifest(f.session, "sha256:other")).error().message ==
        "manifest verification failed for digest sha256:other");
  CHECK(f.run(f.client.config(f.session, "sha256:other", 10)).error().message ==
        "image config verification failed for digest sha256:other");
  CHECK(f.run(f.client.config(f.session, "sha256:other", 100 << 20)).error().code == Code::kTooLarge);
}

TEST_CASE("tags come page by page, from one registry only") {
  Fixture f;
  f.http.answer = [&](const HttpCall& c) -> Result<HttpAnswer> {
    if (c.url.ends_with("/tags/list"))
      return HttpAnswer{.status = 200,
                        .headers = {{"link", "</v2/a/b/tags/list?last=2>; rel=\"next\""}},
                        .body = R"({"tags":["1","2"]})"};
    return HttpAnswer{.status = 200,
                      .headers = {{"link", "<https://elsewhere.test/x>; rel=\"next\""}},
                      .body = R"({"tags":["3"]})"};
  };
  CHECK(f.run(f.client.tags(f.session)).value() == std::vector<std::string>{"1", "2", "3"});
  CHECK(f.http.calls.size() == 2);
}

TEST_CASE("login") {
  Fixture f;
  const std::string basic = "Basic " + base64("me:secret");
  f.http.answer = [&](const HttpCall& c) -> Result<HttpAnswer> {
    if (c.url.starts_with("https://auth.test/"))
      return authorization(c) == basic
                 ? HttpAnswer{.status = 200, .body = R"({"token":"t","refresh_token":"r"})"}
                 : HttpAnswer{.status = 401};
    return authorization(c) == "Bearer t" ? HttpAnswer{.status = 200}
                                          : unauthorized("Bearer realm=\"https://auth.test/token\"");
  };
  const auto good = f.run(f.client.login(
      {.username = "me", .password = "secret", .server_address = "https://index.docker.io/v1/"}, f.halt));
  REQUIRE(good);
  CHECK(good->status == "Login Succeeded");
  CHECK(good->identity_token == "r");
  CHECK(f.http.calls[0].url == "https://registry-1.docker.io/v2/");
  CHECK(f.run(f.client.login({.username = "me", .password = "wrong", .server_address = "host.test"}, f.halt))
            .error()
            .code == Code::kUnauthorized);
}

TEST_CASE("search asks the term's index, as whom it is told") {
  Fixture f;
  f.http.answer = [&](const HttpCall& c) -> Result<HttpAnswer> {
    if (c.url.starts_with("https://auth.test/")) return HttpAnswer{.status = 200, .body = R"({"token":"t"})"};
    if (c.url.starts_with("https://plain.test")) return HttpAnswer{.status = 404, .body = "{}"};
    if (c.url.starts_with("https://gone.test")) return fail(Code::kUnavailable, "connection refused");
    if (c.url.starts_with("https://token.test") && authorization(c) != "Bearer t")
      return unauthorized("Bearer realm=\"https://auth.test/token\"");
    return HttpAnswer{.status = 200, .body = R"({"results":[{"name":"a","star_count":3},{"name":"b"}]})"};
  };
  const auto search = [&](const char* index, int limit, RegistryAuth auth = {}) {
    f.http.calls.clear();
    return f.run(f.client.search({index, "a b"}, limit, std::move(auth), f.halt));
  };
  CHECK(search("docker.io", 1)->size() == 1);
  CHECK(f.http.calls.at(0).url == "https://index.docker.io/v1/search?q=a%20b&n=1");
  CHECK(f.http.calls[0].headers.at("X-Docker-Token") == "true");
  CHECK(authorization(f.http.calls[0]).empty());
  CHECK(search("reg.test:5000", 25, {.username = "me", .password = "secret"})->size() == 2);
  CHECK(f.http.calls.at(0).url.starts_with("https://reg.test:5000/v1/search?"));
  CHECK(authorization(f.http.calls[0]) == "Basic " + base64("me:secret"));
  CHECK(search("token.test", 25, {.username = "me", .identity_token = "id"}));
  CHECK(f.http.calls.at(1).body.find("scope=registry") != std::string::npos);
  CHECK(search("plain.test", 25).error().message == "Unexpected status code 404");
  CHECK(search("gone.test", 25).error().code == Code::kUnavailable);
}

}  // namespace panal
