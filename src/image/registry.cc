#include "image/registry.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "base/json.h"
#include "base/text.h"

namespace panal {

// ---- where to ask

static constexpr const char* kHub = "registry-1.docker.io";

std::string host_part(std::string_view domain) {
  if (domain.starts_with('['))
    return std::string(domain.substr(
        1, domain.find(']') == std::string_view::npos ? std::string_view::npos : domain.find(']') - 1));
  return std::string(domain.substr(0, domain.find(':')));
}

namespace {

struct Network {
  std::array<uint8_t, 16> bytes{};
  int family = AF_INET, prefix = 32;
};

std::optional<Network> parse_network(const std::string& text) {
  const size_t slash = text.find('/');
  Network n;
  const std::string address = text.substr(0, slash);
  if (::inet_pton(AF_INET, address.c_str(), n.bytes.data()) != 1) {
    if (::inet_pton(AF_INET6, address.c_str(), n.bytes.data()) != 1) return std::nullopt;
    n.family = AF_INET6, n.prefix = 128;
  }
  if (slash == std::string::npos) return n;
  const auto prefix = parse_int(text.substr(slash + 1));
  if (!prefix || *prefix < 0 || *prefix > n.prefix) return std::nullopt;
  n.prefix = static_cast<int>(*prefix);
  return n;
}

bool contains(const Network& outer, const Network& inner) {
  if (outer.family != inner.family) return false;
  for (int bit = 0; bit < outer.prefix; ++bit) {
    const int shift = 7 - bit % 8;
    if ((outer.bytes[static_cast<size_t>(bit / 8)] >> shift & 1) !=
        (inner.bytes[static_cast<size_t>(bit / 8)] >> shift & 1))
      return false;
  }
  return true;
}

bool is_insecure(const RegistryOptions& options, const std::string& domain,
                 std::vector<std::string> addresses) {
  const std::string host = host_part(domain);
  if (parse_network(host)) addresses.push_back(host);
  if (host == "localhost") addresses.emplace_back("127.0.0.1");
  std::vector<std::string> networks = options.insecure_registries;
  networks.insert(networks.end(), {"127.0.0.0/8", "::1/128"});
  for (const auto& entry : networks) {
    if (entry == domain) return true;
    const auto network = entry.find('/') == std::string::npos ? std::nullopt : parse_network(entry);
    if (network && std::ranges::any_of(addresses, [&](const std::string& a) {
          const auto one = parse_network(a);
          return one && contains(*network, *one);
        }))
      return true;
  }
  return false;
}

void add_both_ways(std::vector<RegistryEndpoint>& out, const RegistryOptions& options,
                   const std::string& host, bool insecure) {
  out.push_back({"https://" + host, false, insecure, options.certs_dir + "/" + host});
  if (insecure) out.push_back({"http://" + host, false, false, ""});
}

}  // namespace

Result<> check_registry_options(const RegistryOptions& options) {
  for (const auto& mirror : options.registry_mirrors) {
    const auto invalid = [&](const std::string& why) {
      return fail(Code::kInvalid, "invalid mirror: " + why);
    };
    const size_t scheme = mirror.find("://");
    if (!mirror.starts_with("http://") && !mirror.starts_with("https://"))
      return invalid("no scheme specified for \"" + mirror + "\": must use either 'https://' or 'http://'");
    if (mirror.find_first_of("?#") != std::string::npos)
      return invalid("query or fragment at end of the URI \"" + mirror + "\"");
    if (mirror.find('@') != std::string::npos)
      return invalid("username/password not allowed in URI \"" + mirror + "\"");
    if (mirror.size() <= scheme + 3 || mirror[scheme + 3] == '/')
      return invalid("no host in \"" + mirror + "\"");
  }
  for (const auto& entry : options.insecure_registries) {
    const bool network = entry.find('/') != std::string::npos;
    if (entry.find("://") != std::string::npos)
      return fail(Code::kInvalid, "insecure registry " + entry + " should not contain '://'");
    if (entry.empty() || (network && !parse_network(entry)))
      return fail(Code::kInvalid,
                  "insecure registry " + entry + " is not valid: must be HOST[:PORT] or a CIDR");
  }
  return {};
}

std::vector<RegistryEndpoint> registry_endpoints(const RegistryOptions& options, const std::string& domain,
                                                 const std::vector<std::string>& addresses,
                                                 bool with_mirrors) {
  std::vector<RegistryEndpoint> out;
  if (domain != "docker.io") {
    add_both_ways(out, options, domain, is_insecure(options, domain, addresses));
    return out;
  }
  if (with_mirrors)
    for (std::string url : options.registry_mirrors) {
      while (url.ends_with('/')) url.pop_back();
      const std::string host =
          url.substr(url.find("://") + 3, url.find('/', url.find("://") + 3) - url.find("://") - 3);
      out.push_back({url, true, is_insecure(options, host, {}), options.certs_dir + "/" + host});
    }
  out.push_back({std::string("https://") + kHub, false, false, options.certs_dir + "/docker.io"});
  return out;
}

// ---- who asks

template <class A>
void fields(A& a, RegistryAuth& r) {
  std::string both;  // "auth": base64 of user:password, as the CLI's file has it
  a("username", r.username), a("password", r.password), a("auth", both), a("serveraddress", r.server_address),
      a("identitytoken", r.identity_token), a("registrytoken", r.registry_token);
  if (A::kReading && r.username.empty() && !both.empty()) {
    const std::string plain = unbase64(both).value_or("");
    r.username = plain.substr(0, plain.find(':'));
    if (plain.find(':') != std::string::npos) r.password = plain.substr(plain.find(':') + 1);
  }
}

Result<RegistryAuth> auth_from_json(std::string_view json) {
  if (trim(json).empty()) return RegistryAuth{};
  return from_text<RegistryAuth>(json);
}

Result<RegistryAuth> parse_registry_auth(std::string_view header) {
  if (header.empty()) return RegistryAuth{};
  const auto text = unbase64(header);
  if (!text) return fail(Code::kInvalid, "invalid X-Registry-Auth header: invalid base64");
  auto auth = auth_from_json(*text);
  if (!auth) return fail(wrap("invalid X-Registry-Auth header", auth.error()));
  return auth;
}

std::vector<Challenge> parse_challenges(std::string_view text) {
  std::vector<Challenge> out;
  size_t at = 0;
  const auto skip = [&](std::string_view what) {
    while (at < text.size() && what.find(text[at]) != std::string_view::npos) ++at;
  };
  const auto token = [&] {
    const size_t begin = at;
    while (at < text.size() && std::string_view(" \t,=\"").find(text[at]) == std::string_view::npos) ++at;
    return std::string(text.substr(begin, at - begin));
  };
  while (skip(" \t,="), at < text.size()) {
    if (text[at] == '"') {
      ++at;
      continue;
    }
    const std::string word = token();
    skip(" \t");
    if (at >= text.size() || text[at] != '=') {  // a scheme of its own
      out.push_back({lower(word), {}});
      continue;
    }
    ++at;
    skip(" \t");
    std::string value;
    if (at < text.size() && text[at] == '"') {
      for (++at; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\' && at + 1 < text.size()) ++at;
        value += text[at];
      }
      if (at < text.size()) ++at;
    } else {
      value = token();
    }
    if (!out.empty()) out.back().parameters[lower(word)] = value;
  }
  return out;
}

std::string repository_scope(const std::string& path, bool push) {
  return "repository:" + path + (push ? ":pull,push" : ":pull");
}

static constexpr const char* kClient = "docker";

Result<TokenRequest> token_request(const Challenge& bearer, const std::vector<std::string>& scopes,
                                   const RegistryAuth& auth, bool offline) {
  const auto parameter = [&](const char* name) {
    auto it = bearer.parameters.find(name);
    return it == bearer.parameters.end() ? std::string() : it->second;
  };
  const std::string realm = parameter("realm"), service = parameter("service");
  if (!realm.starts_with("https://") && !realm.starts_with("http://"))
    return fail(Code::kInvalid, "invalid token auth challenge realm: " + realm);
  TokenRequest out{realm, "", false};
  if (!auth.identity_token.empty()) {
    out.form = "grant_type=refresh_token&client_id=" + std::string(kClient) +
               "&service=" + url_encode(service) + "&refresh_token=" + url_encode(auth.identity_token);
    if (!scopes.empty()) out.form += "&scope=" + url_encode(join(scopes, " "));
    return out;
  }
  if (!service.empty()) out.url = add_query(out.url, "service", service);
  for (const auto& scope : scopes) out.url = add_query(out.url, "scope", scope);
  if (offline) out.url = add_query(add_query(out.url, "offline_token", "true"), "client_id", kClient);
  if (!auth.username.empty()) out.url = add_query(out.url, "account", auth.username), out.with_basic = true;
  return out;
}

struct TokenBody {
  std::string token, access_token, refresh_token;
};
template <class A>
void fields(A& a, TokenBody& t) {
  a("token", t.token), a("access_token", t.access_token), a("refresh_token", t.refresh_token);
}

Result<RegistryToken> parse_token(std::string_view json) {
  TRY(auto body, from_text<TokenBody>(json));
  const std::string& access = body.token.empty() ? body.access_token : body.token;
  if (access.empty())
    return fail(Code::kInvalid, "authorization server did not include a token in the response");
  if ((access + body.refresh_token).find_first_of("\r\n") != std::string::npos)
    return fail(Code::kInvalid, "authorization server sent an invalid token");
  return RegistryToken{access, body.refresh_token};
}

// ---- what it says

std::string registry_error_text(std::string_view body) {
  auto parsed = parse_json(body);
  if (!parsed || !parsed->is_object()) return "";
  const auto& object = parsed->get_object();
  const Json* errors = object.if_contains("errors");
  if (!errors || !errors->is_array()) {  // token servers
    const Json* details = object.if_contains("details");
    return details ? str(*details) : "";
  }
  std::string out;
  for (const auto& e : errors->get_array()) {
    if (!e.is_object() || out.size() > 2000) continue;
    const Json *code = e.get_object().if_contains("code"), *message = e.get_object().if_contains("message");
    std::string word = lower(code ? str(*code) : "");
    std::ranges::replace(word, '_', ' ');
    if (!word.empty()) out += (out.empty() ? "" : "\n") + word + ": " + (message ? str(*message) : word);
  }
  return out;
}

Error registry_error(int status, std::string_view body, const std::string& call) {
  const std::string said = registry_error_text(body);
  const Code code = status == 401                    ? Code::kUnauthorized
                    : status == 403                  ? Code::kForbidden
                    : status == 404                  ? Code::kNotFound
                    : status == 429 || status >= 500 ? Code::kUnavailable
                                                     : Code::kInternal;
  if (!said.empty()) return {code, said};
  if (status == 401) return {code, call + ": unauthorized: authentication required"};
  if (status == 429) return {code, "toomanyrequests: the registry wants fewer requests"};
  return {code, call + ": unexpected status from the registry: " + std::to_string(status)};
}

struct TagsBody {
  std::vector<std::string> tags;
};
template <class A>
void fields(A& a, TagsBody& t) {
  a("tags", t.tags);
}

Result<std::vector<std::string>> parse_tags(std::string_view json) {
  TRY(auto body, from_text<TagsBody>(json));
  std::erase_if(body.tags, [](const std::string& t) { return t.empty() || t.size() > 128; });
  return std::move(body.tags);
}

// ---- URLs

std::string origin_of(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return "";
  std::string out = lower(url.substr(0, url.find_first_of("/?#", scheme + 3)));
  if (const size_t at = out.find('@'); at != std::string::npos)
    out = out.substr(0, scheme + 3) + out.substr(at + 1);
  const size_t colon = out.rfind(':');
  if (colon == scheme || out.find(']', colon) != std::string::npos)
    out += out.starts_with("https:") ? ":443" : ":80";
  return out;
}

std::string resolve_location(const std::string& url, const std::string& location) {
  if (location.starts_with("https://") || location.starts_with("http://")) return location;
  if (location.starts_with("//")) return url.substr(0, url.find("://") + 1) + location;
  const size_t path = url.find('/', url.find("://") + 3);
  if (location.starts_with('/')) return url.substr(0, path) + location;
  const size_t end = url.find_first_of("?#");
  const std::string bare = url.substr(0, end);
  return bare.substr(0, bare.rfind('/') + 1) + location;
}

std::string add_query(std::string url, const std::string& name, const std::string& value) {
  const char* mark = url.find('?') == std::string::npos ? "?" : "&";
  return std::move(url) + mark + name + "=" + url_encode(value);
}

}  // namespace panal
