// HttpClient on `panal-unpack fetch`: each exchange is a process of its own in an empty folder of its own.
#pragma once
#include "ports/entropy.h"
#include "ports/http_client.h"
#include "sys/loop/asio_loop.h"

namespace panal {

class FetchClient final : public HttpClient {
 public:
  /// `rooms`: an existing folder for the empty ones.
  FetchClient(AsioLoop& loop, Entropy& entropy, std::string helper, std::string rooms)
      : loop_(loop), entropy_(entropy), helper_(std::move(helper)), rooms_(std::move(rooms)) {}
  Task<Result<HttpAnswer>> exchange(HttpCall call) override;
  Task<std::vector<std::string>> resolve(std::string host) override;

 private:
  AsioLoop& loop_;
  Entropy& entropy_;
  std::string helper_, rooms_;
};

}  // namespace panal
