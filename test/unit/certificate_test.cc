// Certificates by sys/tls, and when a node renews its own.
#include "node/cluster/swarm_node.h"
#include "sys/tls/openssl_crypto.h"
#include "sys/tls/tls_stream.h"

#undef CHECK
#include <doctest/doctest.h>

namespace panal {

static Result<Crypto::Subject> made(Duration validity, WallTime now = WallTime(1'800'000'000s)) {
  const auto crypto = make_openssl_crypto();
  TRY(const auto ca, crypto->make_ca());
  TRY(const auto request, crypto->make_request());
  TRY(const auto certificate,
      crypto->sign(request.certificate, ca, "node", "worker", "cluster", now, validity));
  return crypto->subject(certificate);
}

TEST_CASE("a certificate says whose it is, since when and until when") {
  const auto s = made(90 * 24h);
  REQUIRE(s.has_value());
  CHECK(s->node_id == "node");
  CHECK(s->role == "worker");
  CHECK(s->cluster == "cluster");
  CHECK((s->issued == WallTime(1'800'000'000s)));
  CHECK((s->expires == WallTime(1'800'000'000s) + 90 * 24h));
}

TEST_CASE("the longest life that can be asked for ends after it began") {
  const auto s = made(Duration::max());
  REQUIRE(s.has_value());
  CHECK((s->expires > s->issued));
  const WallTime due = renewal_time(s->issued, s->expires, 999);
  CHECK((due > s->issued && due < s->expires));
}

TEST_CASE("a certificate is renewed between half and four fifths of its life, not by all nodes at once") {
  const WallTime issued(1'800'000'000s), expires = issued + 100h;
  std::set<WallTime> times;
  for (uint64_t random = 0; random < 1000; ++random) {
    const WallTime due = renewal_time(issued, expires, random * 7919);
    CHECK((due >= issued + 50h && due < issued + 80h));
    times.insert(due);
  }
  CHECK(times.size() > 900);
}

}  // namespace panal
