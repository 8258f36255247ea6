// Join tokens as Swarm's: "SWMTKN-1-<SHA-256 of the CA's certificate, base 36, 50 digits>-<secret, 25
// digits>".
#pragma once
#include <string>

#include "base/result.h"

namespace panal {

struct JoinToken {
  std::string fingerprint, secret;  // the fingerprint in hex
};
std::string make_join_token(const std::string& fingerprint, const std::string& secret);
/// kInvalid for anything else.
Result<JoinToken> parse_join_token(const std::string& text);

}  // namespace panal
