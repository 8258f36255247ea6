// The Registry API v2 without its I/O: where to ask, how to prove who asks, what an error says.
// Documents: distribution-spec (manifests, blobs, uploads), distribution's docs/spec/auth (Bearer tokens),
// RFC 9110 section 11 (challenges).
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/image.h"

namespace panal {

/// dockerd's settings of these names.
struct RegistryOptions {
  std::vector<std::string> registry_mirrors, insecure_registries;  // URLs; HOST[:PORT] or CIDR
  int max_concurrent_downloads = 3, max_concurrent_uploads = 5, max_download_attempts = 5;
  std::string certs_dir = "/etc/docker/certs.d";
};
/// Refuses what cannot be a mirror or an insecure registry, in dockerd's words.
Result<> check_registry_options(const RegistryOptions& options);

struct RegistryAuth {
  std::string username, password, server_address, identity_token, registry_token;
  bool empty() const { return username.empty() && identity_token.empty() && registry_token.empty(); }
};
/// X-Registry-Auth: base64url of JSON; empty is nobody.
Result<RegistryAuth> parse_registry_auth(std::string_view header);
/// Body of POST /auth.
Result<RegistryAuth> auth_from_json(std::string_view json);

struct RegistryEndpoint {
  std::string url;  // "https://host:port", no slash at the end
  bool mirror = false, skip_verify = false;
  std::string certs_dir;
};
/// Where to ask for a repository of `domain`, in this order. `addresses`: of the domain's host, for CIDRs;
/// may be empty.
std::vector<RegistryEndpoint> registry_endpoints(const RegistryOptions& options, const std::string& domain,
                                                 const std::vector<std::string>& addresses,
                                                 bool with_mirrors);
/// "host" of "host:port"; what stands in brackets without them.
std::string host_part(std::string_view domain);

struct Challenge {
  std::string scheme;  // lower case
  std::map<std::string, std::string> parameters;
};
/// Of WWW-Authenticate; several headers joined by commas.
std::vector<Challenge> parse_challenges(std::string_view header);
/// "repository:library/alpine:pull,push"
std::string repository_scope(const std::string& path, bool push);

struct TokenRequest {
  std::string url, form;  // form: body of a POST; empty: GET
  bool with_basic = false;
};
Result<TokenRequest> token_request(const Challenge& bearer, const std::vector<std::string>& scopes,
                                   const RegistryAuth& auth, bool offline);
struct RegistryToken {
  std::string access, refresh;
};
Result<RegistryToken> parse_token(std::string_view json);

/// "manifest unknown: manifest unknown" of {"errors": [...]}; empty when it is none.
std::string registry_error_text(std::string_view body);
/// Docker's error for a status that is no success. `what`: "manifest for alpine:1"; `call`: "Get
/// \"https://...\"".
Error registry_error(int status, std::string_view body, const std::string& call);

/// Names of GET /v2/NAME/tags/list.
Result<std::vector<std::string>> parse_tags(std::string_view json);

/// scheme://host:port of a URL.
std::string origin_of(std::string_view url);
/// `location` as seen from `url` (RFC 3986, absolute, "//host/x" or "/x").
std::string resolve_location(const std::string& url, const std::string& location);
std::string add_query(std::string url, const std::string& name, const std::string& value);

}  // namespace panal
