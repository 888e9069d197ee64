// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The fields of a workload signature as a table: which fields make two rows the same row, and which
// make two runs the same workload. A new field of WorkloadSignature or ModelShape is a row here,
// else its test fails. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_SIGNATURE_FIELDS_H_
#define WATTLE_SCHEDULER_PROFILES_SIGNATURE_FIELDS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

enum class SignaturePart {
  kModel,     // The model's architecture and sizes; part of the workload.
  kWorkload,  // The computation. A row serves only runs of its own workload.
  kScale,     // Batch and lengths: rates are interpolated over them.
  kEngine,    // The engine that computes.
};

struct SignatureField {
  absl::string_view name;  // The name in profile.proto: "batch_size", "model.layers".
  SignaturePart part = SignaturePart::kModel;
  absl::string_view before;  // The text before the field in a key: "|batch ".
  std::string (*text)(const v1::WorkloadSignature& signature) = nullptr;
  bool (*same)(const v1::WorkloadSignature& a, const v1::WorkloadSignature& b) = nullptr;
  // Equal for signatures that are equal in the field.
  uint64_t (*digest)(const v1::WorkloadSignature& signature) = nullptr;
};

// In the order of a key.
absl::Span<const SignatureField> SignatureFields();

// All fields as one readable text.
std::string SignatureKey(const v1::WorkloadSignature& signature);

// Whether the fields of the part are equal.
bool SameIn(SignaturePart part, const v1::WorkloadSignature& a, const v1::WorkloadSignature& b);

// A hash of the text; different texts have equal hashes only by chance.
uint64_t TextDigest(absl::string_view text);

// A hash of the model and the workload. Signatures of one workload have equal hashes; different
// workloads only by chance.
uint64_t WorkloadDigest(const v1::WorkloadSignature& signature);

// Most tokens of the signature's sequences; the model's limit if the signature has no number.
int LengthOf(const v1::WorkloadSignature& signature);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_SIGNATURE_FIELDS_H_
