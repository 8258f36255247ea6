// SHA-256 over a stream.
#pragma once
#include <openssl/sha.h>

#include <string>
#include <string_view>

namespace panal {

/// OpenSSL's SHA-256 itself, not by EVP: it needs no providers, so nothing else of OpenSSL is linked and
/// loaded.
class Digest {
 public:
  Digest() { ::SHA256_Init(&context_); }
  void add(std::string_view data) { ::SHA256_Update(&context_, data.data(), data.size()); }
  /// "sha256:<hex>", once.
  std::string text();

 private:
  SHA256_CTX context_;
};

}  // namespace panal
