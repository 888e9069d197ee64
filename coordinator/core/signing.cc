// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Stores the signers of artifacts. The event loop checks signatures; the core stores them. Pure.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

#include "coordinator/core/apply_internal.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/enrolment.h"

namespace wattle::core {
namespace {

constexpr int kSignaturesMax = 16;
constexpr size_t kSignatureBytesMax = 256;

}  // namespace

void Decide(DecisionBuilder& builder, const SignArtifact& command) {
  const v1::ArtifactInfo* const info = builder.state().artifacts.Find(command.artifact);
  if (info == nullptr) {
    builder.Refuse(absl::NotFoundError(
        absl::StrCat("no artifact ", command.artifact.value(), "; it was removed meanwhile")));
    return;
  }
  if (const absl::Status valid = CheckId("signer", command.signature.signer()); !valid.ok()) {
    builder.Refuse(valid);
    return;
  }
  const size_t bytes = command.signature.signature().size();
  if (bytes == 0 || bytes > kSignatureBytesMax) {
    builder.Refuse(absl::InvalidArgumentError(
        absl::StrCat("signature: ", bytes, " bytes, wanted 1 to ", kSignatureBytesMax)));
    return;
  }
  const bool known = std::any_of(
      info->signatures().begin(), info->signatures().end(),
      [&](const v1::ArtifactSignature& one) { return one.signer() == command.signature.signer(); });
  if (!known && info->signatures_size() >= kSignaturesMax) {
    builder.Refuse(
        absl::ResourceExhaustedError(absl::StrCat("signatures: ", kSignaturesMax,
                                                  " signers have signed it, and that is the "
                                                  "most")));
    return;
  }
  builder.decision().id = command.artifact.value();
  AddSignature(builder, command.artifact, command.signature, command.by);
}

void AddSignature(DecisionBuilder& builder, const ArtifactId& artifact,
                  const v1::ArtifactSignature& signature, const std::string& by) {
  v1::ArtifactSigned& event = *builder.Add().mutable_artifact_signed();
  event.set_artifact_id(artifact.value());
  *event.mutable_signature() = signature;
  event.set_by(by);
}

void Applier::On(const v1::ArtifactSigned& event) {
  const ArtifactId id(event.artifact_id());
  if (!state_.artifacts.contains(id)) {
    return;  // Evicted between the report and its decision.
  }
  auto& signatures = *state_.artifacts.Mutable(id).mutable_signatures();
  const auto place =
      std::lower_bound(signatures.begin(), signatures.end(), event.signature(),
                       [](const v1::ArtifactSignature& one, const v1::ArtifactSignature& other) {
                         return one.signer() < other.signer();
                       });
  if (place != signatures.end() && place->signer() == event.signature().signer()) {
    *place = event.signature();
    return;
  }
  const auto before = place - signatures.begin();
  *signatures.Add() = event.signature();
  std::rotate(signatures.begin() + before, signatures.end() - 1, signatures.end());
}

}  // namespace wattle::core
