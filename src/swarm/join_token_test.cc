#include <random>

#include "swarm/join_token.h"
#undef CHECK
#include <doctest/doctest.h>

namespace panal {

TEST_CASE("join tokens hold any fingerprint") {
  std::mt19937 dice(1);
  for (int i = 0; i < 300; ++i) {
    std::string fingerprint;
    for (int k = 0; k < 64; ++k)
      fingerprint += "0123456789abcdef"[i == 0 ? 0 : i == 1 ? 15 : k < i % 40 ? 0 : dice() % 16];
    const std::string secret(25, static_cast<char>('a' + i % 26)),
        token = make_join_token(fingerprint, secret);
    CHECK(token.size() == 9 + 50 + 1 + 25);
    const auto back = parse_join_token(token);
    REQUIRE(back.has_value());
    CHECK(back->fingerprint == fingerprint);
    CHECK(back->secret == secret);
  }
}

TEST_CASE("what is no token is refused") {
  const std::string good = make_join_token(std::string(64, 'a'), std::string(25, 'b'));
  for (const auto& text :
       {std::string(), std::string("SWMTKN"), good + "x", good.substr(1), "SWMTKN-2" + good.substr(8),
        "SWMTKN-1-" + std::string(50, 'z') + "-" + std::string(25, 'b'),
        "SWMTKN-1-" + std::string(50, 'A') + "-" + std::string(25, 'b')})
    CHECK_MESSAGE(!parse_join_token(text).has_value(), text);
}

}  // namespace panal
