// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The authority's folder in a backup: each private key under a passphrase
// (base/tls/encrypted_key.h), other files unchanged. Thread-safe.
#ifndef WATTLE_COORDINATOR_AUTHORITY_SEALED_COPY_H_
#define WATTLE_COORDINATOR_AUTHORITY_SEALED_COPY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace wattle::authority {

// The passphrase, which is the file's first line. Errors: those of tls::ReadPrivateFile;
// kInvalidArgument for one that is too short.
absl::StatusOr<std::string> ReadPassphrase(const std::string& path);

// Copies the folder, also while a coordinator uses it, into the new folder `to`. Errors: kNotFound
// if there is no authority; kUnavailable if the folder keeps changing; those of files and keys.
absl::Status SealFolder(const std::string& from, const std::string& to,
                        const std::string& passphrase);
// The reverse of SealFolder. Writes nothing if a key does not open. Errors: kNotFound;
// kAlreadyExists for a folder `to` that has files; kInvalidArgument for another passphrase.
absl::Status OpenFolder(const std::string& from, const std::string& to,
                        const std::string& passphrase);

}  // namespace wattle::authority

#endif  // WATTLE_COORDINATOR_AUTHORITY_SEALED_COPY_H_
