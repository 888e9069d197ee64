// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The settings of a training in its workload signature. The predictor and the runner both use these
// functions, so that a run is learned under the signature that predicted it. Thread-safe.
#ifndef WATTLE_PROTO_TRAINING_SIGNATURE_H_
#define WATTLE_PROTO_TRAINING_SIGNATURE_H_

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

#include "proto/spec_defaults.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle {

inline constexpr char kMezoOptimizer[] = "mezo";

// Empty: AdamW. MeZO includes its directions, "mezo-4": a step has two forward passes for each.
inline std::string OptimizerInSignature(const v1::FinetuneSpec& spec) {
  if (spec.optimizer() != v1::OPTIMIZER_MEZO) {
    return std::string(OptimizerIdentity(spec.optimizer()));
  }
  const int directions = std::max(1, spec.mezo().samples());
  return directions == 1 ? kMezoOptimizer : absl::StrCat(kMezoOptimizer, "-", directions);
}

// "bf16" names the precision of the products' factors. A suffix marks matrices held in BF16:
// "bf16+bf16-weights".
inline std::string PrecisionInSignature(const v1::FinetuneSpec& spec) {
  const bool bf16_weights = spec.weights_precision() == v1::WEIGHTS_PRECISION_BF16;
  return absl::StrCat(PrecisionName(spec.precision()), bf16_weights ? "+bf16-weights" : "");
}

inline void SetTrainingSettings(const v1::FinetuneSpec& spec, v1::WorkloadSignature& signature) {
  signature.set_activation_checkpointing(spec.activation_checkpointing());
  signature.set_trained_layers(spec.last_layers());
  signature.set_packing(spec.packing());
  signature.set_precision(PrecisionInSignature(spec));
  signature.set_optimizer(OptimizerInSignature(spec));
  signature.set_update_in_backward(spec.update_in_backward());
}

}  // namespace wattle

#endif  // WATTLE_PROTO_TRAINING_SIGNATURE_H_
