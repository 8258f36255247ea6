// A blocking HTTP/1.1 client: what the command line needs of it and no more.
#pragma once
#include <functional>
#include <string>

#include "base/result.h"
#include "sys/tls/wire.h"

namespace panal {

struct HttpReply {
  int status = 0;
  std::string body;
};

class ApiClient {
 public:
  explicit ApiClient(DaemonAddress daemon) : daemon_(std::move(daemon)) {}
  /// Whole reply; a status of 400 and above is an error with the daemon's message.
  Result<std::string> call(const std::string& method, const std::string& path, const std::string& body = {});
  /// As call(), with the body handed over as it comes.
  Result<> stream(const std::string& method, const std::string& path, const std::string& body,
                  const std::function<bool(std::string_view)>& sink);
  /// Sends the content of an open file as the body.
  Result<std::string> upload(const std::string& path, int file);

 private:
  Result<HttpReply> exchange(const std::string& head, const std::function<Result<>(Wire&)>& send_body,
                             const std::function<bool(std::string_view)>& sink);
  DaemonAddress daemon_;
};

}  // namespace panal
