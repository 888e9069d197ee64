// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Signatures of artifacts. A signature covers the artifact's id, which is the hash of all its
// bytes. A folder holds the trusted public keys; a file's name is its signer's. The folder is read
// once. Thread-safe.
#ifndef WATTLE_ARTIFACTS_SIGNERS_SIGNERS_H_
#define WATTLE_ARTIFACTS_SIGNERS_SIGNERS_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/repeated_field.h"

#include "wattle/v1/artifact.pb.h"

namespace wattle::artifacts {

// key_pem: a private key of P-256 or Ed25519. Errors: kInvalidArgument for another text.
absl::StatusOr<v1::ArtifactSignature> SignArtifact(absl::string_view key_pem,
                                                   const std::string& signer,
                                                   const std::string& artifact_id);

// The key in this file; makes one of P-256, and the public half beside it, at the first call. The
// folder must be private. Errors: those of base/tls/private_file.h.
struct SigningKey {
  std::string key_pem;
  std::string public_key_pem;
};
absl::StatusOr<SigningKey> LoadSigningKey(const std::string& key_path,
                                          const std::string& public_key_path);

class Signers {
 public:
  // Errors: kInvalidArgument names a file that is no public key or cannot be read, or a folder
  // without keys.
  static absl::StatusOr<Signers> Load(const std::string& directory);

  // Adds a trusted signer; replaces a key with the same name from a file.
  absl::Status Add(const std::string& signer, const std::string& public_key_pem);

  // Errors: kPermissionDenied for an unknown signer, or a signature of another artifact.
  [[nodiscard]] absl::Status Check(const std::string& artifact_id,
                                   const v1::ArtifactSignature& signature) const;
  // Checks that one of the signatures is valid and by a trusted signer; others are ignored. Errors:
  // kFailedPrecondition, with the remedy.
  [[nodiscard]] absl::Status CheckOneOf(
      const std::string& artifact_id,
      const google::protobuf::RepeatedPtrField<v1::ArtifactSignature>& signatures) const;

 private:
  std::string where_;
  std::map<std::string, std::string> keys_;  // Public, in PEM, by signer.
};

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_SIGNERS_SIGNERS_H_
