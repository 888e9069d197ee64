// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/signers/signers.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "base/tls/private_file.h"
#include "base/tls/signature.h"

namespace wattle::artifacts {
namespace {

constexpr int64_t kKeyBytesMax = 16 << 10;

// The signed text names its purpose, so that a signature of another text never counts as one of an
// artifact.
std::string SignedText(absl::string_view artifact_id) {
  return absl::StrCat("wattle artifact ", artifact_id);
}

}  // namespace

absl::StatusOr<v1::ArtifactSignature> SignArtifact(absl::string_view key_pem,
                                                   const std::string& signer,
                                                   const std::string& artifact_id) {
  v1::ArtifactSignature signature;
  signature.set_signer(signer);
  WATTLE_ASSIGN_OR_RETURN(*signature.mutable_signature(),
                          tls::SignText(key_pem, SignedText(artifact_id)));
  return signature;
}

absl::StatusOr<SigningKey> LoadSigningKey(const std::string& key_path,
                                          const std::string& public_key_path) {
  SigningKey own;
  absl::StatusOr<std::string> key =
      tls::ReadPrivateFile(key_path, {.what = "key", .remedy = "remove it for a new one"});
  if (absl::IsNotFound(key.status())) {
    WATTLE_ASSIGN_OR_RETURN(key, tls::NewKey());
    WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(key_path, *key));
  }
  WATTLE_RETURN_IF_ERROR(key.status());
  own.key_pem = *std::move(key);
  WATTLE_ASSIGN_OR_RETURN(own.public_key_pem, tls::PublicKeyOf(own.key_pem));
  WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(public_key_path, own.public_key_pem));
  return own;
}

absl::StatusOr<Signers> Signers::Load(const std::string& directory) {
  Signers signers;
  signers.where_ = directory;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (name[0] == '.') {
      continue;
    }
    const auto pem = ReadWholeFile(entry.path().string(), kKeyBytesMax);
    if (!pem.ok()) {
      return absl::InvalidArgumentError(pem.status().message());
    }
    WATTLE_RETURN_IF_ERROR(WithContext(entry.path().string(), signers.Add(name, *pem)));
  }
  if (error) {
    return absl::InvalidArgumentError(
        FileError(error.value(), directory, "cannot be read").message());
  }
  if (signers.keys_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        directory, ": has no signer's public key (PEM); a file's name is its signer's"));
  }
  return signers;
}

absl::Status Signers::Add(const std::string& signer, const std::string& public_key_pem) {
  WATTLE_RETURN_IF_ERROR(tls::CheckSignersKey(public_key_pem));
  keys_[signer] = public_key_pem;
  return absl::OkStatus();
}

absl::Status Signers::Check(const std::string& artifact_id,
                            const v1::ArtifactSignature& signature) const {
  const auto key = keys_.find(signature.signer());
  if (key == keys_.end()) {
    return absl::PermissionDeniedError(
        absl::StrCat("signer \"", signature.signer(), "\" is not among those of ", where_));
  }
  if (!tls::VerifyText(key->second, SignedText(artifact_id), signature.signature()).ok()) {
    return absl::PermissionDeniedError(
        absl::StrCat("the signature is not of this artifact by the key of ", signature.signer(),
                     " in ", where_));
  }
  return absl::OkStatus();
}

absl::Status Signers::CheckOneOf(
    const std::string& artifact_id,
    const google::protobuf::RepeatedPtrField<v1::ArtifactSignature>& signatures) const {
  for (const v1::ArtifactSignature& signature : signatures) {
    if (Check(artifact_id, signature).ok()) {
      return absl::OkStatus();
    }
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the model ", artifact_id.substr(0, 12), " is ",
      signatures.empty() ? "signed by nobody" : "signed by nobody of the signers", "; one of ",
      where_, " (",
      absl::StrJoin(keys_, ", ",
                    [](std::string* out, const auto& one) { absl::StrAppend(out, one.first); }),
      ") signs it with 'wattle model sign NAME --key FILE'"));
}

}  // namespace wattle::artifacts
