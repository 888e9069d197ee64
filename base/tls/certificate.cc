// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/certificate.h"

#include <array>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/status_macros.h"
#include "base/tls/openssl_internal.h"
#include "base/tls/tpm_key.h"

namespace wattle::tls {
namespace {

using Request = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;

constexpr int64_t kSerialBits = 127;  // A serial number has at most 20 bytes and is positive.

template <typename Write>
absl::StatusOr<std::string> ToPem(absl::string_view what, Write write) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || write(bio.get()) != 1) {
    return Failed(what);
  }
  return Written(bio.get());
}

bool IsP256(EVP_PKEY* key) {
  std::array<char, 64> group = {};
  size_t size = 0;
  return key != nullptr && EVP_PKEY_is_a(key, "EC") == 1 &&
         EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1 &&
         absl::string_view(group.data(), size) == "prime256v1";
}

absl::StatusOr<Key> ReadKey(absl::string_view pem) {
  if (IsTpmKey(pem)) {
    WATTLE_ASSIGN_OR_RETURN(EVP_PKEY* const opened, OpenTpmKey(std::string(pem)));
    return Key(opened);
  }
  Key key(PEM_read_bio_PrivateKey(Reader(pem).get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (!IsP256(key.get())) {
    return absl::InvalidArgumentError("no private key of P-256 in PEM without a password");
  }
  return key;
}

absl::StatusOr<Key> ReadPublicKey(absl::string_view pem) {
  Key key(PEM_read_bio_PUBKEY(Reader(pem).get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (!IsP256(key.get())) {
    return absl::InvalidArgumentError("no public key of P-256 in PEM");
  }
  return key;
}

absl::StatusOr<std::string> PublicPem(EVP_PKEY* key) {
  return ToPem("public key", [key](BIO* bio) { return PEM_write_bio_PUBKEY(bio, key); });
}

absl::Status SetTime(ASN1_TIME* field, absl::Time time) {
  return ASN1_TIME_set(field, absl::ToTimeT(time)) == nullptr ? Failed("certificate's time")
                                                              : absl::OkStatus();
}

absl::Status AddExtension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return Failed(absl::StrCat("certificate's extension ", value));
  }
  return absl::OkStatus();
}

std::string AlternativeNames(const CertificateContent& content) {
  std::string names;
  const auto add = [&names](absl::string_view kind, absl::string_view name) {
    absl::StrAppend(&names, names.empty() ? "" : ",", kind, ":", name);
  };
  if (!content.uri.empty()) {
    add("URI", content.uri);
  }
  for (const std::string& name : content.dns_names) {
    add("DNS", name);
  }
  for (const std::string& address : content.addresses) {
    add("IP", address);
  }
  return names;
}

absl::Status AddExtensions(const CertificateContent& content, X509* certificate, X509* issuer) {
  const bool signs = content.use == Use::kRoot || content.use == Use::kIssuer;
  WATTLE_RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_basic_constraints,
                                      content.use == Use::kRoot     ? "critical,CA:TRUE"
                                      : content.use == Use::kIssuer ? "critical,CA:TRUE,pathlen:0"
                                                                    : "critical,CA:FALSE"));
  WATTLE_RETURN_IF_ERROR(
      AddExtension(certificate, issuer, NID_key_usage,
                   signs ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature"));
  WATTLE_RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_subject_key_identifier, "hash"));
  if (issuer != certificate) {
    WATTLE_RETURN_IF_ERROR(
        AddExtension(certificate, issuer, NID_authority_key_identifier, "keyid:always"));
  }
  if (!signs) {
    WATTLE_RETURN_IF_ERROR(AddExtension(certificate, issuer, NID_ext_key_usage,
                                        content.use == Use::kClient   ? "clientAuth"
                                        : content.use == Use::kDevice ? "clientAuth,serverAuth"
                                                                      : "serverAuth"));
  }
  const std::string names = AlternativeNames(content);
  return names.empty() ? absl::OkStatus()
                       : AddExtension(certificate, issuer, NID_subject_alt_name, names);
}

absl::Status SetSerial(X509* certificate) {
  const std::unique_ptr<BIGNUM, Freer<BN_free>> number(BN_new());
  if (number == nullptr ||
      BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) != 1 ||
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) == nullptr) {
    return Failed("serial number");
  }
  return absl::OkStatus();
}

}  // namespace

std::string KeySha256(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  std::string digest =
      size > 0 ? Sha256({reinterpret_cast<const char*>(der), static_cast<size_t>(size)}) : "";
  OPENSSL_free(der);
  return digest;
}

