// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The fields of a workload signature as a table: what makes two rows the same row, and what makes
// two runs the same workload. A new field of WorkloadSignature or ModelShape is a row here, else
// its test fails. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_SIGNATURE_FIELDS_H_
#define WATTLE_SCHEDULER_PROFILES_SIGNATURE_FIELDS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

enum class SignaturePart {
  kModel,     // The model's architecture and sizes: of the workload.
  kWorkload,  // What is computed. A row serves only runs of its own workload.
  kScale,     // Batch and lengths: rates are interpolated over them.
  kEngine,    // Who computes.
};

struct SignatureField {
  absl::string_view name;  // As in profile.proto: "batch_size", "model.layers".
  SignaturePart part = SignaturePart::kModel;
  absl::string_view before;  // What stands before the field in a key: "|batch ".
  std::string (*text)(const v1::WorkloadSignature& signature) = nullptr;
  bool (*same)(const v1::WorkloadSignature& a, const v1::WorkloadSignature& b) = nullptr;
  // The same for signatures that are the same in the field.
  uint64_t (*digest)(const v1::WorkloadSignature& signature) = nullptr;
};

// In the order of a key.
absl::Span<const SignatureField> SignatureFields();

// All fields as one readable text.
std::string SignatureKey(const v1::WorkloadSignature& signature);

// Whether the fields of the part are the same.
bool SameIn(SignaturePart part, const v1::WorkloadSignature& a, const v1::WorkloadSignature& b);

// A number of the text; two texts have the same only by chance.
uint64_t TextDigest(absl::string_view text);

// A number of the model and the workload. Signatures of one workload have the same; two workloads
// have it only by chance.
uint64_t WorkloadDigest(const v1::WorkloadSignature& signature);

// Tokens at most of the signature's sequences: those of the model where it names no number.
int LengthOf(const v1::WorkloadSignature& signature);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_SIGNATURE_FIELDS_H_
