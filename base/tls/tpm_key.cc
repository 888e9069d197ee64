// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A key of a provider cannot be wrapped in another. OpenSSL's older interface can: a key (EC_KEY)
// with a signing function of our own, and an engine by whose name gRPC finds it.
#define OPENSSL_SUPPRESS_DEPRECATED  // EC_KEY and ENGINE
#include "base/tls/tpm_key.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <system_error>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/x509.h>

#include "base/status_macros.h"
#include "base/tls/openssl_internal.h"
#include "base/tls/private_file.h"

namespace wattle::tls {
namespace {

constexpr char kBegin[] = "-----BEGIN TSS2 PRIVATE KEY-----";
constexpr char kEngine[] = "wattle-tpm";
constexpr char kOfTpm[] = "provider=tpm2";

using PkeyContext = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;
using EcKey = std::unique_ptr<EC_KEY, Freer<EC_KEY_free>>;

class Tpm {
 public:
  // Never ends: keys of OpenSSL's threads may outlive main.
  static Tpm& Get() {
    static Tpm* const tpm = new Tpm;
    return *tpm;
  }

  absl::StatusOr<std::string> NewKey() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<EVP_PKEY*> Open(const std::string& pem) ABSL_LOCKS_EXCLUDED(mutex_);
  // digest: of SHA-256. False: the TPM does not sign.
  bool Sign(EVP_PKEY* key, const unsigned char* digest, size_t size, unsigned char* signature,
            size_t* signature_size) ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] int key_index() const { return key_index_; }

 private:
  Tpm();
  absl::Status Begin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  OSSL_LIB_CTX* library_ ABSL_GUARDED_BY(mutex_) = nullptr;        // With the provider.
  std::map<std::string, EVP_PKEY*> keys_ ABSL_GUARDED_BY(mutex_);  // The TPM's keys, by their PEM.
  const int key_index_;  // Index of the TPM's key in an EC_KEY's extra data.
  EC_KEY_METHOD* const method_;
  // gRPC starts the engine for each channel and never ends it, so OpenSSL does not free it at exit.
  ENGINE* const engine_;
};

// OpenSSL calls this to sign; the types are its own.
int SignByTpm(int, const unsigned char* digest, int size, unsigned char* signature,
              unsigned* signature_size, const BIGNUM*, const BIGNUM*, EC_KEY* key) {
  Tpm& tpm = Tpm::Get();
  auto* const sealed = static_cast<EVP_PKEY*>(EC_KEY_get_ex_data(key, tpm.key_index()));
  size_t written = static_cast<size_t>(ECDSA_size(key));
  if (sealed == nullptr ||
      !tpm.Sign(sealed, digest, static_cast<size_t>(size), signature, &written)) {
    return 0;
  }
  *signature_size = static_cast<unsigned>(written);
  return 1;
}

// gRPC names the key by its file.
EVP_PKEY* LoadByPath(ENGINE*, const char* path, UI_METHOD*, void*) {
  const absl::StatusOr<std::string> pem = ReadPrivateFile(path);
  const absl::StatusOr<EVP_PKEY*> key = pem.ok() ? OpenTpmKey(*pem) : pem.status();
  return key.ok() ? *key : nullptr;
}

ENGINE* AddEngine() {
  ENGINE* const engine = ENGINE_new();
  if (engine != nullptr) {
    ENGINE_set_id(engine, kEngine);
    ENGINE_set_name(engine, "keys of Wattle in a TPM");
    ENGINE_set_load_privkey_function(engine, LoadByPath);
    ENGINE_add(engine);
  }
  ERR_clear_error();
  return engine;
}

Tpm::Tpm()
    : key_index_(EC_KEY_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr)),
      method_(EC_KEY_METHOD_new(EC_KEY_OpenSSL())),
      engine_(AddEngine()) {
  EC_KEY_METHOD_set_sign(method_, SignByTpm, nullptr, nullptr);
}

absl::Status Tpm::Begin() {
  if (library_ != nullptr) {
    return absl::OkStatus();
  }
  // The TPM's libraries would write their warnings to the error stream.
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing of ours reads the environment here
  setenv("TSS2_LOG", "all+NONE", /*overwrite=*/0);
  OSSL_LIB_CTX* const library = OSSL_LIB_CTX_new();
  OSSL_PROVIDER_load(library, "default");
  if (OSSL_PROVIDER_load(library, "tpm2") == nullptr) {
    const std::string why = Why();
    OSSL_LIB_CTX_free(library);
    return absl::FailedPreconditionError(absl::StrCat(
        "no TPM can be used: OpenSSL says ", why,
        "; install tpm2-openssl, and let this user open /dev/tpmrm0 (usermod -aG tss USER)"));
  }
  library_ = library;
  return absl::OkStatus();
}

