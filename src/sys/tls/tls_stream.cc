#include "sys/tls/tls_stream.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <array>

#include "base/fd.h"
#include "base/text.h"

namespace panal {

static Error tls_error(const char* what) {
  char text[256] = "connection closed";
  if (const auto code = ERR_peek_last_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return {Code::kUnavailable, std::string(what) + ": " + text};
}

static constexpr unsigned char kAlpn[] = {2, 'h', '2'};

static TlsContext new_context() {
  TlsContext context(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_alpn_protos(context.get(), kAlpn, sizeof kAlpn);
  SSL_CTX_set_alpn_select_cb(
      context.get(),
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned length,
         void*) {
        return SSL_select_next_proto(const_cast<unsigned char**>(out), size, kAlpn, sizeof kAlpn, in,
                                     length) == OPENSSL_NPN_NEGOTIATED
                   ? SSL_TLSEXT_ERR_OK
                   : SSL_TLSEXT_ERR_ALERT_FATAL;
      },
      nullptr);
  return context;
}

template <class T, class F>
static std::unique_ptr<T, F> owned(T* p, F f) {
  return {p, f};
}

Result<TlsContext> make_tls_context(const std::string& certificate, const std::string& key,
                                    const std::string& ca) {
  TlsContext context = new_context();
  const auto bio = [](const std::string& text) {
    return owned(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free_all);
  };
  auto leaf = owned(PEM_read_bio_X509(bio(certificate).get(), nullptr, nullptr, nullptr), X509_free);
  auto root = owned(PEM_read_bio_X509(bio(ca).get(), nullptr, nullptr, nullptr), X509_free);
  auto secret = owned(PEM_read_bio_PrivateKey(bio(key).get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (!leaf || !root || !secret) return std::unexpected(tls_error("node certificate"));
  if (SSL_CTX_use_certificate(context.get(), leaf.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), secret.get()) != 1)
    return std::unexpected(tls_error("node certificate"));
  SSL_CTX_add1_chain_cert(context.get(), root.get());  // a joiner pins the CA it is shown
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), root.get());
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  static constexpr unsigned char kId[] = "panal";
  SSL_CTX_set_session_id_context(context.get(), kId, sizeof kId);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  return context;
}

Result<TlsContext> make_anonymous_context() {
  TlsContext context = new_context();
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  return context;
}

Result<TlsContext> make_api_context(const std::string& certificate, const std::string& key,
                                    const std::string& ca) {
  for (const auto& path : {certificate, key, ca})
    if (!path.empty()) TRYV(read_file(path, 1 << 20));
  TlsContext context(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  SSL_CTX* c = context.get();
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_mode(
      c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(c, 0);
  SSL_CTX_set_default_passwd_cb(c, [](char*, int, int, void*) { return 0; });  // never asks a terminal
  static constexpr unsigned char kHttp[] = "\x08http/1.1";
  SSL_CTX_set_alpn_select_cb(
      c,
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned length,
         void*) {
        return SSL_select_next_proto(const_cast<unsigned char**>(out), size, kHttp, sizeof kHttp - 1, in,
                                     length) == OPENSSL_NPN_NEGOTIATED
                   ? SSL_TLSEXT_ERR_OK
                   : SSL_TLSEXT_ERR_NOACK;
      },
      nullptr);
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(c, certificate.c_str()) != 1)
    return std::unexpected(tls_error(("TLS certificate " + certificate).c_str()));
  if (SSL_CTX_use_PrivateKey_file(c, key.c_str(), SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(c) != 1)
    return std::unexpected(tls_error(("TLS key " + key).c_str()));
  if (ca.empty()) return context;
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(ca.c_str());
  if (!names || SSL_CTX_load_verify_locations(c, ca.c_str(), nullptr) != 1)
    return std::unexpected(tls_error(("TLS CA certificate " + ca).c_str()));
  SSL_CTX_set_client_CA_list(c, names);
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return context;
}

Result<TlsContext> make_client_context(const std::string& ca, const std::string& certificate,
                                       const std::string& key, bool skip_verify) {
  TlsContext context(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  SSL_CTX* c = context.get();
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_mode(
      c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(c, [](char*, int, int, void*) { return 0; });  // never asks a terminal
  SSL_CTX_set_verify(c, skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  ERR_clear_error();
  (void)SSL_CTX_set_default_verify_paths(c);
  const auto failed = [](const std::string& what, const std::string& file) {
    if (auto there = read_file(file, 1 << 20); !there) return fail(wrap(what, there.error()));
    return std::unexpected(tls_error(what.c_str()));
  };
  if (!ca.empty() && SSL_CTX_load_verify_locations(c, ca.c_str(), nullptr) != 1)
    return failed("could not read CA certificate \"" + ca + "\"", ca);
  if (!certificate.empty() && SSL_CTX_use_certificate_chain_file(c, certificate.c_str()) != 1)
    return failed("could not load X509 key pair", certificate);
  if (!key.empty() && (SSL_CTX_use_PrivateKey_file(c, key.c_str(), SSL_FILETYPE_PEM) != 1 ||
                       SSL_CTX_check_private_key(c) != 1))
    return failed("could not load X509 key pair", key);
  return context;
}

TlsStream::TlsStream(AsioLoop& loop, Fd fd, const TlsContext& context, Side side)
    : loop_(loop), fd_(loop, std::move(fd)), ssl_(SSL_new(context.get())), context_(context), side_(side) {
  SSL_set_fd(ssl_, fd_.get());
  if (side == Side::kClient)
    SSL_set_connect_state(ssl_);
  else
    SSL_set_accept_state(ssl_);
}
TlsStream::~TlsStream() { SSL_free(ssl_); }

void TlsStream::expect(const std::string& host) {
  host_ = host;
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl_);
  if (X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) != 1)
    X509_VERIFY_PARAM_set1_host(rules, host.c_str(), 0), SSL_set_tlsext_host_name(ssl_, host.c_str());
  ERR_clear_error();
}

bool TlsStream::has_ended() {
  char next;
  ERR_clear_error();
  const int done = SSL_peek(ssl_, &next, 1);
  return done <= 0 && SSL_get_error(ssl_, done) != SSL_ERROR_WANT_READ;
}

// Of a certificate that was refused, in Docker's words.
static std::string why_refused(long verdict, const std::string& host) {
  std::string why = "certificate signed by unknown authority";
  if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
    why = "certificate is not valid for " + host;
  else if (verdict == X509_V_ERR_CERT_HAS_EXPIRED || verdict == X509_V_ERR_CERT_NOT_YET_VALID)
    why = "certificate has expired or is not yet valid";
  return "tls: failed to verify certificate: x509: " + why;
}

Task<Result<>> TlsStream::handshake(Duration timeout) {
  const MonoTime end = loop_.now() + timeout;
  for (;;) {
    if (fd_.closed()) co_return fail(Code::kCancelled, "closed");
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_);
    if (done == 1) break;
    const int want = SSL_get_error(ssl_, done);
    if (const auto code = ERR_peek_error(); side_ == Side::kWebServer && ERR_GET_LIB(code) == ERR_LIB_SSL &&
                                            ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST) {
      static constexpr std::string_view kPlain =
          "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
      (void)!::send(fd_.get(), kPlain.data(), kPlain.size(), MSG_NOSIGNAL);
      for (std::array<char, 4096> rest; ::recv(fd_.get(), rest.data(), rest.size(), MSG_DONTWAIT) > 0;) {
      }  // unread, it would reset the connection
    }
    if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE) {
      const long verdict = SSL_get_verify_result(ssl_);
      if (!host_.empty() && verdict != X509_V_OK)
        co_return fail(Code::kUnavailable, why_refused(verdict, host_));
      co_return std::unexpected(tls_error("tls handshake"));
    }
    const Duration left = end - loop_.now();
    if (left <= 0s) co_return fail(Code::kTimeout, "tls handshake: i/o timeout");
    const auto ready =
        want == SSL_ERROR_WANT_READ ? co_await fd_.readable(left) : co_await fd_.writable(left);
    if (ready == AsyncFd::Ready::kTimeout) co_return fail(Code::kTimeout, "tls handshake: i/o timeout");
    if (ready == AsyncFd::Ready::kClosed) co_return fail(Code::kCancelled, "closed");
  }
  co_return Result<>{};
}

Task<Result<size_t>> TlsStream::read(std::span<char> into) {
  for (;;) {
    if (fd_.closed()) co_return fail(Code::kCancelled, "read: closed");
    ERR_clear_error();
    size_t n = 0;
    const int done = SSL_read_ex(ssl_, into.data(), into.size(), &n);
    if (done == 1) co_return n;
    const int want = SSL_get_error(ssl_, done);
    if (want == SSL_ERROR_ZERO_RETURN) co_return size_t{0};
    if (want != SSL_ERROR_WANT_READ) co_return std::unexpected(tls_error("tls read"));
    const auto ready = co_await fd_.readable();
    if (ready != AsyncFd::Ready::kYes) co_return fail(Code::kCancelled, "read: closed");
  }
}

Task<Result<>> TlsStream::write(std::string_view data) {
  while (!data.empty()) {
    if (fd_.closed()) co_return fail(Code::kCancelled, "write: closed");
    ERR_clear_error();
    size_t n = 0;
    const int done = SSL_write_ex(ssl_, data.data(), data.size(), &n);
    if (done == 1) {
      data.remove_prefix(n);
      continue;
    }
    if (SSL_get_error(ssl_, done) != SSL_ERROR_WANT_WRITE) co_return std::unexpected(tls_error("tls write"));
    const auto ready = co_await fd_.writable(longest_write_);
    if (ready != AsyncFd::Ready::kYes) co_return fail(Code::kUnavailable, "write: the peer does not read");
  }
  co_return Result<>{};
}

void TlsStream::close_write() {
  if (fd_.closed() || !SSL_is_init_finished(ssl_)) return;
  ERR_clear_error();
  (void)SSL_shutdown(ssl_);  // says that no more comes: without it the peer takes the end for a cut
  ERR_clear_error();
}

static std::string name_part(X509* certificate, int nid) {
  char text[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), nid, text, sizeof text);
  return text;
}

Peer TlsStream::peer() const {
  X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (!certificate || SSL_get_verify_result(ssl_) != X509_V_OK) return {};
  Peer p{name_part(certificate, NID_commonName), name_part(certificate, NID_organizationalUnitName),
         name_part(certificate, NID_organizationName), ""};
  if (p.role.starts_with("swarm-")) p.role = p.role.substr(6);
  return p;
}

std::string TlsStream::chain_root_fingerprint() const {
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl_);
  if (!chain || sk_X509_num(chain) == 0) return {};
  X509* leaf = SSL_get0_peer_certificate(ssl_);
  X509* root = sk_X509_value(chain, sk_X509_num(chain) - 1);
  // The root must really have signed what the peer proved to hold, else anybody could present a public
  // certificate.
  EVP_PKEY* key = X509_get0_pubkey(root);
  if (!leaf || !key || X509_verify(leaf, key) != 1) return {};
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  X509_digest(root, EVP_sha256(), digest.data(), &size);
  return hex({reinterpret_cast<const char*>(digest.data()), size});
}

}  // namespace panal
