// One HTTP exchange with the outside world (registries, archives behind a URL), made by a process of its own
// that sees nothing else.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"

namespace panal {

/// Ends what is under way for somebody who has gone. Shared by all steps of one operation.
class Halt {
 public:
  bool halted() const { return halted_; }
  void halt() {
    halted_ = true;
    const auto stops = std::move(stops_);
    stops_.clear();
    for (const auto& [key, stop] : stops) stop();
  }
  /// `stop` is called once, at halt(), unless `key` was forgotten before; at once when it is too late.
  void on_halt(const void* key, std::function<void()> stop) {
    if (halted_)
      stop();
    else
      stops_[key] = std::move(stop);
  }
  void forget(const void* key) { stops_.erase(key); }

 private:
  bool halted_ = false;
  std::map<const void*, std::function<void()>> stops_;
};

struct HttpCall {
  std::string method = "GET", url;
  std::map<std::string, std::string> headers;
  std::string body;       // sent
  std::string send_file;  // sent instead
  std::string
      save_file;        // where the answer's body goes when the status is 200 or 206; empty: HttpAnswer::body
  bool resume = false;  // asks for what save_file does not hold yet
  int64_t limit_bytes = 1 << 20;  // of the answer's body, with what save_file held
  bool skip_verify = false;       // any TLS certificate will do
  std::string certs_dir;          // *.crt: CAs to trust besides the system's; *.cert and *.key: to show
  std::function<void(int64_t bytes)> progress;  // sent or received so far
  std::shared_ptr<Halt> halt;
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; of the last answer when redirected
  std::string body;    // without save_file; with one what came with another status, at most 64 KiB
  std::string digest;  // of the whole save_file
  int64_t size_bytes = 0;
};

class HttpClient {
 public:
  virtual ~HttpClient() = default;
  /// Any status is an answer. Errors: kUnavailable: no connection came about; kForbidden: the server's
  /// certificate does not do; kTimeout: the connection broke or stood still, what had come stays in
  /// save_file; kTooLarge: more than limit_bytes; kCancelled: halted.
  virtual Task<Result<HttpAnswer>> exchange(HttpCall call) = 0;
  /// Addresses of a host name; none when it has none.
  virtual Task<std::vector<std::string>> resolve(std::string host) = 0;
};

}  // namespace panal
