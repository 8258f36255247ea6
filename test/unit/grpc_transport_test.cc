// Calls to machines that do not answer.
#include "sys/rpc/grpc_transport.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/text.h"
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

TEST_CASE("a peer without a certificate may say no more than a request to join takes") {
  AsioLoop loop;
  GrpcTransport server(loop), node(loop);
  identify(server);
  size_t heard = 0;
  const auto hear = [&heard](Peer peer, std::string request) -> Task<Result<std::string>> {
    CHECK(peer.role.empty());
    heard = request.size();
    co_return std::string("heard");
  };
  server.serve("/panal.Test/Open", {""}, hear);
  server.serve("/panal.Test/Nodes", {"worker"}, hear);
  Mute port;  // for a number that is free
  const std::string address = port.address;
  const auto number = static_cast<uint16_t>(parse_int(address.substr(address.find(':') + 1)).value());
  port.fd.reset();
  REQUIRE(server.listen("127.0.0.1", number));
  std::vector<Result<std::string>> replies;
  Scope scope;
  const auto talk = [&]() -> Task<void> {
    for (const size_t size : {size_t{10000}, size_t{100000}})
      replies.push_back(
          co_await node.call_pinned(address, "/panal.Test/Open", std::string(size, 'x'), "", 10s));
    replies.push_back(co_await node.call_pinned(address, "/panal.Test/Nodes", "x", "", 10s));
    server.stop(), node.stop();
    co_await server.join();
    co_await node.join();
    loop.stop();
  };
  scope.spawn(talk());
  loop.run();
  REQUIRE(replies.size() == 3);
  REQUIRE(replies[0]);
  CHECK(*replies[0] == "heard");
  CHECK(!replies[1]);
  CHECK(heard == 10000);
  REQUIRE(!replies[2]);
  CHECK(replies[2].error().message == "a node without a certificate may not call /panal.Test/Nodes");
}

}  // namespace panal
