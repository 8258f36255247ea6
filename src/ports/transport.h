// Node-to-node calls: gRPC's wire in the daemon (sys/rpc), a lossy virtual network in the simulator. Messages
// are bytes. Methods are "/panal.Service/Method". Every call has a deadline; a peer is who its certificate
// says.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/task.h"
#include "base/time.h"

namespace panal {

struct Peer {
  std::string node_id, role, cluster, address;  // role "manager" or "worker"; empty: no certificate
};

/// One bidirectional stream.
class RpcStream {
 public:
  virtual ~RpcStream() = default;
  /// The peer's next message; nullopt at its end, an error when the stream broke or the peer refused.
  virtual Task<Result<std::optional<std::string>>> read() = 0;
  /// Waits while the peer is slow: at most 256 KiB are queued.
  virtual Task<Result<>> write(std::string message) = 0;
  /// No more messages from this side.
  virtual void finish() = 0;
  virtual void cancel() = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  using UnaryHandler = std::function<Task<Result<std::string>>(Peer, std::string)>;
  using StreamHandler = std::function<Task<Result<>>(Peer, RpcStream&)>;
  /// `roles`: who may call, e.g. {"manager"}; {""} also those without a certificate.
  virtual void serve(std::string method, std::vector<std::string> roles, UnaryHandler handler) = 0;
  virtual void serve_stream(std::string method, std::vector<std::string> roles, StreamHandler handler) = 0;
  /// Takes a method away: its calls are cancelled, and when this returns none of its handlers runs any more.
  /// Not from inside one.
  virtual Task<void> unserve(std::string method) = 0;
  virtual Task<Result<std::string>> call(std::string address, std::string method, std::string request,
                                         Duration timeout) = 0;
  virtual Task<Result<std::unique_ptr<RpcStream>>> open(std::string address, std::string method) = 0;
  /// A call to a node whose certificate cannot be checked yet: `pin` (hex SHA-256 of the CA's DER) is checked
  /// against the CA it presents; empty accepts any.
  virtual Task<Result<std::string>> call_pinned(std::string address, std::string method, std::string request,
                                                std::string pin, Duration timeout) = 0;
  /// Identity of this node from now on: certificate, key and the CA, PEM.
  virtual Result<> set_identity(const std::string& certificate, const std::string& key,
                                const std::string& ca) = 0;
  virtual void clear_identity() = 0;
  virtual Result<> listen(const std::string& address, uint16_t port) = 0;
  virtual void stop_listening() = 0;
};

}  // namespace panal
