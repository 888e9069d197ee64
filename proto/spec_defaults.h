// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The defaults of unset numbers in a spec, as documented in spec.proto. The runner, the predictor
// and the memory estimate use these values. Thread-safe.
#ifndef WATTLE_PROTO_SPEC_DEFAULTS_H_
#define WATTLE_PROTO_SPEC_DEFAULTS_H_

#include "absl/strings/string_view.h"

#include "wattle/v1/spec.pb.h"

namespace wattle {

inline constexpr int kBatchSizeDefault = 8;  // Examples, for finetune and evaluate jobs.
// For a runner without an agent that decides when a checkpoint pays.
inline constexpr int kCheckpointEveryStepsDefault = 50;
inline constexpr int kNewTokensDefault = 32;  // Also for an answer.
inline constexpr int kTextWindowTokensMax =
    1024;  // A text file is scored in windows of this length.

// The rank of the adapters, with its default.
inline int AdapterRankOf(const v1::LoraSpec& lora) {
  return lora.rank() > 0 ? lora.rank() : 8;
}

// The name of a training precision in signatures.
inline const char* PrecisionName(v1::Precision precision) {
  switch (precision) {
    case v1::PRECISION_BF16:
      return "bf16";
    case v1::PRECISION_FP16:
      return "fp16";
    case v1::PRECISION_TF32:
      return "tf32";
    default:
      return "fp32";
  }
}

// Whether the factors of products are rounded to two bytes.
inline bool RoundsFactors(v1::Precision precision) {
  return precision == v1::PRECISION_BF16 || precision == v1::PRECISION_FP16;
}

// The name of an optimizer with gradients in signatures and checkpoints; AdamW has none.
inline absl::string_view OptimizerIdentity(v1::Optimizer optimizer) {
  switch (optimizer) {
    case v1::OPTIMIZER_ADAMW_8BIT:
      return "adamw-8bit";
    case v1::OPTIMIZER_ADAFACTOR:
      return "adafactor";
    default:
      return "";
  }
}

}  // namespace wattle

#endif  // WATTLE_PROTO_SPEC_DEFAULTS_H_
