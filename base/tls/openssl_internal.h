// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What this folder's files share of OpenSSL: owners of its objects, texts in memory, and its words
// for an error.
#ifndef WATTLE_BASE_TLS_OPENSSL_INTERNAL_H_
#define WATTLE_BASE_TLS_OPENSSL_INTERNAL_H_

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace wattle::tls {

template <auto free_function>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    free_function(object);
  }
};
using Bio = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Freer<X509_free>>;
struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
};
using Chain = std::unique_ptr<STACK_OF(X509), FreeStack>;

// The text must outlive the reader.
inline Bio Reader(absl::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// What was written into a BIO in memory.
inline std::string Written(BIO* bio) {
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio, &data));
  return {data, size};
}

// OpenSSL's words for the first error of this thread; forgets them all.
inline std::string Why() {
  std::array<char, 256> reason = {};
  ERR_error_string_n(ERR_get_error(), reason.data(), reason.size());
  ERR_clear_error();
  return reason.data();
}

inline absl::Status Failed(absl::string_view what) {
  return absl::InternalError(absl::StrCat(what, ": OpenSSL says ", Why()));
}

// OpenSSL would ask the terminal for the password of an encrypted key.
inline int NoPassword(char* /*buffer*/, int /*size*/, int /*writes*/, void* /*data*/) {
  return -1;
}

// All certificates of the text.
inline Chain ReadChain(absl::string_view pem) {
  Chain chain(sk_X509_new_null());
  const Bio bio = Reader(pem);
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)) {
    sk_X509_push(chain.get(), one);
  }
  ERR_clear_error();
  return chain;
}

// SHA-256 (raw) of the SubjectPublicKeyInfo.
std::string KeySha256(EVP_PKEY* key);

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_OPENSSL_INTERNAL_H_
