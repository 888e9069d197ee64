// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/encrypted_key.h"

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include "base/tls/openssl_internal.h"

namespace wattle::tls {
namespace {

// scrypt, 16 MiB for each try of a passphrase: the most that OpenSSL reads by default.
constexpr uint64_t kCost = 1 << 14;
constexpr uint64_t kBlockSize = 8;
constexpr uint64_t kParallel = 1;
constexpr int kSaltBytes = 16;

using PlainKey = std::unique_ptr<PKCS8_PRIV_KEY_INFO, Freer<PKCS8_PRIV_KEY_INFO_free>>;
using SealedKey = std::unique_ptr<X509_SIG, Freer<X509_SIG_free>>;

}  // namespace

bool HasPlainKey(absl::string_view pem) {
  return absl::StrContains(pem, "PRIVATE KEY-----") &&
         !absl::StrContains(pem, "-----BEGIN ENCRYPTED PRIVATE KEY-----");
}

absl::StatusOr<std::string> EncryptKey(const std::string& key_pem, const std::string& passphrase) {
  const Key key(PEM_read_bio_PrivateKey(Reader(key_pem).get(), nullptr, NoPassword, nullptr));
  if (key == nullptr) {
    ERR_clear_error();
    return absl::InvalidArgumentError("not a private key without a passphrase");
  }
  const PlainKey plain(EVP_PKEY2PKCS8(key.get()));
  X509_ALGOR* const method = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), nullptr, kSaltBytes, nullptr,
                                                   kCost, kBlockSize, kParallel);
  if (plain == nullptr || method == nullptr) {
    X509_ALGOR_free(method);
    return Failed("key under a passphrase");
  }
  const SealedKey sealed(PKCS8_set0_pbe(passphrase.data(), static_cast<int>(passphrase.size()),
                                        plain.get(), method));  // Takes `method` where it succeeds.
  if (sealed == nullptr) {
    X509_ALGOR_free(method);
    return Failed("key under a passphrase");
  }
  const Bio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_PKCS8(bio.get(), sealed.get()) != 1) {
    return Failed("key under a passphrase");
  }
  return Written(bio.get());
}

absl::StatusOr<std::string> DecryptKey(const std::string& encrypted_pem,
                                       const std::string& passphrase) {
  const SealedKey sealed(
      PEM_read_bio_PKCS8(Reader(encrypted_pem).get(), nullptr, NoPassword, nullptr));
  if (sealed == nullptr) {
    ERR_clear_error();
    return absl::InvalidArgumentError("not a private key under a passphrase");
  }
  const PlainKey plain(
      PKCS8_decrypt(sealed.get(), passphrase.data(), static_cast<int>(passphrase.size())));
  const Key key(plain == nullptr ? nullptr : EVP_PKCS82PKEY(plain.get()));
  const Bio bio(BIO_new(BIO_s_mem()));
  if (key == nullptr || bio == nullptr ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("the passphrase is another one");
  }
  return Written(bio.get());
}

}  // namespace wattle::tls
