// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Quantization-aware training: the passes of a step see every matrix rounded to the nearest code of
// a recipe's format, and the gradient of the rounded matrix is applied to the FP32 one (the
// straight-through estimator of Bengio, Léonard and Courville, 2013). What is trained, checkpointed
// and saved is FP32; rounding to nearest then costs it less. The inputs of products stay FP32.
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
  // model: FP32. Errors: kFailedPrecondition for a recipe that the engine cannot honour here: an
  // unknown format or tensor, groups that do not divide a row.
  static absl::StatusOr<RoundedWeights> Make(const LoadedModel& model,
                                             const v1::QuantizationRecipe& recipe);

  // Rounds the matrices as they are now. A pure function of them: a resumed run rounds the same.
  void Refresh(const LoadedModel& model);

  // The model of the last Refresh with its rounded matrices; what the recipe leaves in FP32 is the
  // model's own.
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
