// Transport on gRPC's wire: HTTP/2 over mutual TLS 1.3. One connection per peer address, made on first use
// and kept.
#pragma once
#include <list>
#include <map>

#include "ports/rpc_methods.h"
#include "sys/rpc/h2.h"
#include "sys/tls/tls_stream.h"

namespace panal {

class GrpcTransport final : public Transport {
 public:
  explicit GrpcTransport(AsioLoop& loop) : loop_(loop) {}

  void serve(std::string method, std::vector<std::string> roles, UnaryHandler handler) override {
    methods_.serve(std::move(method), std::move(roles), std::move(handler));
  }
  void serve_stream(std::string method, std::vector<std::string> roles, StreamHandler handler) override {
    methods_.serve_stream(std::move(method), std::move(roles), std::move(handler));
  }
  Task<void> unserve(std::string method) override { return methods_.unserve(loop_, std::move(method)); }
  Task<Result<std::string>> call(std::string address, std::string method, std::string request,
                                 Duration timeout) override;
  Task<Result<std::unique_ptr<RpcStream>>> open(std::string address, std::string method) override;
  Task<Result<std::string>> call_pinned(std::string address, std::string method, std::string request,
                                        std::string pin, Duration timeout) override;
  Result<> set_identity(const std::string& certificate, const std::string& key,
                        const std::string& ca) override;
  void clear_identity() override;
  Result<> listen(const std::string& address, uint16_t port) override;
  void stop_listening() override;
  void stop();
  /// After stop(): waits for the last of its tasks.
  auto join() { return scope_.join(); }

 private:
  Task<void> accept_loop(std::shared_ptr<AsyncFd> listener);
  Task<void> serve_connection(Fd fd, std::string address);
  Task<void> serve_one(std::shared_ptr<H2Connection> connection, std::shared_ptr<H2Stream> stream, Peer peer);
  struct Attempt {
    Event ended;
    std::optional<Result<std::shared_ptr<H2Connection>>> result;
  };
  Task<Result<std::shared_ptr<H2Connection>>> connection_to(std::string address, Duration timeout);
  Task<void> attempt(std::string address, std::shared_ptr<Attempt> result);
  Task<Result<std::shared_ptr<H2Connection>>> connect(std::string address, TlsContext context,
                                                      std::string pin, bool check_pin);
  Task<Result<std::string>> unary(std::shared_ptr<H2Connection> connection, std::string address,
                                  std::string method, std::string request, Duration timeout);

  AsioLoop& loop_;
  TlsContext context_;
  RpcMethods methods_;
  std::map<std::string, std::shared_ptr<H2Connection>> connections_;
  std::map<std::string, std::shared_ptr<Attempt>> connecting_;  // under way
  std::list<std::weak_ptr<H2Connection>> served_;
  size_t handshakes_ = 0, strangers_ = 0;  // served_ of peers without a certificate
  std::vector<std::shared_ptr<AsyncFd>> listeners_;
  Scope scope_;
};

}  // namespace panal
