#include <fcntl.h>
#include <openssl/evp.h>

#include <array>

#include "base/check.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/layers/disk_layers.h"

namespace panal {

namespace {

class Sha256 final : public Hasher {
 public:
  Sha256() { CHECK(::EVP_DigestInit_ex(context_.get(), ::EVP_sha256(), nullptr) == 1); }
  void add(std::string_view data) override {
    CHECK(::EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1);
  }
  std::string end() override {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    CHECK(::EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
    return "sha256:" + hex({reinterpret_cast<const char*>(digest.data()), size});
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)> context_{::EVP_MD_CTX_new(), ::EVP_MD_CTX_free};
};

}  // namespace

std::unique_ptr<Hasher> DiskLayers::hasher() const { return std::make_unique<Sha256>(); }

Task<bool> DiskLayers::blob_is_whole(std::string digest) {
  auto work = [file = blob_path(digest), digest] {
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    Sha256 hasher;
    std::string chunk(1 << 18, '\0');
    ssize_t n = -1;
    while (fd && (n = ::read(fd.get(), chunk.data(), chunk.size())) > 0)
      hasher.add({chunk.data(), static_cast<size_t>(n)});
    return n == 0 && hasher.end() == digest;
  };
  co_return co_await blocking(loop_, work);
}

}  // namespace panal
