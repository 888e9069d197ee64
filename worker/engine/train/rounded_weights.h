// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Quantization-aware training: the passes of a step read every matrix rounded to the nearest code
// of a recipe's format, and the gradient of the rounded matrix is applied to the FP32 one (the
// straight-through estimator of Bengio, Léonard and Courville, 2013). The trained, checkpointed and
// saved weights are FP32; a later rounding to nearest then costs less quality. The inputs of
// products stay FP32.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_ROUNDED_WEIGHTS_H_
#define WATTLE_WORKER_ENGINE_TRAIN_ROUNDED_WEIGHTS_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include <ATen/core/Tensor.h>

#include "worker/engine/kernels/weight_matrix.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/model_files.h"

namespace wattle::engine {

class RoundedWeights {
 public:
  // model: FP32. Errors: kFailedPrecondition for a recipe that the engine does not support here: an
  // unknown format or tensor, groups that do not divide a row.
  static absl::StatusOr<RoundedWeights> Make(const LoadedModel& model,
                                             const v1::QuantizationRecipe& recipe);

  // Rounds the current matrices. A pure function of them, so that a resumed run gets the same
  // results.
  void Refresh(const LoadedModel& model);

  // The model with the rounded matrices of the last Refresh; matrices that the recipe leaves in
  // FP32 are the model's own.
  [[nodiscard]] const Decoder& decoder() const { return decoder_; }

 private:
  struct Rounded {
    size_t parameter = 0;
    kernels::WeightFormat format;
    at::Tensor values;  // float [outputs, inputs], on the model's device
  };

  std::vector<Rounded> matrices_;
  Decoder decoder_;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_ROUNDED_WEIGHTS_H_
