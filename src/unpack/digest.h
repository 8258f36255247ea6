// SHA-256 over a stream.
#pragma once
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace panal {

class Digest {
 public:
  Digest();
  ~Digest();
  Digest(const Digest&) = delete;
  void add(std::string_view data);
  /// "sha256:<hex>", once.
  std::string text();

 private:
  evp_md_ctx_st* context_;
};

}  // namespace panal
