// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/signature.h"

#include <array>
#include <cstddef>
#include <memory>

#include "absl/strings/str_cat.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/status_macros.h"
#include "base/tls/openssl_internal.h"

namespace wattle::tls {
namespace {

using Context = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;

const unsigned char* BytesIn(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

bool IsEd25519(const EVP_PKEY* key) {
  return EVP_PKEY_is_a(key, "ED25519") == 1;
}

// P-256 or Ed25519.
bool IsSignersKey(EVP_PKEY* key) {
  std::array<char, 64> group = {};
  size_t size = 0;
  return key != nullptr &&
         (IsEd25519(key) || (EVP_PKEY_is_a(key, "EC") == 1 &&
                             EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1 &&
                             absl::string_view(group.data(), size) == "prime256v1"));
}

using ReadPem = EVP_PKEY* (*)(BIO*, EVP_PKEY**, pem_password_cb*, void*);
absl::StatusOr<Key> ReadSignersKey(absl::string_view pem, ReadPem read, absl::string_view what) {
  const Bio bio = Reader(pem);
  Key key(read(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (!IsSignersKey(key.get())) {
    return absl::InvalidArgumentError(absl::StrCat("no ", what, " of P-256 or Ed25519 in PEM"));
  }
  return key;
}

// Ed25519 hashes by itself.
const EVP_MD* DigestFor(const EVP_PKEY* key) {
  return IsEd25519(key) ? nullptr : EVP_sha256();
}

}  // namespace

absl::StatusOr<std::string> SignText(absl::string_view key_pem, absl::string_view text) {
  WATTLE_ASSIGN_OR_RETURN(const Key key, ReadSignersKey(key_pem, PEM_read_bio_PrivateKey,
                                                        "private key without a password"));
  const Context context(EVP_MD_CTX_new());
  size_t size = 0;
  std::string signature;
  bool made =
      context != nullptr &&
      EVP_DigestSignInit(context.get(), nullptr, DigestFor(key.get()), nullptr, key.get()) == 1 &&
      EVP_DigestSign(context.get(), nullptr, &size, BytesIn(text), text.size()) == 1;
  if (made) {
    signature.resize(size);
    made = EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                          BytesIn(text), text.size()) == 1;
  }
  ERR_clear_error();
  if (!made) {
    return absl::InternalError("signature: OpenSSL could not make it");
  }
  signature.resize(size);
  return signature;
}

absl::Status CheckSignersKey(absl::string_view public_key_pem) {
  return ReadSignersKey(public_key_pem, PEM_read_bio_PUBKEY, "public key").status();
}

absl::Status VerifyText(absl::string_view public_key_pem, absl::string_view text,
                        absl::string_view signature) {
  WATTLE_ASSIGN_OR_RETURN(const Key key,
                          ReadSignersKey(public_key_pem, PEM_read_bio_PUBKEY, "public key"));
  const Context context(EVP_MD_CTX_new());
  const bool sound =
      context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, DigestFor(key.get()), nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), BytesIn(signature), signature.size(), BytesIn(text),
                       text.size()) == 1;
  ERR_clear_error();
  return sound ? absl::OkStatus()
               : absl::UnauthenticatedError("the signature is not of this text by this key");
}

}  // namespace wattle::tls
