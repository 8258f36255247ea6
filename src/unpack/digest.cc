#include "unpack/digest.h"

#include <openssl/evp.h>

#include <array>

#include "base/text.h"

namespace panal {

Digest::Digest() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
Digest::~Digest() { EVP_MD_CTX_free(context_); }
void Digest::add(std::string_view data) { EVP_DigestUpdate(context_, data.data(), data.size()); }
std::string Digest::text() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out;
  unsigned int length = 0;
  EVP_DigestFinal_ex(context_, out.data(), &length);
  return "sha256:" + hex({reinterpret_cast<const char*>(out.data()), length});
}

}  // namespace panal
