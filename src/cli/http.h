// A blocking HTTP/1.1 client over a unix socket: what the command line needs of it and no more.
#pragma once
#include <functional>
#include <string>

#include "base/result.h"

namespace panal {

struct HttpReply {
  int status = 0;
  std::string body;
};

class ApiClient {
 public:
  explicit ApiClient(std::string socket) : socket_(std::move(socket)) {}
  /// Whole reply; a status of 400 and above is an error with the daemon's message.
  Result<std::string> call(const std::string& method, const std::string& path, const std::string& body = {});
  /// As call(), with the body handed over as it comes.
  Result<> stream(const std::string& method, const std::string& path, const std::string& body, const std::function<bool(std::string_view)>& sink);
  /// Sends the content of an open file as the body.
  Result<std::string> upload(const std::string& path, int file);

 private:
  Result<HttpReply> exchange(const std::string& head, const std::function<Result<>(int fd)>& send_body, const std::function<bool(std::string_view)>& sink);
  std::string socket_;
};

/// DOCKER_HOST (unix:// only), else /var/run/panal.sock.
Result<std::string> default_socket();

}  // namespace panal
