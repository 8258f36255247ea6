#include "sys/tls/wire.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cstdlib>

#include "base/fd.h"
#include "base/text.h"
#include "sys/loop/async_fd.h"

namespace panal {
namespace {

class PlainWire final : public Wire {
 public:
  explicit PlainWire(Fd fd) : fd_(std::move(fd)) {}
  Result<size_t> read(char* into, size_t size) override {
    for (;;) {
      const ssize_t n = ::read(fd_.get(), into, size);
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) return fail(sys_error(errno, "read"));
    }
  }
  Result<> write(std::string_view data) override { return write_all(fd_.get(), data); }

 private:
  Fd fd_;
};

std::string last_tls_error() {
  char text[256] = "connection closed";
  if (const auto code = ERR_peek_last_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

class TlsWire final : public Wire {
 public:
  TlsWire(Fd fd, SSL_CTX* context, SSL* ssl) : fd_(std::move(fd)), context_(context), ssl_(ssl) {}
  ~TlsWire() override { SSL_free(ssl_), SSL_CTX_free(context_); }
  Result<size_t> read(char* into, size_t size) override {
    size_t n = 0;
    const int done = SSL_read_ex(ssl_, into, size, &n);
    if (done == 1) return n;
    if (SSL_get_error(ssl_, done) == SSL_ERROR_ZERO_RETURN) return size_t{0};
    return fail(Code::kUnavailable, "tls read: " + last_tls_error());
  }
  Result<> write(std::string_view data) override {
    size_t n = 0;
    if (data.empty() || SSL_write_ex(ssl_, data.data(), data.size(), &n) == 1) return {};
    return fail(Code::kUnavailable, "tls write: " + last_tls_error());
  }

 private:
  Fd fd_;
  SSL_CTX* context_;
  SSL* ssl_;
};

std::pair<std::string, std::string> host_and_port(const DaemonAddress& address) {
  std::string at = address.host.substr(6);
  while (at.ends_with('/')) at.pop_back();
  const size_t colon = at.rfind(':');
  const bool named = colon != std::string::npos && at.find(']', colon) == std::string::npos;
  std::string name = at.substr(0, named ? colon : std::string::npos);
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  return {name.empty() ? "127.0.0.1" : name, named ? at.substr(colon + 1) : address.tls ? "2376" : "2375"};
}

Result<Fd> dial(const std::string& name, const std::string& port) {
  addrinfo hints{.ai_socktype = SOCK_STREAM}, *found = nullptr;
  if (const int error = ::getaddrinfo(name.c_str(), port.c_str(), &hints, &found))
    return fail(Code::kUnavailable, "lookup " + name + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, ::freeaddrinfo);
  int last = ECONNREFUSED;
  for (const addrinfo* a = found; a; a = a->ai_next) {
    Fd fd(::socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd && ::connect(fd.get(), a->ai_addr, a->ai_addrlen) == 0) return fd;
    last = errno;
  }
  return fail(sys_error(last, "dial tcp", name + ":" + port));
}

Result<std::unique_ptr<Wire>> secure(Fd fd, const DaemonAddress& address, const std::string& name) {
  SSL_CTX* context = SSL_CTX_new(TLS_method());
  SSL* ssl = nullptr;
  const auto broken = [&](const std::string& what) {
    auto out = fail(Code::kUnavailable, what + ": " + last_tls_error());
    SSL_free(ssl), SSL_CTX_free(context);
    return out;
  };
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return 0; });
  if (SSL_CTX_load_verify_locations(context, address.ca.c_str(), nullptr) != 1)
    return broken("could not read CA certificate \"" + address.ca + "\"");
  if (SSL_CTX_use_certificate_chain_file(context, address.certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, address.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return broken("could not load X509 key pair " + address.certificate + ", " + address.key);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  ssl = SSL_new(context);
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
  if (X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) != 1)
    X509_VERIFY_PARAM_set1_host(rules, name.c_str(), 0), SSL_set_tlsext_host_name(ssl, name.c_str());
  ERR_clear_error();
  SSL_set_fd(ssl, fd.get());
  if (SSL_connect(ssl) != 1) return broken("tls handshake with " + name);
  return std::make_unique<TlsWire>(std::move(fd), context, ssl);
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

Result<DaemonAddress> daemon_address(const std::string& host_flag) {
  DaemonAddress out;
  const std::string wanted = host_flag.empty() ? variable("DOCKER_HOST") : host_flag;
  if (!wanted.empty()) out.host = wanted;
  if (!out.host.starts_with("unix:///") && !out.host.starts_with("tcp://"))
    return fail(Code::kUnsupported, "the daemon's address " + out.host +
                                        " is not supported: it must be unix:///path or tcp://name:port");
  out.tls = out.host.starts_with("tcp://") && !variable("DOCKER_TLS_VERIFY").empty();
  std::string dir = variable("DOCKER_CERT_PATH");
  if (dir.empty()) dir = variable("HOME") + "/.docker";
  out.ca = dir + "/ca.pem", out.certificate = dir + "/cert.pem", out.key = dir + "/key.pem";
  return out;
}

Result<std::unique_ptr<Wire>> connect_wire(const DaemonAddress& address) {
  if (address.host.starts_with("unix://")) {
    TRY(Fd fd, connect_unix(address.host.substr(7), SOCK_STREAM));
    return std::make_unique<PlainWire>(std::move(fd));
  }
  const auto [name, port] = host_and_port(address);
  TRY(Fd fd, dial(name, port));
  if (address.tls) return secure(std::move(fd), address, name);
  return std::make_unique<PlainWire>(std::move(fd));
}

}  // namespace panal
