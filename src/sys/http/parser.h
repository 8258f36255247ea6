// HTTP/1.1 message parser over Beast's basic_parser, which stays in one translation unit. Limits: 64 KiB of
// header, bodies are streamed and never gathered here.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace panal {

struct HttpHead {
  std::string method, target, reason;  // method and target of a request, reason of a response
  int status = 0;
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case
  bool keep_alive = true;
  bool upgrade = false;
  bool chunked = false;
  bool has_body = false;
};

class HttpParser {
 public:
  enum class Kind { kRequest, kResponse };
  explicit HttpParser(Kind kind);
  ~HttpParser();

  /// Consumes from `data`; returns bytes taken. Body bytes go to `on_body`. Stops after the header so that
  /// the caller can look.
  Result<size_t> feed(std::string_view data, const std::function<void(std::string_view)>& on_body);
  Result<> finish();  // end of stream
  bool header_done() const;
  bool done() const;
  HttpHead& head();

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace panal
