// Conversations with registries: finds the endpoint that answers, proves who asks, repeats what broke, turns
// statuses into Docker's errors.
#pragma once
#include "image/index.h"
#include "image/registry.h"
#include "image/search.h"
#include "ports/http_client.h"
#include "ports/loop.h"

namespace panal {

/// One repository at one endpoint, for one operation. Several steps may use it at once.
struct RegistrySession {
  RegistryEndpoint endpoint;
  std::string path;  // "library/alpine"
  std::vector<std::string> scopes;
  RegistryAuth auth;
  std::shared_ptr<Halt> halt;
  std::string authorization;  // header, once the registry has asked for one
  std::string url(const std::string& rest) const { return endpoint.url + "/v2/" + path + rest; }
};

struct FetchedManifest {
  std::string text, digest, media_type;
};

struct RegistryLogin {
  std::string status, identity_token;
};

class RegistryClient {
 public:
  static constexpr int64_t kMaxManifest = 4 << 20, kMaxConfig = 8 << 20, kMaxToken = 1 << 20,
                           kMaxSearch = 4 << 20;

  RegistryClient(Loop& loop, HttpClient& http, RegistryOptions options)
      : loop_(loop), http_(http), options_(std::move(options)) {}
  const RegistryOptions& options() const { return options_; }
  /// On reload: operations that run keep what they began with.
  void set_options(RegistryOptions options) { options_ = std::move(options); }

  /// Runs `work` on a session for each endpoint of the repository until one succeeds; mirrors and endpoints
  /// without an answer are passed over.
  Task<Result<>> on_endpoints(ImageRef ref, bool push, RegistryAuth auth, std::shared_ptr<Halt> halt,
                              std::function<Task<Result<>>(RegistrySession&)> work);
  /// One exchange with authentication; `attempts` when the connection breaks or the registry is overloaded.
  Task<Result<HttpAnswer>> call(RegistrySession& session, HttpCall call, int attempts = 4);
  /// By tag or digest. Verified when by digest; `size` -1: unknown.
  Task<Result<FetchedManifest>> manifest(RegistrySession& session, std::string reference, int64_t size = -1);
  Task<Result<std::string>> config(RegistrySession& session, std::string digest, int64_t size);
  Task<Result<RegistryLogin>> login(RegistryAuth auth, std::shared_ptr<Halt> halt);
  /// In the term's index: GET /v1/search.
  Task<Result<std::vector<SearchHit>>> search(SearchTerm term, int limit, RegistryAuth auth,
                                              std::shared_ptr<Halt> halt);
  /// Every tag of the repository, page by page, at most 10,000.
  Task<Result<std::vector<std::string>>> tags(RegistrySession& session);

  /// Set by the composition root: "sha256:..." of bytes.
  std::function<std::string(std::string_view)> sha256;

 private:
  Task<Result<>> authorize(RegistrySession& session, std::string challenge_header, std::string call,
                           bool offline, std::string* refresh);
  Task<Result<RegistryLogin>> login_at(RegistrySession& session);
  Task<std::vector<RegistryEndpoint>> endpoints(std::string domain, bool with_mirrors);

  Loop& loop_;
  HttpClient& http_;
  RegistryOptions options_;
};

/// `Get "https://host/v2/..."`, as errors begin.
std::string call_text(const std::string& method, const std::string& url);

}  // namespace panal
