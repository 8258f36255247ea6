// Crypto on OpenSSL 3.
#pragma once
#include <memory>

#include "ports/crypto.h"

namespace panal {
std::unique_ptr<Crypto> make_openssl_crypto();
}
