// The cluster's certificate authority. PEM in, PEM out. Subjects as SwarmKit's: CN=node id,
// OU=swarm-manager|swarm-worker, O=cluster.
#pragma once
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace panal {

struct KeyPair {
  std::string certificate, key;
};

class Crypto {
 public:
  virtual ~Crypto() = default;
  virtual Result<KeyPair> make_ca() = 0;
  /// A fresh P-256 key and a request for it: {request, key}.
  virtual Result<KeyPair> make_request() = 0;
  virtual Result<std::string> sign(const std::string& request, const KeyPair& ca, const std::string& node_id,
                                   const std::string& role, const std::string& cluster, WallTime now,
                                   Duration validity) = 0;
  /// SHA-256 of the certificate's DER, hex.
  virtual Result<std::string> fingerprint(const std::string& certificate) = 0;
  /// {CN, role, O} of a certificate.
  struct Subject {
    std::string node_id, role, cluster;
    WallTime issued, expires;
  };
  virtual Result<Subject> subject(const std::string& certificate) = 0;
  /// What Docker shows of the issuer: subject and public key of a certificate, DER.
  struct Names {
    std::string subject, public_key;
  };
  virtual Result<Names> names(const std::string& certificate) = 0;
};

}  // namespace panal
