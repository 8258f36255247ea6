#include "sys/tls/openssl_crypto.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>

#include "base/text.h"

namespace panal {
namespace {

constexpr int64_t kBackdated = 3600;  // clocks of nodes differ

template <class T, void (*F)(T*)>
struct Free {
  void operator()(T* p) const { F(p); }
};
using Bio = std::unique_ptr<BIO, Free<BIO, BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY, EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Free<X509, X509_free>>;
using Request = std::unique_ptr<X509_REQ, Free<X509_REQ, X509_REQ_free>>;

std::unexpected<Error> broken(const char* what) {
  char text[256] = "unknown error";
  if (const auto code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return fail(Code::kInvalid, std::string(what) + ": " + text);
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}
Bio memory(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Key new_key() { return Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")); }
std::string pem(EVP_PKEY* key) {
  Bio out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(out.get());
}
std::string pem(X509* certificate) {
  Bio out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate);
  return text_of(out.get());
}
Cert read_certificate(const std::string& text) {
  return Cert(PEM_read_bio_X509(memory(text).get(), nullptr, nullptr, nullptr));
}

void add_name(X509_NAME* name, const char* field, const std::string& value) {
  X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
}
void add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  if (X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &context, nid, value)) {
    X509_add_ext(certificate, e, -1);
    X509_EXTENSION_free(e);
  }
}
void set_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes;
  RAND_bytes(bytes.data(), bytes.size());
  bytes[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(bytes.data(), bytes.size(), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
}

class OpensslCrypto final : public Crypto {
 public:
  Result<KeyPair> make_ca() override {
    const Key key = new_key();
    const Cert c(X509_new());
    if (!key || !c) return broken("make CA");
    X509_set_version(c.get(), 2);
    set_serial(c.get());
    X509_gmtime_adj(X509_getm_notBefore(c.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(c.get()), 20L * 365 * 86400);
    add_name(X509_get_subject_name(c.get()), "CN", "swarm-ca");
    X509_set_issuer_name(c.get(), X509_get_subject_name(c.get()));
    X509_set_pubkey(c.get(), key.get());
    add_extension(c.get(), c.get(), NID_basic_constraints, "critical,CA:TRUE");
    add_extension(c.get(), c.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(c.get(), c.get(), NID_subject_key_identifier, "hash");
    if (!X509_sign(c.get(), key.get(), EVP_sha256())) return broken("sign CA");
    return KeyPair{pem(c.get()), pem(key.get())};
  }

  Result<KeyPair> make_request() override {
    const Key key = new_key();
    const Request request(X509_REQ_new());
    if (!key || !request) return broken("make certificate request");
    X509_REQ_set_pubkey(request.get(), key.get());
    if (!X509_REQ_sign(request.get(), key.get(), EVP_sha256())) return broken("sign certificate request");
    Bio out(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509_REQ(out.get(), request.get());
    return KeyPair{text_of(out.get()), pem(key.get())};
  }

  Result<std::string> sign(const std::string& request_pem, const KeyPair& ca, const std::string& node_id,
                           const std::string& role, const std::string& cluster, WallTime now,
                           Duration validity) override {
    const Request request(PEM_read_bio_X509_REQ(memory(request_pem).get(), nullptr, nullptr, nullptr));
    if (!request) return broken("certificate request");
    EVP_PKEY* public_key = X509_REQ_get0_pubkey(request.get());
    if (!public_key || X509_REQ_verify(request.get(), public_key) != 1) return broken("certificate request");
    const Cert issuer = read_certificate(ca.certificate);
    const Key issuer_key(PEM_read_bio_PrivateKey(memory(ca.key).get(), nullptr, nullptr, nullptr));
    const Cert c(X509_new());
    if (!issuer || !issuer_key || !c) return broken("sign certificate");
    X509_set_version(c.get(), 2);
    set_serial(c.get());
    time_t from = now.time_since_epoch() / 1s - kBackdated,
           until = now.time_since_epoch() / 1s + validity / 1s;
    X509_time_adj_ex(X509_getm_notBefore(c.get()), 0, 0, &from);
    X509_time_adj_ex(X509_getm_notAfter(c.get()), 0, 0, &until);
    X509_NAME* name = X509_get_subject_name(c.get());
    add_name(name, "O", cluster);
    add_name(name, "OU", "swarm-" + role);
    add_name(name, "CN", node_id);
    X509_set_issuer_name(c.get(), X509_get_subject_name(issuer.get()));
    X509_set_pubkey(c.get(), public_key);
    add_extension(c.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
    add_extension(c.get(), issuer.get(), NID_key_usage, "critical,digitalSignature,keyEncipherment");
    add_extension(c.get(), issuer.get(), NID_ext_key_usage, "serverAuth,clientAuth");
    add_extension(c.get(), issuer.get(), NID_subject_alt_name,
                  ("DNS:" + node_id + ",DNS:swarm-" + role).c_str());
    if (!X509_sign(c.get(), issuer_key.get(), EVP_sha256())) return broken("sign certificate");
    return pem(c.get());
  }

  Result<std::string> fingerprint(const std::string& certificate) override {
    const Cert c = read_certificate(certificate);
    if (!c) return broken("certificate");
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    X509_digest(c.get(), EVP_sha256(), digest.data(), &size);
    return hex({reinterpret_cast<const char*>(digest.data()), size});
  }

  Result<Names> names(const std::string& certificate) override {
    const Cert c = read_certificate(certificate);
    if (!c) return broken("certificate");
    const auto der = [](int size, unsigned char* bytes) {
      std::string out(reinterpret_cast<const char*>(bytes), size > 0 ? static_cast<size_t>(size) : 0);
      OPENSSL_free(bytes);
      return out;
    };
    unsigned char *subject = nullptr, *key = nullptr;
    const int subject_size = i2d_X509_NAME(X509_get_subject_name(c.get()), &subject),
              key_size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c.get()), &key);
    return Names{der(subject_size, subject), der(key_size, key)};
  }

  Result<Subject> subject(const std::string& certificate) override {
    const Cert c = read_certificate(certificate);
    if (!c) return broken("certificate");
    const auto part = [&](int nid) {
      char text[256] = "";
      X509_NAME_get_text_by_NID(X509_get_subject_name(c.get()), nid, text, sizeof text);
      return std::string(text);
    };
    Subject s{part(NID_commonName), part(NID_organizationalUnitName), part(NID_organizationName), {}, {}};
    if (s.role.starts_with("swarm-")) s.role = s.role.substr(6);
    const auto seconds = [](const ASN1_TIME* time) {
      tm parts{};
      ASN1_TIME_to_tm(time, &parts);
      return timegm(&parts);
    };
    // Beyond what nanoseconds can count, "never" is far enough.
    static constexpr int64_t kFar = 9'000'000'000;
    s.issued = WallTime(std::chrono::seconds(seconds(X509_get0_notBefore(c.get())) + kBackdated));
    s.expires = WallTime(std::chrono::seconds(std::min(seconds(X509_get0_notAfter(c.get())), kFar)));
    return s;
  }
};

}  // namespace

std::unique_ptr<Crypto> make_openssl_crypto() { return std::make_unique<OpensslCrypto>(); }

}  // namespace panal
