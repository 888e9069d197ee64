// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Keys that never leave the machine's TPM, by OpenSSL's provider tpm2 (Debian: tpm2-openssl). A
// key's PEM, "TSS2 PRIVATE KEY", is a text that only this TPM can open. The provider is loaded at
// the first such key, into a library context of its own, so that other keys do not notice it. The
// provider is not thread-safe, so one lock covers all its work. Thread-safe.
#ifndef WATTLE_BASE_TLS_TPM_KEY_H_
#define WATTLE_BASE_TLS_TPM_KEY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct evp_pkey_st;

namespace wattle::tls {

bool IsTpmKey(absl::string_view key_pem);

// A new key of P-256. Errors: kFailedPrecondition, with the remedy, without a TPM or the provider.
absl::StatusOr<std::string> NewTpmKey();

// An EVP_PKEY by which OpenSSL signs as by any key; the caller frees it. Errors: as NewTpmKey's;
// kInvalidArgument for a key of another TPM.
absl::StatusOr<evp_pkey_st*> OpenTpmKey(const std::string& key_pem);

// gRPC reads keys by itself, and would use the provider from many threads. Give gRPC this text in
// place of the file's key.
std::string GrpcTextOfTpmKey(const std::string& key_path);

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_TPM_KEY_H_
