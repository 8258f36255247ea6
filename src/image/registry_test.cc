#include "image/registry.h"

#include <doctest/doctest.h>

#include "base/text.h"

namespace panal {

static std::vector<std::string> urls(const RegistryOptions& o, const std::string& domain,
                                     const std::vector<std::string>& addresses = {}, bool mirrors = true) {
  std::vector<std::string> out;
  for (const auto& e : registry_endpoints(o, domain, addresses, mirrors))
    out.push_back(e.url + (e.mirror ? " mirror" : "") + (e.skip_verify ? " any" : ""));
  return out;
}
using Urls = std::vector<std::string>;

TEST_CASE("a registry is asked over verified TLS, one of this machine also without") {
  CHECK(urls({}, "example.test") == Urls{"https://example.test"});
  for (const std::string local :
       {"localhost:5000", "127.0.0.1:5000", "127.9.9.9:80", "localhost", "[::1]:5000"})
    CHECK(urls({}, local) == Urls{"https://" + local + " any", "http://" + local});
  CHECK(urls({}, "128.0.0.1:5000") == Urls{"https://128.0.0.1:5000"});
  CHECK(registry_endpoints({}, "example.test:5000", {}, true)[0].certs_dir ==
        "/etc/docker/certs.d/example.test:5000");
}

TEST_CASE("insecure registries are named by host or by network") {
  const RegistryOptions o{.insecure_registries = {"old.test:5000", "10.77.0.0/16", "fd00::/8"}};
  CHECK(urls(o, "old.test:5000") == Urls{"https://old.test:5000 any", "http://old.test:5000"});
  CHECK(urls(o, "old.test") == Urls{"https://old.test"});
  CHECK(urls(o, "10.77.3.4:5000").size() == 2);
  CHECK(urls(o, "10.78.3.4:5000").size() == 1);
  CHECK(urls(o, "inside.test", {"192.0.2.1", "10.77.0.9"}).size() == 2);
  CHECK(urls(o, "[fd00::7]:5000").size() == 2);
}

TEST_CASE("mirrors come first, for Docker Hub only, and not for a push") {
  const RegistryOptions o{.registry_mirrors = {"https://mirror.test/", "http://127.0.0.1:5001"}};
  CHECK(urls(o, "docker.io") == Urls{"https://mirror.test mirror", "http://127.0.0.1:5001 mirror any",
                                     "https://registry-1.docker.io"});
  CHECK(urls(o, "docker.io", {}, false) == Urls{"https://registry-1.docker.io"});
  CHECK(urls(o, "example.test") == Urls{"https://example.test"});
}

TEST_CASE("settings that cannot be meant are refused") {
  for (const std::string bad : {"mirror.test", "ftp://mirror.test", "https://", "https://u:p@mirror.test",
                                "https://mirror.test/?a=b"})
    CHECK_FALSE(check_registry_options({.registry_mirrors = {bad}}));
  for (const std::string bad : {"http://old.test", "10.0.0.0/33", "x/8", ""})
    CHECK_FALSE(check_registry_options({.insecure_registries = {bad}}));
  CHECK(check_registry_options({.registry_mirrors = {"https://mirror.test:8080/path"},
                                .insecure_registries = {"a", "a:1", "10.0.0.0/8"}}));
}

TEST_CASE("challenges") {
  auto c = parse_challenges(
      "Bearer realm=\"https://auth.test/token\",service=\"a, \\\"b\\\"\",scope=\"repository:x:pull,push\"");
  REQUIRE(c.size() == 1);
  CHECK(c[0].scheme == "bearer");
  CHECK(c[0].parameters["realm"] == "https://auth.test/token");
  CHECK(c[0].parameters["service"] == "a, \"b\"");
  CHECK(c[0].parameters["scope"] == "repository:x:pull,push");
  c = parse_challenges("Negotiate, BASIC Realm = test , Bearer realm=\"x\"");
  REQUIRE(c.size() == 3);
  CHECK(c[0].scheme == "negotiate");
  CHECK(c[1].parameters["realm"] == "test");
  CHECK(c[2].scheme == "bearer");
  CHECK(parse_challenges("").empty());
  CHECK(parse_challenges("Bearer realm=\"open").at(0).parameters["realm"] == "open");
}

TEST_CASE("tokens are asked for as the realm wants them") {
  const Challenge bearer{"bearer", {{"realm", "https://auth.test/token?x=1"}, {"service", "r t"}}};
  auto t = token_request(bearer, {"repository:a/b:pull"}, {}, false);
  REQUIRE(t);
  CHECK(lower(t->url) == "https://auth.test/token?x=1&service=r%20t&scope=repository%3aa%2fb%3apull");
  CHECK_FALSE(t->with_basic);
  t = token_request(bearer, {}, {.username = "me", .password = "p"}, true);
  REQUIRE(t);
  CHECK(t->with_basic);
  CHECK(t->url.ends_with("&offline_token=true&client_id=docker&account=me"));
  t = token_request(bearer, {"a", "b"}, {.identity_token = "t/1"}, false);
  REQUIRE(t);
  CHECK(lower(t->form) ==
        "grant_type=refresh_token&client_id=docker&service=r%20t&refresh_token=t%2f1&scope=a%20b");
  CHECK_FALSE(token_request({"bearer", {{"realm", "file:///etc/passwd"}}}, {}, {}, false));
  CHECK(parse_token(R"({"token":"a"})")->access == "a");
  CHECK(parse_token(R"({"access_token":"b","refresh_token":"r"})")->refresh == "r");
  CHECK_FALSE(parse_token("{}"));
  CHECK_FALSE(parse_token("{\"token\":\"a\\r\\nHost: b\"}"));
}

TEST_CASE("credentials as clients send them") {
  const auto header = [](const std::string& json) { return base64(json); };
  CHECK(parse_registry_auth("")->empty());
  CHECK(parse_registry_auth(header("{}"))->empty());
  CHECK(parse_registry_auth(header(R"({"username":"a","password":"b","serveraddress":"c"})"))->password ==
        "b");
  const auto joined = parse_registry_auth(header("{\"auth\":\"" + base64("user:pass:word") + "\"}"));
  CHECK(joined->username == "user");
  CHECK(joined->password == "pass:word");
  CHECK_FALSE(parse_registry_auth("***"));
  CHECK_FALSE(parse_registry_auth(header("[]")));
}

TEST_CASE("errors in Docker's words") {
  const std::string body =
      R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]})";
  CHECK(registry_error(404, body, "x").message == "manifest unknown: manifest unknown");
  CHECK(registry_error(404, body, "x").code == Code::kNotFound);
  CHECK(registry_error(401, "", "Get \"u\"").message == "Get \"u\": unauthorized: authentication required");
  CHECK(registry_error(418, "<html>", "Get \"u\"").message ==
        "Get \"u\": unexpected status from the registry: 418");
}

TEST_CASE("where an upload goes on") {
  const std::string url = "http://host:5000/v2/a/blobs/uploads/";
  CHECK(resolve_location(url, "https://other/x?y=z") == "https://other/x?y=z");
  CHECK(resolve_location(url, "/v2/up?s=1") == "http://host:5000/v2/up?s=1");
  CHECK(resolve_location(url, "//other/x") == "http://other/x");
  CHECK(resolve_location(url, "id?s=1") == "http://host:5000/v2/a/blobs/uploads/id?s=1");
  CHECK(add_query("http://h/u?s=1", "digest", "sha256:a").starts_with("http://h/u?s=1&digest=sha256%3"));
  CHECK(origin_of("HTTPS://Host/x") == "https://host:443");
  CHECK(origin_of("http://u:p@host:81/x") == "http://host:81");
  CHECK(origin_of("http://[::1]/x") == "http://[::1]:80");
  CHECK(origin_of("nothing").empty());
}

TEST_CASE("tags") {
  CHECK(parse_tags(R"({"name":"a","tags":["1","2"]})")->size() == 2);
  CHECK(parse_tags(R"({"name":"a","tags":null})")->empty());
  CHECK_FALSE(parse_tags("nothing"));
}

}  // namespace panal
