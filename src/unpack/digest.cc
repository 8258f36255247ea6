#include "unpack/digest.h"

#include <array>

#include "base/text.h"

namespace panal {

std::string Digest::text() {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> out;
  ::SHA256_Final(out.data(), &context_);
  return "sha256:" + hex({reinterpret_cast<const char*>(out.data()), out.size()});
}

}  // namespace panal
