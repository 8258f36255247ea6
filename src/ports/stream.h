// A byte stream (socket, TLS session, fifo) and what an HTTP exchange offers to api/. Implemented in sys/.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "base/time.h"

namespace panal {

class Stream {
 public:
  virtual ~Stream() = default;
  /// Bytes read; 0 is the peer's end.
  virtual Task<Result<size_t>> read(std::span<char> into) = 0;
  /// Writes all of `data`, or fails.
  virtual Task<Result<>> write(std::string_view data) = 0;
  virtual void close_write() = 0;
  /// Returns once the peer is gone for good, not when it only says that no more comes (read() tells that);
  /// also after close().
  virtual Task<void> hung_up() = 0;
  /// Wakes both directions with an error; safe to repeat.
  virtual void close() = 0;
};

/// Pulls the next piece of an upload; empty at its end.
using Source = std::function<Task<Result<std::string>>()>;
/// Takes a piece of a download.
using Sink = std::function<Task<Result<>>(std::string_view)>;

struct HttpRequest {
  std::string method;
  std::string path;         // decoded, without the version prefix and the query
  std::string api_version;  // "1.43", or empty when the client named none
  std::multimap<std::string, std::string> query;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string remote;
  bool has_body = false;

  std::string param(const std::string& name, std::string fallback = {}) const {
    auto it = query.find(name);
    return it == query.end() ? fallback : it->second;
  }
  bool flag(const std::string& name, bool fallback = false) const {
    auto it = query.find(name);
    if (it == query.end()) return fallback;
    std::string v;
    for (const char c : it->second) v += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    return !(v.empty() || v == "0" || v == "no" || v == "false" || v == "none");
  }
  std::string header(const std::string& name) const {
    auto it = headers.find(name);
    return it == headers.end() ? std::string() : it->second;
  }
};

/// One exchange: read the body, then answer once (reply) or stream (begin, write..., end) or take the
/// connection over.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual const HttpRequest& request() const = 0;
  /// Next piece of the body; empty at its end.
  virtual Task<Result<std::string>> read_body() = 0;
  /// Whole body, up to `limit_bytes`.
  virtual Task<Result<std::string>> body(size_t limit_bytes) = 0;
  virtual Task<void> reply(int status, std::string body, std::string content_type = "application/json") = 0;
  virtual void add_header(std::string name, std::string value) = 0;
  /// Starts a chunked response.
  virtual Task<Result<>> begin(int status, std::string content_type) = 0;
  virtual Task<Result<>> write(std::string_view data) = 0;
  virtual Task<Result<>> end() = 0;
  /// Answers 101 (when the client asked to upgrade) or 200 and hands the raw connection over; valid until the
  /// handler returns.
  virtual Task<Result<Stream*>> hijack(std::string content_type) = 0;
  /// The same for another protocol that the client asked for, with the headers added before.
  virtual Task<Result<Stream*>> upgrade(std::string protocol) = 0;
  /// True once any part of a response has been sent.
  virtual bool started() const = 0;
  /// Calls `fn` once when the peer hangs up before the handler is done; for streams that must end with their
  /// reader. The body must have been read, the answer not begun:
  /// its head says that the connection is closed after such an exchange.
  virtual void on_close(std::function<void()> fn) = 0;
  virtual bool closed() const = 0;
};

}  // namespace panal
