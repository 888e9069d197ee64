// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/sha256.h"

#include "absl/strings/escaping.h"
#include <openssl/evp.h>

#include "base/check.h"

namespace wattle::artifacts {

struct Sha256Stream::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256Stream::Sha256Stream() : context_(std::make_unique<Context>()) {
  WATTLE_CHECK(EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr) == 1,
               "OpenSSL always has SHA-256");
}

Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::Update(absl::string_view bytes) {
  WATTLE_CHECK(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1,
               "SHA-256 takes any bytes until it is finished");
}

std::string Sha256Stream::FinishHex() {
  std::string digest(kSha256Bytes, '\0');
  WATTLE_CHECK(EVP_DigestFinal_ex(context_->evp, reinterpret_cast<unsigned char*>(digest.data()),
                                  nullptr) == 1,
               "finished once");
  return absl::BytesToHexString(digest);
}

ChunkId Sha256(absl::string_view bytes) {
  std::string digest(kSha256Bytes, '\0');
  WATTLE_CHECK(
      EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()),
                 nullptr, EVP_sha256(), nullptr) == 1,
      "OpenSSL always has SHA-256");
  return ChunkId(std::move(digest));
}

std::string Sha256Hex(absl::string_view bytes) {
  return ToHex(Sha256(bytes));
}

std::string ToHex(const ChunkId& id) {
  return absl::BytesToHexString(id.value());
}

}  // namespace wattle::artifacts
