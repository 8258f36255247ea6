// TLS 1.3 over a non-blocking socket. A context is built from PEM texts and shared by connections; replacing
// it affects new ones.
#pragma once
#include <memory>

#include "ports/transport.h"
#include "sys/loop/async_fd.h"

struct ssl_ctx_st;
struct ssl_st;

namespace panal {

using TlsContext = std::shared_ptr<ssl_ctx_st>;

/// Server: own certificate; peers may show one, checked against `ca`. Client: the same, and the server must
/// be of the cluster.
Result<TlsContext> make_tls_context(const std::string& certificate, const std::string& key,
                                    const std::string& ca);
/// Client without identity that accepts any server (the caller checks what it presents).
Result<TlsContext> make_anonymous_context();

/// For the API, by files: `ca` empty means that clients need no certificate. TLS 1.2 and up, as Docker's
/// clients speak it.
Result<TlsContext> make_api_context(const std::string& certificate_file, const std::string& key_file,
                                    const std::string& ca_file);

/// To servers of the world: `ca_file`, which may be empty, is trusted besides the system's authorities; the
/// certificate is shown to who asks. TLS 1.2 and up. Errors are in the words of Docker's clients.
Result<TlsContext> make_client_context(const std::string& ca_file, const std::string& certificate_file,
                                       const std::string& key_file, bool skip_verify);

class TlsStream final : public Stream {
 public:
  /// kWebServer: who speaks HTTP without TLS is told so.
  enum class Side { kClient, kServer, kWebServer };
  TlsStream(AsioLoop& loop, Fd fd, const TlsContext& context, Side side);
  ~TlsStream() override;

  /// Before the handshake: the server's certificate must name this host, if it is checked at all.
  void expect(const std::string& host);
  /// Whole, within `timeout`.
  Task<Result<>> handshake(Duration timeout);
  Task<Result<size_t>> read(std::span<char> into) override;
  Task<Result<>> write(std::string_view data) override;
  void close_write() override;
  Task<void> hung_up() override { return fd_.hung_up(); }
  void close() override { fd_.close(); }
  /// Whether the peer has said that it is gone; what it says besides is not read.
  bool has_ended();
  /// A peer that reads nothing is waited for this long; nullopt: as long as it stays.
  void wait_for_reader(std::optional<Duration> longest) { longest_write_ = longest; }
  /// From the peer's certificate; empty fields when it showed none.
  Peer peer() const;
  /// Hex SHA-256 of the last certificate of the chain the peer presented (the CA).
  std::string chain_root_fingerprint() const;

 private:
  AsioLoop& loop_;
  AsyncFd fd_;
  ssl_st* ssl_;
  TlsContext context_;
  Side side_;
  std::string host_;
  std::optional<Duration> longest_write_ = 20s;
};

}  // namespace panal