std::string Sha256(absl::string_view bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest = {};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string ToHex(absl::string_view bytes) {
  return absl::BytesToHexString(bytes);
}

absl::StatusOr<std::string> RandomHex(int bytes) {
  std::string random(static_cast<size_t>(bytes), '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), bytes) != 1) {
    return Failed("random bytes");
  }
  return ToHex(random);
}

absl::StatusOr<std::string> NewKey() {
  const Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) {
    return Failed("new key");
  }
  return ToPem("new key", [&key](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

absl::StatusOr<std::string> PublicKeyOf(absl::string_view key_pem) {
  WATTLE_ASSIGN_OR_RETURN(const Key key, ReadKey(key_pem));
  return PublicPem(key.get());
}

absl::StatusOr<std::string> PublicKeySha256(absl::string_view public_key_pem) {
  WATTLE_ASSIGN_OR_RETURN(const Key key, ReadPublicKey(public_key_pem));
  return KeySha256(key.get());
}

absl::StatusOr<std::string> NewSigningRequest(absl::string_view key_pem) {
  WATTLE_ASSIGN_OR_RETURN(const Key key, ReadKey(key_pem));
  const Request request(X509_REQ_new());
  if (request == nullptr || X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) <= 0) {
    return Failed("signing request");
  }
  return ToPem("signing request",
               [&request](BIO* bio) { return PEM_write_bio_X509_REQ(bio, request.get()); });
}

absl::StatusOr<SigningRequest> ReadSigningRequest(absl::string_view pem) {
  if (pem.size() > kSigningRequestBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("signing request: ", pem.size(), " bytes, at most ", kSigningRequestBytesMax));
  }
  const Request request(PEM_read_bio_X509_REQ(Reader(pem).get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (request == nullptr) {
    return absl::InvalidArgumentError("signing request: not PKCS #10 in PEM");
  }
  EVP_PKEY* const key = X509_REQ_get0_pubkey(request.get());
  if (!IsP256(key)) {
    return absl::InvalidArgumentError("signing request: its key is not of P-256, the only type");
  }
  if (X509_NAME_entry_count(X509_REQ_get_subject_name(request.get())) != 0 ||
      X509_REQ_get_attr_count(request.get()) != 0) {
    return absl::InvalidArgumentError(
        "signing request: asks for names or extensions; leave them out, the coordinator gives the "
        "name");
  }
  if (X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("signing request: not signed by its own key");
  }
  WATTLE_ASSIGN_OR_RETURN(std::string public_key_pem, PublicPem(key));
  return SigningRequest{std::move(public_key_pem), KeySha256(key), Sha256(pem)};
}

absl::StatusOr<std::string> SignCertificate(const CertificateContent& content,
                                            absl::string_view issuer_pem,
                                            absl::string_view issuer_key_pem) {
  WATTLE_ASSIGN_OR_RETURN(const Key key, ReadPublicKey(content.public_key_pem));
  WATTLE_ASSIGN_OR_RETURN(const Key issuer_key, ReadKey(issuer_key_pem));
  const Cert certificate(X509_new());
  const Chain issuers = ReadChain(issuer_pem);
  X509* const issuer =
      sk_X509_num(issuers.get()) > 0 ? sk_X509_value(issuers.get(), 0) : certificate.get();
  if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      X509_set_pubkey(certificate.get(), key.get()) != 1) {
    return Failed("certificate");
  }
  WATTLE_RETURN_IF_ERROR(SetSerial(certificate.get()));
  WATTLE_RETURN_IF_ERROR(SetTime(X509_getm_notBefore(certificate.get()), content.not_before));
  WATTLE_RETURN_IF_ERROR(SetTime(X509_getm_notAfter(certificate.get()), content.not_after));
  if (X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(content.common_name.data()),
                                 static_cast<int>(content.common_name.size()), -1, 0) != 1 ||
      X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer)) != 1) {
    return Failed(absl::StrCat("certificate's name ", content.common_name));
  }
  WATTLE_RETURN_IF_ERROR(AddExtensions(content, certificate.get(), issuer));
  if (X509_sign(certificate.get(), issuer_key.get(), EVP_sha256()) <= 0) {
    return Failed("certificate's signature");
  }
  return ToPem("certificate",
               [&certificate](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
}

absl::StatusOr<std::string> PinnedRoot(absl::string_view chain_pem, absl::string_view pin) {
  const Chain chain = ReadChain(chain_pem);
  for (int i = 0; i < sk_X509_num(chain.get()); ++i) {
    X509* const one = sk_X509_value(chain.get(), i);
    if (ToHex(KeySha256(X509_get0_pubkey(one))) == pin && X509_self_signed(one, 0) == 1) {
      return ToPem("certificate", [one](BIO* bio) { return PEM_write_bio_X509(bio, one); });
    }
  }
  return absl::UnauthenticatedError(
      "another coordinator answers there than the one that made the token, or the fleet's root was "
      "changed since (no certificate of it has the token's pin); ask for a new token");
}

}  // namespace wattle::tls
