// Calls to machines that do not answer.
#include "sys/rpc/grpc_transport.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "sys/tls/openssl_crypto.h"

#undef CHECK
#include <doctest/doctest.h>

namespace panal {

namespace {

// A port whose connections nobody takes, so that no handshake comes about.
struct Mute {
  Fd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::string address;
  Mute() {
    sockaddr_in at{};
    at.sin_family = AF_INET, at.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), size) == 0);
    REQUIRE(::listen(fd.get(), 8) == 0);
    REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
    address = "127.0.0.1:" + std::to_string(::ntohs(at.sin_port));
  }
};

void identify(GrpcTransport& transport) {
  const auto crypto = make_openssl_crypto();
  const auto ca = crypto->make_ca();
  const auto request = crypto->make_request();
  REQUIRE(ca.has_value());
  REQUIRE(request.has_value());
  const auto certificate = crypto->sign(request->certificate, *ca, "node", "worker", "cluster",
                                        WallTime(std::chrono::system_clock::now()), 1h);
  REQUIRE(certificate.has_value());
  REQUIRE(transport.set_identity(*certificate, request->key, ca->certificate).has_value());
}

}  // namespace

TEST_CASE("calls share an attempt to connect, and each keeps its own deadline") {
  AsioLoop loop;
  GrpcTransport transport(loop);
  identify(transport);
  Mute mute;
  std::vector<Result<std::string>> replies(3);
  int ended = 0;
  Scope scope;
  const auto call = [&](size_t i, Duration timeout) -> Task<void> {
    replies[i] = co_await transport.call(mute.address, "/panal.None/None", "", timeout);
    if (++ended == 2) {
      mute.fd.reset();  // which resets what has come
      replies[2] = co_await transport.call(mute.address, "/panal.None/None", "", 60s);
      loop.stop();
    }
  };
  for (size_t i = 0; i < 2; ++i) scope.spawn(call(i, 50ms));
  loop.run();
  for (size_t i = 0; i < 2; ++i) {
    REQUIRE(!replies[i]);
    CHECK(replies[i].error().message == "dial tcp " + mute.address + ": i/o timeout");
  }
  REQUIRE(!replies[2]);
  CHECK(replies[2].error().message.find("i/o timeout") == std::string::npos);
}

}  // namespace panal