absl::StatusOr<std::string> Tpm::NewKey() {
  absl::MutexLock lock(&mutex_);
  WATTLE_RETURN_IF_ERROR(Begin());
  const PkeyContext context(EVP_PKEY_CTX_new_from_name(library_, "EC", kOfTpm));
  std::string group = "P-256";
  const std::array<OSSL_PARAM, 2> parameters = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
      OSSL_PARAM_construct_end()};
  EVP_PKEY* made = nullptr;
  if (context == nullptr || EVP_PKEY_keygen_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_params(context.get(), parameters.data()) != 1 ||
      EVP_PKEY_generate(context.get(), &made) != 1) {
    return absl::FailedPreconditionError(
        absl::StrCat("the TPM makes no key of P-256: OpenSSL says ", Why()));
  }
  const Key key(made);
  const Bio bio(BIO_new(BIO_s_mem()));
  char* data = nullptr;
  if (bio == nullptr || PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0,
                                                      nullptr, nullptr) != 1) {
    return absl::FailedPreconditionError(absl::StrCat("key of the TPM: OpenSSL says ", Why()));
  }
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio.get(), &data));
  std::string pem(data, size);
  if (!IsTpmKey(pem)) {
    return absl::InternalError("the key that the TPM made can be read outside of it");
  }
  return pem;
}

absl::StatusOr<EVP_PKEY*> Tpm::Open(const std::string& pem) {
  absl::MutexLock lock(&mutex_);
  WATTLE_RETURN_IF_ERROR(Begin());
  auto found = keys_.find(pem);
  if (found == keys_.end()) {
    const Bio bio = Reader(pem);
    EVP_PKEY* const opened =
        PEM_read_bio_PrivateKey_ex(bio.get(), nullptr, NoPassword, nullptr, library_, kOfTpm);
    if (opened == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          "this TPM does not open the key: OpenSSL says ", Why(),
          "; a key goes with its TPM: remove the folder and enrol again by a new token"));
    }
    found = keys_.emplace(pem, opened).first;  // Held open for as long as the process.
  }
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(found->second, &der);
  const unsigned char* at = der;
  EcKey shown(size > 0 ? d2i_EC_PUBKEY(nullptr, &at, size) : nullptr);
  OPENSSL_free(der);
  Key key(EVP_PKEY_new());
  if (shown == nullptr || key == nullptr || EC_KEY_set_method(shown.get(), method_) != 1 ||
      EC_KEY_set_ex_data(shown.get(), key_index_, found->second) != 1 ||
      EVP_PKEY_assign_EC_KEY(key.get(), shown.get()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("no key of P-256 in a TPM: OpenSSL says ", Why()));
  }
  (void)shown.release();  // The key has it.
  return key.release();
}

bool Tpm::Sign(EVP_PKEY* key, const unsigned char* digest, size_t size, unsigned char* signature,
               size_t* signature_size) {
  absl::MutexLock lock(&mutex_);
  const PkeyContext context(EVP_PKEY_CTX_new_from_pkey(library_, key, kOfTpm));
  std::string name = "SHA256";
  const std::array<OSSL_PARAM, 2> parameters = {
      OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, name.data(), 0),
      OSSL_PARAM_construct_end()};
  const bool is_signed = context != nullptr && EVP_PKEY_sign_init(context.get()) == 1 &&
                         EVP_PKEY_CTX_set_params(context.get(), parameters.data()) == 1 &&
                         EVP_PKEY_sign(context.get(), signature, signature_size, digest, size) == 1;
  return is_signed;
}

}  // namespace

bool IsTpmKey(absl::string_view key_pem) {
  return absl::StrContains(key_pem, kBegin);
}

absl::StatusOr<std::string> NewTpmKey() {
  return Tpm::Get().NewKey();
}

absl::StatusOr<evp_pkey_st*> OpenTpmKey(const std::string& key_pem) {
  return Tpm::Get().Open(key_pem);
}

std::string GrpcTextOfTpmKey(const std::string& key_path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(key_path, error);
  return absl::StrCat("engine:", kEngine, ":", error ? key_path : absolute.string());
}

}  // namespace wattle::tls
